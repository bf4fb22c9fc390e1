//! Inputs again, right before something is created: that the resource, and its namespace, are still what was seen. Live reads; what
//! a reconcile begins with is gathered in `engine/identity/inputs.rs`.

use kube::{Api, Resource, ResourceExt};

use super::controller::Controller;
use super::record::api;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::engine::failure::ReconcileError;
use crate::engine::identity::inputs::{not_permitted, uid};
use crate::engine::identity::memory::Creators;
use crate::identity::claim::Claimant;
use crate::identity::progress;
use crate::instance::{Handle, consent};

/// Right before something is created, where namespaces aren't watched: that the resource's is still the one that was seen,
/// and is admitted. A live read.
pub async fn ensure_admitted(
    (instance, claimant): (&Handle, &Claimant),
    controller: &Controller,
) -> Result<(), ReconcileError> {
    if controller.options.namespaces.is_none() {
        return Ok(());
    }
    let key = &instance.key;
    let permit = controller.kubernetes.acquire(&claimant.namespace).await;
    let live = controller.neighbours.there(&claimant.namespace).await?;
    drop(permit);
    let allowed = instance.settings.allowed_namespaces.as_ref();
    let is_admitted = consent::admits(allowed, &key.namespace, &claimant.namespace, live.labels());
    if is_admitted && live.uid().as_ref() == Some(&claimant.namespace_uid) {
        return Ok(());
    }
    // Others that rely on what was seen are reconciled again.
    controller.namespaces_changed.notify_one();
    if !is_admitted {
        return Err(ReconcileError::Refused(not_permitted(key, &claimant.namespace)));
    }
    Err(ReconcileError::Retry { condition: progress::another_namespace(), after: None })
}

/// Nothing is created for a resource that is another operator's by now, or gone: a live read. A former leader, which wrote
/// the finalizer, may have seen it go before the watch of this process did.
pub async fn ensure_own(resource: &KratosIdentity, controller: &Controller) -> Result<(), ReconcileError> {
    let inherited =
        || controller.leadership.is_elected() && controller.memory.recall(&uid(resource)).creators == Creators::Others;
    if !controller.instance_leases.is_sharded() && !inherited() {
        return Ok(());
    }
    let api: Api<IdentityObject> = api(resource, controller);
    let live = api.get_opt(&resource.name_any()).await?;
    if live.is_some_and(|live| live.meta().uid == resource.meta().uid && controller.seen.is_own(&live)) {
        return Ok(());
    }
    Err(ReconcileError::Retry { condition: progress::not_own(), after: None })
}
