//! Namespaces that were restored under their name take their identities back. Which namespace takes back by which entry of
//! `reclaimNamespaces` is persisted first, so a later namespace of that name gets nothing.

use std::sync::Arc;

use kube::Api;
use serde_json::json;

use super::informers::Informers;
use crate::api::instance::{KratosInstance, ReclaimedNamespace};
use crate::api::objects::InstanceObject;
use crate::instance::handle::Handle;
use crate::kubernetes::kube_write;

/// How often the write is tried anew at once because the instance was changed meanwhile.
const TRIES: usize = 5;

/// The uids of former namespaces whose identities the namespace with this uid may take back: those of the spec that no other one
/// has taken.
pub fn open_to(handle: &Handle, uid: &str, seen: &Informers) -> Vec<String> {
    let wanted = &handle.settings.reclaim_namespaces;
    if wanted.is_empty() {
        return Vec::new();
    }
    let object = seen.instance(&handle.key);
    let taken = object.as_deref().and_then(|object| object.0.as_ref().ok()).map(taken).unwrap_or_default();
    let is_open = |from: &&String| taken.iter().all(|entry| entry.from != **from || entry.to == uid);
    wanted.iter().filter(is_open).cloned().collect()
}

/// Notes that the namespace `to` takes back what `from` has left. Returns which namespace does, since another one may have been
/// first; `None`: it couldn't be noted.
pub async fn take(
    handle: &Handle,
    from: &str,
    to: &str,
    (client, known): (&kube::Client, &Informers),
) -> Result<Option<String>, kube::Error> {
    // Many resources of a namespace ask at the same time: the first one writes.
    let _turn = handle.shared.reclaiming.lock().await;
    let api: Api<InstanceObject> = Api::namespaced(client.clone(), &handle.key.namespace);
    let mut seen = known.instance(&handle.key);
    for _ in 0..TRIES {
        let Some(instance) = seen.as_deref().and_then(|object| object.0.as_ref().ok()) else { return Ok(None) };
        let mut all = taken(instance);
        if let Some(entry) = all.iter().find(|entry| entry.from == from) {
            return Ok(Some(entry.to.clone()));
        }
        // What isn't in the spec any more has been served.
        all.retain(|entry| instance.spec.reclaim_namespaces.contains(&entry.from));
        all.push(ReclaimedNamespace { from: from.to_owned(), to: to.to_owned() });
        match kube_write::guarded_status(&api, instance, &json!({ "reclaimedNamespaces": all })).await {
            Ok(written) => {
                known.instance_mutations.note(written);
                return Ok(Some(to.to_owned()));
            }
            Err(error) if kube_write::is_conflict(&error) => {
                seen = api.get_opt(&handle.key.name).await?.map(Arc::new);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The name of a namespace that is there although the spec says that it is gone.
pub fn alive(handle: &Handle, seen: &Informers) -> Option<String> {
    let wanted = &handle.settings.reclaim_namespaces;
    if wanted.is_empty() {
        return None;
    }
    let namespaces = seen.namespaces.state().into_iter();
    let named = namespaces.filter(|it| it.metadata.uid.as_ref().is_some_and(|uid| wanted.contains(uid)));
    named.filter_map(|it| it.metadata.name.clone()).min()
}

fn taken(instance: &KratosInstance) -> Vec<ReclaimedNamespace> {
    instance.status.as_ref().map(|status| status.reclaimed_namespaces.clone()).unwrap_or_default()
}
