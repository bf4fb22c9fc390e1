//! A leader that is killed in the middle of what it does: the other one carries on, and nothing is lost or done twice.

use super::*;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::KratosIdentity;

use crate::many::{BATCH, CREATE, DELETE, all, apply, hold_true, is_ready, name};
use crate::protection::{instance_holds, made};
use crate::scene::{WITHIN, reason_of};

const UPDATE: &str = "PUT /admin/identities/{id}";
const LINK: &str = "POST /admin/recovery/link";
/// What Kratos is asked for takes so long that a kill comes in the middle.
const SLOW: Duration = Duration::from_millis(200);
/// How many of a sort may be on their way at the same time: what one process sends before it is killed, and the next again.
const UNDER_WAY: usize = 16;

/// Kills the leader and waits until the other one leads.
async fn killed(two: &mut Two) {
    let begun = Instant::now();
    two.leader.operator.kill();
    two.taken_over(begun, TAKEN_OVER).await;
}

/// Waits until Kratos has answered so many requests of this label.
async fn answered(two: &Two, label: &str, count: usize) {
    let is_answered =
        || two.scene.proxy.seen().iter().filter(|seen| seen.label == label && seen.status.is_some()).count();
    let enough = eventually(label, WITHIN, async || (is_answered() >= count).then_some(())).await;
    enough.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", two.scene.proxy.counts(), two.logs()));
}

/// How often each path was asked for by requests of this label that were carried out.
fn carried_out(two: &Two, label: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for seen in two.scene.proxy.seen() {
        if seen.label == label && seen.status.is_some_and(|status| status < 300) {
            *counts.entry(seen.path).or_default() += 1;
        }
    }
    counts
}

async fn put_secret(two: &Two, name: &str, key: &str, value: &str) {
    let api = Api::<Secret>::namespaced(two.scene.client.clone(), &two.scene.namespace);
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value},
    });
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.expect("the Secret is accepted");
}

fn email(two: &Two, number: usize) -> String {
    crate::many::email(&two.scene, number)
}

#[tokio::test]
async fn in_the_middle_of_five_hundred_creates() {
    const MANY: usize = 500;
    let mut two = Two::start(json!({})).await;
    for create in [CREATE, BATCH] {
        two.scene.proxy.on(create).delay(SLOW);
    }
    let spec = |number: usize| match number % 2 {
        0 => plain(&name(number)),
        _ => crate::many::customer(&two.scene, number),
    };
    apply(&two.scene, 0..MANY, spec).await;
    let begun = eventually("some are made", WITHIN, async || (two.scene.ours().await.len() >= MANY / 10).then_some(()));
    begun.await.expect("it begins");
    two.leader.operator.kill();
    let killed = Instant::now();
    let made = two.scene.ours().await.len();
    println!("killed with {made} of {MANY} made");
    assert!(made < MANY, "in the middle");
    two.taken_over(killed, TAKEN_OVER).await;
    let resources = all(&two.scene, "all are Ready", is_ready).await;
    println!("all are Ready {:?} after the kill", killed.elapsed());
    hold_true(&two.scene, resources.values()).await;
    assert_eq!(two.one_each().await.len(), MANY);
}

#[tokio::test]
async fn in_the_middle_of_password_rotations() {
    const MANY: usize = 40;
    let mut two = Two::start(json!({})).await;
    for number in 0..MANY {
        put_secret(&two, &name(number), "password", &format!("first-horse-battery-{number}")).await;
    }
    let spec = |number: usize| {
        let password = json!({"secretKeyRef": {"name": name(number), "key": "password"}});
        json!({
            "schemaID": "customer", "traits": {"email": email(&two, number)}, "credentials": {"password": password},
        })
    };
    apply(&two.scene, 0..MANY, spec).await;
    let before = all(&two.scene, "all are Ready", is_ready).await;
    two.scene.count_from_now();
    two.scene.proxy.on(UPDATE).delay(SLOW);
    for number in 0..MANY {
        put_secret(&two, &name(number), "password", &format!("second-horse-battery-{number}")).await;
    }
    answered(&two, UPDATE, MANY / 8).await;
    killed(&mut two).await;
    let logs_in = async |number: usize| {
        let second = format!("second-horse-battery-{number}");
        two.scene.kratos.login(&email(&two, number), &second).await.expect("Kratos answers").is_some()
    };
    let rotated = eventually("all log in with the second", WITHIN * 2, async || {
        for number in 0..MANY {
            if !logs_in(number).await {
                return None;
            }
        }
        Some(())
    });
    rotated.await.unwrap_or_else(|error| panic!("{error}\n{}", two.logs()));
    let after = all(&two.scene, "all are Ready", is_ready).await;
    let ids = |resources: &BTreeMap<String, KratosIdentity>| {
        resources.values().map(crate::scene::id_of).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&after), ids(&before));
    let sent = carried_out(&two, UPDATE);
    let twice = sent.values().filter(|count| **count > 1).count();
    println!("{} changes, {twice} of them twice", sent.len());
    assert_eq!(sent.len(), MANY);
    // Two at a time have a password hashed.
    assert!(twice <= 2, "{sent:?}");
}

