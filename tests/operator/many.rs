//! Many resources at once: applied side by side, waited for, and compared with what is in Kratos.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::{Identity, IdentityFilter};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::proxy::RecordedRequest;

pub const CREATE: &str = "POST /admin/identities";
pub const BATCH: &str = "PATCH /admin/identities";
pub const LIST: &str = "GET /admin/identities";
pub const READ: &str = "GET /admin/identities/{id}";
pub const CHANGE: &str = "PATCH /admin/identities/{id}";
pub const DELETE: &str = "DELETE /admin/identities/{id}";
pub const STATUS: &str = "PATCH kratosidentities/status";
pub const FINALIZER: &str = "PATCH kratosidentities";

/// Tests share a Kratos: addresses are of this one alone.
pub fn email(scene: &Scene, number: usize) -> String {
    format!("n{number}@{}.example", scene.namespace)
}

pub fn customer(scene: &Scene, number: usize) -> Value {
    json!({
        "schemaID": "customer",
        "traits": {"email": email(scene, number), "name": {"first": "Ada"}},
        "metadataPublic": {"plan": "gold"},
    })
}

pub fn name(number: usize) -> String {
    format!("n{number:04}")
}

/// Applies those numbers, each as `spec` has it.
pub async fn apply(scene: &Scene, numbers: impl IntoIterator<Item = usize>, spec: impl Fn(usize) -> Value) {
    apply_in(&scene.namespace, scene, numbers, spec).await;
}

pub async fn apply_in(
    namespace: &str,
    scene: &Scene,
    numbers: impl IntoIterator<Item = usize>,
    spec: impl Fn(usize) -> Value,
) {
    let applied = numbers.into_iter().map(|number| {
        let spec = spec(number);
        async move { drop(scene.identity_in(namespace, &name(number), spec).await) }
    });
    stream::iter(applied).buffer_unordered(32).collect::<()>().await;
}

/// All resources of the test's namespace by name, once `is_done` holds of each. Watched: many that are listed again and
/// again would be what takes the time.
pub async fn all(
    scene: &Scene,
    what: &str,
    is_done: impl Fn(&KratosIdentity) -> bool,
) -> BTreeMap<String, KratosIdentity> {
    let mut found = BTreeMap::new();
    let mut undone = BTreeSet::new();
    let waited = tokio::time::timeout(WITHIN * 3, async {
        let mut changes = std::pin::pin!(watcher(scene.identities(), watcher::Config::default()));
        let mut is_listed = false;
        while !(is_listed && undone.is_empty()) {
            match changes.try_next().await.expect("they can be watched") {
                Some(Event::Apply(resource) | Event::InitApply(resource)) => {
                    let name = resource.metadata.name.clone().unwrap_or_default();
                    if is_done(&resource) {
                        undone.remove(&name)
                    } else {
                        undone.insert(name.clone())
                    };
                    found.insert(name, resource);
                }
                Some(Event::Delete(resource)) => {
                    let name = resource.metadata.name.unwrap_or_default();
                    undone.remove(&name);
                    found.remove(&name);
                }
                Some(Event::Init) | None => {}
                Some(Event::InitDone) => is_listed = true,
            }
        }
    });
    if waited.await.is_err() {
        let first: Vec<_> = undone.iter().take(3).map(|name| &found[name]).collect();
        panic!("{} not: {what}\n{first:#?}\n{:?}", undone.len(), scene.proxy.counts());
    }
    found
}

pub fn is_ready(resource: &KratosIdentity) -> bool {
    reason_of(resource, "Ready", "True").is_some()
}

/// The reason of a resource that has come to an end, be it good or bad.
pub fn reason(resource: &KratosIdentity) -> Option<String> {
    reason_of(resource, "Ready", "True").or_else(|| reason_of(resource, "Stalled", "True"))
}

/// Each of these has exactly the identity that its status names, whose mark names it; and there are no others of ours.
pub async fn hold_true<'a>(scene: &Scene, resources: impl Iterator<Item = &'a KratosIdentity>) {
    let said: BTreeMap<_, _> =
        resources.map(|resource| (id_of(resource), resource.metadata.name.clone().unwrap_or_default())).collect();
    let ours = scene.ours().await;
    assert_eq!(ours.len(), said.len(), "none is lost, none is there twice");
    let marked = |identity: Identity| {
        let name = identity.metadata_admin.read().unwrap()["kratos-operator.dev"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (identity.id, name)
    };
    assert_eq!(ours.into_iter().map(marked).collect::<BTreeMap<_, _>>(), said);
}

/// Ids of our identities by the resource that their marks name. Panics where one has two.
pub async fn ids_by_name(scene: &Scene) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for identity in scene.ours().await {
        let name = identity.metadata_admin.read().unwrap()["kratos-operator.dev"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let other = ids.insert(name.clone(), identity.id.clone());
        assert_eq!(other, None, "{name} has two identities");
    }
    ids
}

/// How many identities there are in all, whosever they are.
pub async fn everybody(scene: &Scene) -> usize {
    let filter = IdentityFilter { page_size: Some(250), ..IdentityFilter::default() };
    let pages: Vec<_> = scene.admin().list_identities(filter).try_collect().await.expect("a listing");
    pages.iter().map(|page| page.items.len()).sum()
}

/// Requests for identities one by one, or a few together: by id, by ids (a probe asks for that of nobody), by identifier.
pub fn single_reads(scene: &Scene) -> Vec<RecordedRequest> {
    let ids = |seen: &RecordedRequest| seen.parameters.iter().filter(|name| *name == "ids").count();
    let is_by_identifier = |seen: &RecordedRequest| seen.parameters.iter().any(|name| name == "credentials_identifier");
    let is_single = |seen: &RecordedRequest| {
        seen.label == READ || (seen.label == LIST && (ids(seen) > 1 || is_by_identifier(seen)))
    };
    scene.proxy.seen().into_iter().filter(is_single).collect()
}

/// Writes of the operator about resources of this sort of label, as they came, since counting began.
pub fn writes(scene: &Scene, label: &str) -> Vec<String> {
    let about = format!("/namespaces/{}", scene.namespace);
    let seen = scene.kubernetes_seen().into_iter();
    seen.filter(|seen| seen.label == label && seen.path.contains(&about)).map(|seen| seen.path).collect()
}
