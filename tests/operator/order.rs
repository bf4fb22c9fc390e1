//! Who goes first: what a person does isn't kept waiting by what a process that starts finds as it was.

use serde_json::json;

use crate::many::{BATCH, STATUS, apply_in, customer, writes};
use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

const READ: &str = "GET /admin/identities/{id}";
/// More than there are places.
const MANY: usize = 40;
/// Places that aren't kept for people, of the sixteen that the operator is given.
const PLACES: usize = 14;

#[tokio::test]
async fn a_person_is_served_while_every_place_for_the_rest_is_taken_and_many_wait() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"requestTimeout": "30s"})).await;
    let spec = |name: &str| json!({"schemaID": "customer", "traits": {"email": format!("{name}@order.example")}});
    let names: Vec<_> =
        (0..MANY).map(|number| format!("settled-{number}")).chain(["ada".into(), "bob".into()]).collect();
    for name in &names {
        scene.identity(name, spec(name)).await;
    }
    for name in &names {
        scene.ready(name).await;
    }
    let excepted = [id_of(&scene.ready("ada").await), id_of(&scene.ready("bob").await)];
    let is_of_the_rest = move |label: &str, path: &str| label == READ && !excepted.iter().any(|id| path.contains(id));
    scene.operator().stop().expect("it stops");
    let reads = scene.proxy.on_where(is_of_the_rest.clone()).hold();
    scene.count_from_now();
    let sixteen = ["--concurrency", "16"].map(str::to_owned);
    scene.operator().restart_with(|settings| settings.arguments.extend(sixteen)).expect("it starts");
    reads.held_times(PLACES).await;

    scene.identity("new", spec("new")).await;
    scene.ready("new").await;
    scene.request_reconcile("ada").await;
    scene.delete("bob").await;
    scene.gone("bob").await;

    let seen = scene.proxy.seen();
    let begun = seen.iter().filter(|seen| is_of_the_rest(&seen.label, &seen.path)).count();
    assert_eq!(begun, PLACES, "the others wait still");
    reads.release();
    scene.proxy.clear_faults();
    scene.request_reconcile("settled-0").await;
}

#[rstest::rstest]
#[case::in_other_namespaces(2000, &["a", "b", "z"])]
#[case::in_its_own(1000, &[])]
#[tokio::test]
async fn one_that_is_applied_while_thousands_wait_is_ready_long_before_they_are(
    #[case] waiting: usize,
    #[case] others: &[&str],
) {
    let mut scene = Scene::own().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "requestTimeout": "30s"})).await;
    let mut namespaces = Vec::new();
    for suffix in others {
        namespaces.push(scene.other_namespace(suffix, &[]).await);
    }
    if namespaces.is_empty() {
        namespaces.push(scene.namespace.clone());
    }
    scene.operator().stop().expect("it stops");
    for (number, namespace) in namespaces.iter().enumerate() {
        let (from, to) = (number * waiting / namespaces.len(), (number + 1) * waiting / namespaces.len());
        apply_in(namespace, &scene, from..to, |number| customer(&scene, number)).await;
    }
    scene.count_from_now();
    scene.operator().restart().expect("it starts");
    let begun = eventually("the first ones are made", WITHIN, async || (scene.proxy.count(BATCH) > 0).then_some(()));
    begun.await.expect("it begins");

    scene.identity("new", customer(&scene, waiting)).await;
    scene.ready("new").await;
    let written = writes(&scene, STATUS);
    let before = written.iter().position(|path| path.ends_with("/new/status")).expect("it was told");
    // 256 are under way when it comes, and others take turns with it.
    assert!(before <= 700, "{before} of {waiting} went before it");
}
