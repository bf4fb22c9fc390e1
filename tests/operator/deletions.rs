//! Many deletions at once: what they cost.

use kratos_operator::api::KratosIdentity;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::many::{DELETE, FINALIZER, LIST, STATUS, all, apply, customer, everybody, is_ready, single_reads, writes};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

#[tokio::test]
async fn two_hundred_at_once_share_reads_and_protection_and_cost_one_delete_and_one_finalizer_each() {
    const COUNT: usize = 200;
    let scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 1000}, "requestTimeout": "30s"})).await;
    apply(&scene, 0..COUNT, |number| customer(&scene, number)).await;
    all(&scene, "all are Ready", is_ready).await;
    // All are reconciled together, once the instance answers again.
    scene.proxy.down();
    let params = (DeleteParams::default(), ListParams::default());
    scene.identities().delete_collection(&params.0, &params.1).await.expect("they can be deleted");
    let is_told = |resource: &KratosIdentity| crate::scene::reason_of(resource, "Reconciling", "True").is_some();
    all(&scene, "all wait", is_told).await;
    scene.count_from_now();
    scene.proxy.up().expect("it listens again");
    let gone = eventually("all are gone", WITHIN, async || {
        let left = scene.identities().list_metadata(&ListParams::default()).await.ok()?.items.len();
        (left == 0).then_some(())
    });
    gone.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.proxy.counts(), scene.log()));

    let counts = scene.proxy.counts();
    assert_eq!(scene.proxy.count(DELETE), COUNT, "{counts:?}");
    let reads = single_reads(&scene).len();
    // A request carries as many as come within a moment.
    assert!(reads <= COUNT / 4, "{reads} reads: {counts:?}");
    assert!(scene.proxy.count(LIST) <= reads + 5, "the probe, a page: {counts:?}");
    assert_eq!((writes(&scene, FINALIZER).len(), writes(&scene, STATUS).len()), (COUNT, 0), "one finalizer each");
    let instance = writes(&scene, "PATCH kratosinstances/status").len();
    assert!(instance <= 2, "{instance} writes of the instance: that it answers again, and how many there are");
    let counts = writes(&scene, "POST configmaps").len() + writes(&scene, "PATCH configmaps").len();
    assert!((1..=6).contains(&counts), "{counts} writes of what was counted");
    assert_eq!(everybody(&scene).await, 0);
}
