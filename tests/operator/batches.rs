//! Many at once: creates share a batch, the guilty alone are refused, and nothing is lost or made twice.

use serde_json::json;

use crate::many::{
    BATCH, CREATE, FINALIZER, LIST, READ, STATUS, all, apply, customer, hold_true, is_ready, name, single_reads, writes,
};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

#[tokio::test]
async fn a_thousand_that_are_there_when_it_starts_share_requests_and_cost_two_writes_each_and_no_look_up() {
    const COUNT: usize = 1000;
    let mut scene = Scene::own().await;
    scene.operator().stop().expect("it stops");
    let spec = scene.instance_spec(json!({"requestTimeout": "30s", "resyncInterval": "20s"}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    apply(&scene, 0..COUNT, |number| customer(&scene, number)).await;
    scene.count_from_now();
    scene.operator().restart().expect("it starts");
    let resources = all(&scene, "all are Ready", is_ready).await;
    let counts = scene.proxy.counts();
    let requests = scene.proxy.count(BATCH) + scene.proxy.count(CREATE);
    assert!(requests <= COUNT / 50, "{requests} requests: {counts:?}");
    let reads = single_reads(&scene);
    assert_eq!(reads.len(), 0, "nobody is read, before it is made or after: {counts:?}");
    assert_eq!(writes(&scene, FINALIZER).len(), COUNT, "one finalizer each");
    assert_eq!(writes(&scene, STATUS).len(), COUNT, "one status each");
    hold_true(&scene, resources.values()).await;

    // What is remembered of them is what a listing shows: a resync reads none of them.
    scene.count_from_now();
    let listed = eventually("it is listed", WITHIN, async || (pages(&scene) > COUNT / 500).then_some(()));
    listed.await.expect("it is listed");
    assert_eq!(scene.proxy.count(READ), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kratos_writes(), 0);
}

/// Pages of listings of everything.
fn pages(scene: &Scene) -> usize {
    let is_page = |seen: &RecordedRequest| {
        seen.label == LIST && !seen.parameters.iter().any(|name| name == "ids" || name == "credentials_identifier")
    };
    scene.proxy.seen().iter().filter(|seen| is_page(seen) && seen.status == Some(200)).count()
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
    apply(&scene, 0..COUNT, |number| customer(&scene, number)).await;
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;
    let look_ups = scene.proxy.seen().into_iter();
    let look_ups = look_ups.filter(|seen| seen.parameters.iter().any(|name| name == "credentials_identifier")).count();
    assert!(look_ups <= 10, "{look_ups} look-ups");
}

#[tokio::test]
async fn one_of_another_namespace_does_not_wait_for_a_crowds_batches() {
    const COUNT: usize = 400;
    let scene = Scene::own().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.instance(json!({"requestTimeout": "300s", "allowedNamespaces": {"from": "All"}})).await;
    scene.settle().await;
    let batches = scene.proxy.on(BATCH).hold();
    apply(&scene, 0..COUNT, |number| customer(&scene, number)).await;
    // As many as are in flight at most; the others wait for them.
    batches.held_times(2).await;
    let mut beside = Vec::new();
    for name in ["ada", "grace"] {
        let email = format!("{name}@{tenant}.example");
        scene.identity_in(&tenant, name, json!({"schemaID": "customer", "traits": {"email": email}})).await;
        beside.push(scene.ready_in(&tenant, name).await);
    }
    assert!(scene.ours().await.len() < COUNT / 2, "the crowd waits still: {:?}", scene.proxy.counts());
    batches.release();
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values().chain(&beside)).await;
}

#[tokio::test]
async fn killed_right_after_a_batch_was_sent_it_makes_nothing_twice() {
    const COUNT: usize = 40;
    let mut scene = Scene::own().await.with_instance().await;
    scene.settle().await;
    let batches = scene.proxy.on(BATCH).hold_answer();
    apply(&scene, 0..COUNT, |number| json!({"schemaID": "plain", "traits": {"label": name(number)}})).await;
    batches.held().await;
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;
}
