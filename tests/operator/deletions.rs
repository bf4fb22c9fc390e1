//! Many deletions at once: what they cost.

use std::time::Duration;

use kratos_operator::api::KratosIdentity;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::many::{DELETE, FINALIZER, LIST, STATUS, all, apply, customer, everybody, is_ready, single_reads, writes};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

/// For so long reads that come in quick succession are gathered, at least.
const GATHERED: Duration = Duration::from_millis(40);

/// How often one goes into the other.
fn whole(span: Duration, part: Duration) -> usize {
    usize::try_from(span.as_millis() / part.as_millis()).expect("a number")
}

#[tokio::test]
async fn two_hundred_at_once_share_reads_and_protection_and_cost_one_delete_and_one_finalizer_each() {
    const COUNT: usize = 200;
    let scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 1000}, "requestTimeout": "30s"})).await;
    apply(&scene, 0..COUNT, |number| customer(&scene, number)).await;
    all(&scene, "all are Ready", is_ready).await;
    // All are looked at together, once the instance answers again.
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
    let reads = single_reads(&scene);
    let span = reads.last().map_or(Duration::ZERO, |last| last.at - reads[0].at);
    let reads = reads.len();
    // A request carries as many as come within a moment: on a slow machine there are more moments.
    let allowed = (COUNT / 4).max(1 + whole(span, GATHERED));
    assert!(reads <= allowed, "{reads} reads in {span:?}: {counts:?}");
    assert!(scene.proxy.count(LIST) <= reads + 5, "the probe, a page: {counts:?}");
    assert_eq!((writes(&scene, FINALIZER).len(), writes(&scene, STATUS).len()), (COUNT, 0), "one finalizer each");
    let instance = writes(&scene, "PATCH kratosinstances/status").len();
    assert!(instance <= 6, "{instance} writes of the instance");
    assert_eq!(everybody(&scene).await, 0);
}
