//! The writes to Kubernetes: a status, adding a finalizer, removing a finalizer. Nothing else of a user's resource is written.
//! Beside them [`own_secret`]: Secrets that belong to the operator.

pub mod own_secret;

use kube::Api;
use kube::Resource;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{Instrument, Span};

/// Our field manager.
pub const FIELD_MANAGER: &str = "kratos-operator";

/// The span of a write.
pub fn writing(operation: &'static str) -> Span {
    tracing::debug_span!("kubernetes", operation)
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Writes a status as a merge patch (a field that is `null` is removed). It carries the uid: a new resource with the same name
/// doesn't get its predecessor's status. `has_concurrent_writers`: other processes may write it too. Then it carries the
/// `resourceVersion` as well, so that a late write can't overwrite another process' newer one; `object` is the newest version
/// known.
pub async fn status<K>(
    api: &Api<K>,
    object: &impl Resource,
    status: &impl Serialize,
    has_concurrent_writers: bool,
) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned,
{
    if has_concurrent_writers {
        return guarded_status(api, object, status).await;
    }
    let meta = object.meta();
    let patch = json!({"metadata": {"uid": meta.uid}, "status": status});
    let name = meta.name.as_deref().unwrap_or_default();
    api.patch_status(name, &params(), &Patch::Merge(patch)).instrument(writing("patch_status")).await
}

/// Writes part of a status, on condition that the object hasn't changed since it was read; else 409.
pub async fn guarded_status<K>(api: &Api<K>, object: &impl Resource, status: &impl Serialize) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned,
{
    let meta = object.meta();
    let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": status});
    let name = meta.name.as_deref().unwrap_or_default();
    api.patch_status(name, &params(), &Patch::Merge(patch)).instrument(writing("patch_status")).await
}

/// Adds a finalizer; 409 where the object has changed since it was read, so that of two writers one notices the other.
pub async fn add_finalizer<K>(api: &Api<K>, object: &impl Resource, finalizer: &str) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.push(finalizer.to_owned());
    write_finalizers(api, object, &finalizers).await
}

/// Removes a finalizer; 409 as above. `Ok(())` where the object is gone.
pub async fn remove_finalizer<K>(api: &Api<K>, object: &impl Resource, finalizer: &str) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.retain(|other| other != finalizer);
    match write_finalizers(api, object, &finalizers).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn write_finalizers<K>(api: &Api<K>, object: &impl Resource, finalizers: &[String]) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let meta = object.meta();
    let patch = json!({
        "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": finalizers},
    });
    let name = meta.name.as_deref().unwrap_or_default();
    api.patch(name, &params(), &Patch::Merge(patch)).instrument(writing("patch_finalizers")).await
}

/// Whether a write failed because the object was changed meanwhile.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
