//! Many at once: creates travel together, the guilty alone are refused, and nothing is lost or made twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::{StreamExt, stream};
use kratos_operator::api::KratosIdentity;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::process::eventually;

const CREATE: &str = "POST /admin/identities";
const BATCH: &str = "PATCH /admin/identities";
const LIST: &str = "GET /admin/identities";
const READ: &str = "GET /admin/identities/{id}";

fn email(scene: &Scene, number: usize) -> String {
    format!("n{number}@{}.example", scene.namespace)
}

/// Tests share a Kratos: addresses are of this one alone.
fn customer(scene: &Scene, number: usize) -> Value {
    json!({
        "schemaID": "customer",
        "traits": {"email": email(scene, number), "name": {"first": "Ada"}},
        "metadataPublic": {"plan": "gold"},
    })
}

fn name(number: usize) -> String {
    format!("n{number:04}")
}

/// Applies so many, each as `spec` has it.
async fn apply(scene: &Scene, count: usize, spec: impl Fn(usize) -> Value) {
    let applied = (0..count).map(|number| {
        let spec = spec(number);
        async move { drop(scene.identity(&name(number), spec).await) }
    });
    stream::iter(applied).buffer_unordered(32).collect::<()>().await;
}

/// All resources of the test by name, once `is_done` holds of each.
async fn all(scene: &Scene, what: &str, is_done: impl Fn(&KratosIdentity) -> bool) -> BTreeMap<String, KratosIdentity> {
    let mut found = BTreeMap::new();
    let done = eventually(what, WITHIN * 3, async || {
        let listed = scene.identities().list(&ListParams::default()).await.ok()?;
        let by_name = |resource: KratosIdentity| (resource.metadata.name.clone().unwrap_or_default(), resource);
        found = listed.items.into_iter().map(by_name).collect();
        found.values().all(&is_done).then_some(())
    });
    if let Err(error) = done.await {
        let undone: Vec<_> = found.iter().filter(|(_, resource)| !is_done(resource)).take(3).collect();
        panic!("{error}\n{undone:#?}\n{:?}", scene.proxy.counts());
    }
    found
}

fn is_ready(resource: &KratosIdentity) -> bool {
    reason_of(resource, "Ready", "True").is_some()
}

fn reason(resource: &KratosIdentity) -> Option<String> {
    reason_of(resource, "Ready", "True").or_else(|| reason_of(resource, "Stalled", "True"))
}

/// Each of these has exactly the identity that its status names, and there are no others of ours.
async fn hold_true<'a>(scene: &Scene, resources: impl Iterator<Item = &'a KratosIdentity>) {
    let said: BTreeSet<_> = resources.map(id_of).collect();
    let there: Vec<_> = scene.ours().await.into_iter().map(|identity| identity.id).collect();
    assert_eq!(there.len(), said.len(), "none is lost, none is there twice");
    assert_eq!(there.into_iter().collect::<BTreeSet<_>>(), said);
}

fn count_of(scene: &Scene, label: &str) -> usize {
    scene.proxy.count(label)
}