#[tokio::test]
async fn in_the_middle_of_recoveries() {
    const MANY: usize = 60;
    let mut two = Two::start(json!({})).await;
    two.scene.proxy.on(LINK).delay(SLOW);
    let spec = |number: usize| {
        json!({
            "schemaID": "customer", "traits": {"email": email(&two, number)},
            "recovery": {"type": "Link", "secretName": format!("way-in-{number}")},
        })
    };
    apply(&two.scene, 0..MANY, spec).await;
    answered(&two, LINK, MANY / 8).await;
    killed(&mut two).await;
    let is_issued = |resource: &KratosIdentity| reason_of(resource, "RecoveryIssued", "True").is_some();
    let resources = all(&two.scene, "all have theirs", is_issued).await;
    hold_true(&two.scene, resources.values()).await;
    let issued = two.scene.proxy.seen().iter().filter(|seen| seen.label == LINK && seen.status == Some(200)).count();
    println!("{issued} recoveries for {MANY} people");
    // Those whose Secret wasn't written yet when their link was made.
    assert!((MANY..=MANY + UNDER_WAY).contains(&issued), "{issued}");
    let secrets = Api::<Secret>::namespaced(two.scene.client.clone(), &two.scene.namespace);
    for number in [0, MANY / 2, MANY - 1] {
        let secret = secrets.get(&format!("way-in-{number}")).await.expect("the Secret is there");
        let link = secret.data.and_then(|mut data| data.remove("link")).expect("a link");
        let link = String::from_utf8(link.0).expect("text");
        let own = format!("chosen-by-oneself-{number}-4713");
        two.scene.kratos.recover_by_link(&link, &own).await.expect("the link works");
        assert!(two.scene.kratos.login(&email(&two, number), &own).await.expect("Kratos answers").is_some());
    }
}

#[tokio::test]
async fn in_the_middle_of_deletions_that_are_counted_once() {
    const LIMIT: usize = 20;
    let protection = json!({"protection": {"maxDeletions": LIMIT, "maxDeletionsTotal": 100, "window": "1h"}});
    let mut two = Two::start(protection).await;
    let namespace = two.scene.namespace.clone();
    made(&two.scene, &namespace, LIMIT + 1).await;
    let one = |number: usize| format!("one-of-many-{number}");
    two.scene.count_from_now();
    two.scene.proxy.on(DELETE).delay(SLOW * 10);
    for number in 0..LIMIT - 5 {
        two.scene.delete(&one(number)).await;
    }
    let asked = eventually("it deletes", WITHIN, async || (two.scene.proxy.count(DELETE) > 0).then_some(()));
    asked.await.unwrap_or_else(|error| panic!("{error}\n{}", two.logs()));
    killed(&mut two).await;
    two.scene.proxy.clear_faults();
    for number in 0..LIMIT - 5 {
        two.scene.gone(&one(number)).await;
    }
    assert_eq!(two.one_each().await.len(), 6);
    // Those of before count, each once: five more go, and one more doesn't.
    for number in LIMIT - 5..LIMIT {
        two.scene.delete(&one(number)).await;
        two.scene.gone(&one(number)).await;
    }
    two.scene.delete(&one(LIMIT)).await;
    instance_holds(&two.scene, 1).await;
    assert_eq!(two.one_each().await.into_keys().collect::<Vec<_>>(), [one(LIMIT)]);
    let deleted = carried_out(&two, DELETE);
    assert!(deleted.len() == LIMIT && deleted.values().all(|count| *count == 1), "{deleted:?}");
}
