//! Many at once: creates travel together, the guilty alone are refused, and nothing is lost or made twice.

use std::collections::{BTreeMap, BTreeSet};

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
async fn all(
    scene: &Scene,
    what: &str,
    is_done: impl Fn(&KratosIdentity) -> bool,
) -> BTreeMap<String, KratosIdentity> {
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
    let scene = Scene::shared().await;
    // They wait for an instance that doesn't answer yet.
    scene.proxy.down();
    let spec = scene.instance_spec(json!({"requestTimeout": "30s"}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    apply(&scene, COUNT, |number| customer(&scene, number)).await;
    scene.count_from_now();
    scene.proxy.up().expect("it listens again");
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;

    let requests = count_of(&scene, BATCH) + count_of(&scene, CREATE);
    let writes = scene.kubernetes_writes();
    println!("{requests} requests: {:?}", scene.proxy.counts());
    assert!(COUNT >= 50 * requests, "{requests} requests: {:?}", scene.proxy.counts());
    assert_eq!(count_of(&scene, READ), 0);
    let about_identities = |label: &&String| label.contains("kratosidentities");
    let writes: Vec<_> = writes.iter().filter(about_identities).collect();
    let statuses = writes.iter().filter(|label| label.ends_with("/status")).count();
    // Whoever waits for the instance for more than a moment says so once.
    assert_eq!(writes.len() - statuses, COUNT, "one finalizer each");
    assert!(statuses <= COUNT + COUNT, "{statuses}");

    // What is remembered of them is what a listing shows: the next resync reads none of them.
    let resync = scene.instance_spec(json!({"requestTimeout": "30s", "resyncInterval": "10s"}));
    scene.count_from_now();
    scene.apply_instance(&scene.namespace, "default", resync).await;
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