#[tokio::test]
async fn a_thousand_at_once_share_requests_and_cost_nothing_beyond_them() {
    const COUNT: usize = 1000;
    let scene = Scene::own().await;
    // They wait for an instance that doesn't answer yet.
    scene.proxy.down();
    let spec = scene.instance_spec(json!({"requestTimeout": "30s", "resyncInterval": "10s"}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    apply(&scene, COUNT, |number| customer(&scene, number)).await;
    scene.count_from_now();
    scene.proxy.up().expect("it listens again");
    let begun = Instant::now();
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;

    let requests = count_of(&scene, BATCH) + count_of(&scene, CREATE);
    let writes = scene.kubernetes_writes();
    // They come as fast as the API server takes finalizers; where that is slow, a batch doesn't wait for fifty.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap_or(usize::MAX);
    let most = (COUNT / 50).max(2 * seconds);
    assert!(requests <= most, "{requests} requests in {seconds} s: {:?}", scene.proxy.counts());
    assert_eq!(count_of(&scene, READ), 0);
    let about_identities = |label: &&String| label.contains("kratosidentities");
    let writes: Vec<_> = writes.iter().filter(about_identities).collect();
    let statuses = writes.iter().filter(|label| label.ends_with("/status")).count();
    // Whoever waits for the instance for more than a moment says so once.
    assert_eq!(writes.len() - statuses, COUNT, "one finalizer each");
    assert!(statuses <= COUNT + COUNT, "{statuses}");

    // What is remembered of them is what a listing shows: a resync reads none of them.
    scene.count_from_now();
    let listed = eventually("it is listed twice", WITHIN, async || (pages(&scene) > 2 * COUNT / 500).then_some(()));
    listed.await.expect("it is listed");
    assert_eq!(count_of(&scene, READ), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kratos_writes(), 0);
}

/// Pages of listings of everything.
fn pages(scene: &Scene) -> usize {
    let is_page = |seen: &crate::testenv::proxy::Seen| {
        seen.label == LIST && !seen.parameters.iter().any(|name| name == "ids" || name == "credentials_identifier")
    };
    scene.proxy.seen().iter().filter(|seen| is_page(seen) && seen.status == Some(200)).count()
}

/// What is wrong with a resource, and the reason that it gets.
fn guilty(scene: &Scene, kind: usize, number: usize) -> (Value, &'static str) {
    let mut spec = customer(scene, number);
    match kind % 3 {
        0 => {
            spec["traits"]["age"] = json!(-1);
            (spec, "TraitsRejected")
        }
        1 => {
            spec["traits"]["email"] = json!(format!("taken@{}.example", scene.namespace));
            (spec, "IdentityConflict")
        }
        // Large, but right.
        _ => {
            spec["metadataPublic"]["note"] = json!("x".repeat(300 * 1024));
            (spec, "Reconciled")
        }
    }
}

#[rstest::rstest]
#[case::one(1)]
#[case::twenty(20)]
#[tokio::test]
async fn the_guilty_among_many_are_refused_and_all_others_are_made(#[case] count: usize) {
    const COUNT: usize = 500;
    let scene = Scene::own().await.with_instance().await;
    scene.settle().await;
    let taken = kratos_operator::kratos::CreateIdentity {
        schema_id: "customer".into(),
        traits: json!({"email": format!("taken@{}.example", scene.namespace)}),
        ..Default::default()
    };
    scene.admin().create_identity(&taken).await.expect("somebody else's");
    scene.proxy.down();
    let every = COUNT / count;
    let spec_of = |number: usize| (number % every == 7 % every).then(|| guilty(&scene, number / every, number));
    apply(&scene, COUNT, |number| spec_of(number).map_or_else(|| customer(&scene, number), |(spec, _)| spec)).await;
    // Two of the same identifier.
    let twin = json!({"schemaID": "customer", "traits": {"email": email(&scene, 3)}});
    scene.identity("twin", twin).await;
    scene.proxy.up().expect("it listens again");
    let resources = all(&scene, "each is what it will be", |resource| reason(resource).is_some()).await;
    let said = |name: &str| reason(&resources[name]).unwrap_or_default();
    for number in (0..COUNT).filter(|number| *number != 3) {
        let expected = spec_of(number).map_or("Reconciled", |(_, reason)| reason);
        assert_eq!(said(&name(number)), expected, "{number}");
    }
    let mut twins = [said(&name(3)), said("twin")];
    twins.sort();
    assert_eq!(twins, ["IdentityConflict", "Reconciled"]);
    hold_true(&scene, resources.values().filter(|resource| is_ready(resource))).await;
}

#[rstest::rstest]
#[case::carried_out(true)]
#[case::not_carried_out(false)]
#[tokio::test]
async fn a_batch_without_an_answer_is_settled_by_a_listing(#[case] is_carried_out: bool) {
    const COUNT: usize = 60;
    let scene = Scene::own().await;
    scene.instance(json!({"requestTimeout": "3s"})).await;
    scene.settle().await;
    if is_carried_out {
        scene.proxy.on(BATCH).once().lose_answer();
    } else {
        scene.proxy.on(BATCH).once().refuse();
    }
    apply(&scene, COUNT, |number| customer(&scene, number)).await;
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;
    let look_ups = scene.proxy.seen().into_iter();
    let look_ups = look_ups.filter(|seen| seen.parameters.iter().any(|name| name == "credentials_identifier")).count();
    assert!(look_ups <= 10, "{look_ups} look-ups");
}

#[tokio::test]
async fn killed_right_after_a_batch_was_sent_it_makes_nothing_twice() {
    const COUNT: usize = 40;
    let mut scene = Scene::own().await.with_instance().await;
    scene.settle().await;
    let batches = scene.proxy.on(BATCH).hold_answer();
    apply(&scene, COUNT, |number| json!({"schemaID": "plain", "traits": {"label": name(number)}})).await;
    batches.held().await;
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;
}
