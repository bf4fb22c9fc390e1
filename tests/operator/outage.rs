//! Hundreds of resources and a Kratos that is gone for a while: what is asked of it meanwhile, what is written, and how all
//! is made good once it is back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kratos_operator::api::condition;
use serde_json::json;

use crate::many::{
    BATCH, CHANGE, CREATE, DELETE, LIST, STATUS, all, apply, customer, hold_true, is_ready, name, single_reads, writes,
};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

/// Ready before: some of these are changed meanwhile, some are deleted.
const BEFORE: usize = 300;
const CHANGED: std::ops::Range<usize> = 0..40;
const DELETED: std::ops::Range<usize> = 40..60;
/// Applied meanwhile.
const NEW: std::ops::Range<usize> = BEFORE..BEFORE + 40;
/// A read whose connection was lost is sent up to three times: the connection might have been stale.
const ATTEMPTS: usize = 3;
/// Seconds between probes: half of these at least, and never more.
const PAUSES: [u64; 4] = [1, 2, 4, 8];

/// When each probe began: its attempts follow one another within less than the shortest pause.
fn probes(scene: &Scene) -> Vec<Instant> {
    let mut probes: Vec<Instant> = Vec::new();
    let mut last = None;
    for seen in scene.proxy.seen().into_iter().filter(|seen| seen.label == LIST) {
        if last.is_none_or(|last| seen.at > last + Duration::from_millis(450)) {
            probes.push(seen.at);
        }
        last = Some(seen.at);
    }
    probes
}

/// When the operator last wrote about a resource.
fn last_write(scene: &Scene) -> Option<Instant> {
    let is_write = |seen: &RecordedRequest| seen.label.starts_with("PATCH kratosidentities");
    scene.kubernetes_seen().into_iter().filter(is_write).map(|seen| seen.at).max()
}

#[tokio::test]
async fn hundreds_cost_a_kratos_that_is_gone_its_probes_and_are_made_good_within_seconds_of_its_return() {
    let scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 1000}})).await;
    apply(&scene, 0..BEFORE, |number| customer(&scene, number)).await;
    all(&scene, "all are Ready", is_ready).await;
    scene.count_from_now();

    scene.proxy.on("*").refuse();
    // Somebody's reconcile finds out.
    let asked = json!({"metadata": {"annotations": {"kratos-operator.dev/reconcile-requested-at": "now"}}});
    scene.patch(&name(BEFORE - 1), asked).await;
    let is_down = |instance: &kratos_operator::api::KratosInstance| {
        let found = condition::find(&instance.status.as_ref()?.conditions, "Reconciling")?;
        (found.reason == "KratosUnavailable").then_some(())
    };
    scene.instance_until("default", "KratosUnavailable", is_down).await;
    let silver = |number: usize| {
        let mut spec = customer(&scene, number);
        spec["metadataPublic"]["plan"] = json!("silver");
        spec
    };
    apply(&scene, CHANGED, silver).await;
    apply(&scene, NEW, |number| customer(&scene, number)).await;
    let scene = &scene;
    stream::iter(DELETED).for_each_concurrent(16, async |number| scene.delete(&name(number)).await).await;
    let lasted = eventually("it is probed ever less often", WITHIN, async || {
        Some(probes(scene)).filter(|probes| probes.len() > PAUSES.len())
    });
    let probed = lasted.await.expect("it is probed");
    for (pair, most) in probed.windows(2).zip(PAUSES) {
        let pause = pair[1] - pair[0];
        assert!(pause * 2 >= Duration::from_secs(most), "{pause:?} of {most} s");
    }
    let lasted = probed[probed.len() - 1] - probed[0];
    let counts = scene.proxy.counts();
    let requests: usize = counts.values().sum();
    assert!(requests <= ATTEMPTS * (1 + probed.len()), "one look and the probes, in {lasted:?}: {counts:?}");
    let mut told = BTreeMap::new();
    for path in writes(scene, STATUS) {
        *told.entry(path).or_insert(0) += 1;
    }
    let about =
        |number: usize| told.iter().find(|(path, _)| path.contains(&name(number))).map_or(0, |(_, count)| *count);
    for number in 0..NEW.end {
        let is_concerned = CHANGED.contains(&number) || DELETED.contains(&number) || NEW.contains(&number);
        assert!(about(number) <= usize::from(is_concerned), "{number} was told {} times", about(number));
    }

    scene.count_from_now();
    scene.proxy.clear_faults();
    let resources = all(scene, "all are as they should be", is_ready).await;
    let gone = eventually("those deleted are gone", WITHIN, async || {
        let left = scene.identities().list_metadata(&kube::api::ListParams::default()).await.ok()?.items.len();
        (left == BEFORE - DELETED.len() + NEW.len()).then_some(())
    });
    gone.await.expect("they go");
    let seen = scene.proxy.seen();
    let back = seen.iter().find(|seen| seen.status == Some(200)).expect("a probe that was answered").at;
    let took = last_write(scene).expect("it was written") - back;
    // Deletions wait two seconds for others before they go.
    assert!(took < Duration::from_secs(12), "{took:?}");

    // No herd: those that nothing happened to aren't read, and no work is done twice.
    let counts = scene.proxy.counts();
    let reads = single_reads(scene).len();
    assert!(reads <= CHANGED.len() + DELETED.len() + 1, "{reads} reads: {counts:?}");
    assert_eq!((scene.proxy.count(CHANGE), scene.proxy.count(DELETE)), (CHANGED.len(), DELETED.len()), "{counts:?}");
    let creates = scene.proxy.count(CREATE) + scene.proxy.count(BATCH);
    assert!(creates <= 9, "{creates} requests: {counts:?}");
    let others = seen.len() - reads - creates - CHANGED.len() - DELETED.len();
    assert!(others <= 10, "the probe, schemas, a page: {counts:?}");
    let statuses = writes(scene, STATUS).len();
    assert_eq!(statuses, CHANGED.len() + NEW.len() + 1, "one each, and the one that was asked for");
    hold_true(scene, resources.values()).await;
    let silver = scene
        .ours()
        .await
        .into_iter()
        .filter(|identity| identity.metadata_public.read().unwrap()["plan"] == "silver")
        .count();
    assert_eq!(silver, CHANGED.len());
}
