//! A password that many share is rotated: it takes effect for each, undoes nothing that its people change meanwhile, and
//! holds up nobody else.

use kratos_operator::api::KratosIdentity;
use serde_json::{Value, json};

use crate::many::{CREATE, READ, all, apply, customer, email, is_ready, name};
use crate::passwords::put_secret;
use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::faults::HeldRequests;
use crate::testenv::process::eventually;

const FIRST: &str = "first-horse-battery-4711";
const SECOND: &str = "second-horse-battery-4712";
const PUT: &str = "PUT /admin/identities/{id}";
/// How many requests that have a password hashed an instance is asked for at the same time.
const AT_ONCE: usize = 2;

fn with_password(scene: &Scene, number: usize) -> Value {
    let mut spec = customer(scene, number);
    spec["credentials"] = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
    spec
}

/// Waits until something holds of what the proxy before Kratos has seen.
async fn until(scene: &Scene, what: &str, holds: impl Fn() -> bool) {
    let found = eventually(what, WITHIN, async || holds().then_some(())).await;
    found.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.proxy.counts(), scene.log()));
}

/// So many that share a Secret; it is rotated, and the first changes are held on their way.
async fn rotating(scene: &Scene, count: usize) -> (Vec<KratosIdentity>, HeldRequests) {
    scene.instance(json!({"requestTimeout": "50s"})).await;
    scene.settle().await;
    put_secret(scene, &[("password", FIRST.as_bytes())]).await;
    apply(scene, 0..count, |number| with_password(scene, number)).await;
    let resources = all(scene, "all are Ready", is_ready).await;
    scene.count_from_now();
    let held = scene.proxy.on(PUT).hold();
    put_secret(scene, &[("password", SECOND.as_bytes())]).await;
    held.held_times(AT_ONCE).await;
    (resources.into_values().filter(|resource| resource.spec.credentials.is_some()).collect(), held)
}

#[tokio::test]
async fn what_people_change_while_a_secret_that_they_share_is_rotated_stays() {
    const COUNT: usize = 80;
    let scene = Scene::shared().await;
    let (resources, held) = rotating(&scene, COUNT).await;
    until(&scene, "each has been looked at", || scene.proxy.count(READ) >= COUNT).await;
    let under_way: Vec<_> = scene.proxy.seen().into_iter().filter(|seen| seen.label == PUT).collect();
    let is_under_way = |resource: &KratosIdentity| under_way.iter().any(|seen| seen.path.ends_with(&id_of(resource)));
    let changing: Vec<_> = resources.iter().filter(|resource| !is_under_way(resource)).collect();
    for resource in &changing {
        scene.change_in_kratos(resource, "/traits/newsletter", json!(true)).await;
    }
    // A create that has a password hashed has its turn among them.
    scene.identity(&name(COUNT), with_password(&scene, COUNT)).await;
    scene.settle_again("beside").await;
    let created = scene.proxy.count(CREATE);
    held.release();
    scene.ready(&name(COUNT)).await;
    until(&scene, "each was changed", || scene.proxy.count(PUT) >= COUNT).await;
    for number in 0..=COUNT {
        let login = async || scene.kratos.login(&email(&scene, number), SECOND).await.expect("an answer");
        eventually("the password is in force", WITHIN, login).await.expect("it is");
    }
    let mut undone = 0;
    for resource in &changing {
        undone += usize::from(scene.in_kratos(resource).await.traits.read().unwrap()["newsletter"] != json!(true));
    }
    assert_eq!(undone, 0, "of {} changes", changing.len());
    assert_eq!(under_way.len(), AT_ONCE, "what changes while a password is hashed Kratos itself overwrites");
    assert_eq!(created, 1, "the one beside it alone, while passwords are hashed");
    assert_eq!(scene.proxy.count(PUT), COUNT, "each once");
}

#[tokio::test]
async fn those_that_wait_for_their_passwords_turn_hold_up_nobody_else() {
    const PLACES: usize = 8;
    let mut scene = Scene::own().await;
    let places = ["--concurrency".to_owned(), PLACES.to_string()];
    scene.operator().restart_with(|settings| settings.arguments.extend(places)).expect("it starts");
    let follower = json!({
        "schemaID": "customer", "traits": {"email": "follower@rotations.example"},
        "traitsFrom": [{"path": "/username", "secretKeyRef": {"name": "follower", "key": "username"}}],
    });
    secret(&scene, "follower", &json!({"username": "before"})).await;
    scene.identity("follower", follower).await;
    let (_, held) = rotating(&scene, 3 * PLACES).await;
    // Nobody's reconcile that is more urgent than theirs: it follows a Secret as they do.
    secret(&scene, "follower", &json!({"username": "after"})).await;
    let follower = scene.ready("follower").await;
    let is_after = eventually("the other Secret is followed", WITHIN, async || {
        (scene.in_kratos(&follower).await.traits.read().unwrap()["username"] == json!("after")).then_some(())
    });
    is_after.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.proxy.counts(), scene.log()));
    assert_eq!(scene.proxy.count(PUT), AT_ONCE);
    held.release();
    until(&scene, "each was changed", || scene.proxy.count(PUT) >= 3 * PLACES).await;
}

async fn secret(scene: &Scene, name: &str, values: &Value) {
    use k8s_openapi::api::core::v1::Secret;
    use kube::api::{Api, Patch, PatchParams};
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values});
    let api = Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace);
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.expect("a Secret");
}
