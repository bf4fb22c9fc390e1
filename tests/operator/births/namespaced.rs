//! Births to an operator that works in namespaces of its own, each of which has a watch of its own.

use super::*;

use crate::admission_policy::policed_by;
use crate::namespaced::{LONG as MINUTES, namespaced};

/// Who waits for a listing waits for so long, and five seconds.
const WAITED: &str = "45s";

/// A resource that costs its status alone, and waits for no listing.
async fn is_born(scene: &Scene, namespace: &str, name: &str) {
    scene.count_from_now();
    scene.identity_in(namespace, name, plain(name)).await;
    scene.ready_in(namespace, name).await;
    let written = (scene.kubernetes_writes(), listings(scene));
    assert_eq!(written, (vec![STATUS.to_owned()], 0), "{namespace}/{name}: {:?}", scene.proxy.counts());
}

#[tokio::test]
async fn each_namespace_has_births_and_a_gap_in_the_watch_of_one_is_that_ones_alone() {
    let mut scene = namespaced(&[]).await;
    // It is this one's watch that breaks.
    scene.operator().restart_with(|settings| settings.replicas = 1).expect("it starts");
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.instance(json!({"requestTimeout": WAITED, "allowedNamespaces": {"from": "All"}})).await;
    scene.settle().await;
    let namespaces = [scene.namespace.as_str(), tenant.as_str()].join(",");
    policed_by(&scene, "of-two", &["--namespaces", &namespaces], json!({})).await;
    is_born(&scene, &scene.namespace, "ada").await;
    is_born(&scene, &tenant, "ada").await;

    // The watch of one is cut, and told that what it has seen is too old to go on from.
    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "metadata": {},
        "message": "too old resource version",
    }});
    let of_tenant = format!("/namespaces/{tenant}/");
    let about = of_tenant.clone();
    let watch = scene.cluster.proxy.on_where(move |label, path| label == WATCH && path.contains(&about));
    watch.once().answer(Answer::status(200).json(&gone));
    scene.cluster.proxy.down();
    scene.identity_in(&tenant, "gap", plain("gap")).await;
    scene.count_from_now();
    scene.cluster.proxy.up().expect("it comes up");
    let relisted = eventually("it is listed again", WITHIN, async || {
        let mut seen = scene.kubernetes_seen().into_iter();
        let is_list = |seen: &RecordedRequest| seen.label == "LIST kratosidentities" && seen.path.contains(&of_tenant);
        seen.any(|seen| is_list(&seen) && seen.status == Some(200)).then_some(())
    });
    relisted.await.expect("it is listed again");
    is_born(&scene, &scene.namespace, "beside").await;
    let waits = |now: &KratosIdentity| reason_of(now, "Reconciling", "True");
    scene.until_in(&tenant, "gap", "it waits", waits).await;
    // From its list on the watch shows everything again.
    is_born(&scene, &tenant, "after").await;
    let is_made = eventually("the listing is there", MINUTES, async || {
        let now = scene.identities_in(&tenant).get("gap").await.ok()?;
        is_ready(&now).then_some(now)
    });
    let made = is_made.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    assert!(listings(&scene) > 0, "it was looked for: {:?}", scene.proxy.counts());
    assert!(!id_of(&made).is_empty());
    assert_eq!(scene.ours().await.len(), 6, "one each, and the one that settled");
}
