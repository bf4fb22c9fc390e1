//! The intent, before anything is created: the finalizer, and the instance in the status.

use super::controller::Controller;
use super::inputs;
use super::record::api;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, has_finalizer};
use crate::base::namespaced_name::NamespacedName;
use crate::engine::failure::ReconcileError;
use crate::engine::identity::inputs::{reference, uid};
use crate::engine::identity::memory::Creators;
use crate::identity::claim::Claimant;
use crate::identity::plan::Plan;
use crate::identity::{progress, status};
use crate::instance::Handle;
use crate::kubernetes::kube_write;

/// The finalizer is the intent: it is there before anything is created. The instance carries its own first.
pub async fn ensure_finalizer(
    resource: &KratosIdentity,
    (instance, claimant): (&Handle, &Claimant),
    plan: &Plan,
    controller: &Controller,
) -> Result<(), ReconcileError> {
    if !instance.shared.is_held_for(&NamespacedName::of(resource)) {
        controller.queues.enqueue_instance(&instance.key);
        return Err(ReconcileError::Waiting(progress::unheld()));
    }
    if plan.creates() {
        inputs::ensure_admitted((instance, claimant), controller).await?;
    }
    let pinned = pin(resource, (instance, claimant), controller).await?;
    if has_finalizer(resource, IDENTITY_FINALIZER) {
        controller.memory.hold(&uid(resource));
        // Writing the finalizer shows that nobody else has taken over; here only a read does.
        return if plan.creates() { inputs::ensure_own(resource, controller).await } else { Ok(()) };
    }
    let api = api(resource, controller);
    let permit = controller.kubernetes.acquire(&claimant.namespace).await;
    let written: IdentityObject = match &pinned {
        Some(pinned) => kube_write::add_finalizer(&api, pinned, IDENTITY_FINALIZER).await?,
        None => kube_write::add_finalizer(&api, resource, IDENTITY_FINALIZER).await?,
    };
    drop(permit);
    controller.seen.identity_mutations.note(written);
    controller.memory.update(&uid(resource), |remembered| remembered.creators = Creators::Us);
    Ok(())
}

/// Where the status lets people name another instance it says first that they may not any more: whoever does so at the same time
/// has this refused, or is refused. Returns the resource as it is then.
async fn pin(
    resource: &KratosIdentity,
    (instance, claimant): (&Handle, &Claimant),
    controller: &Controller,
) -> Result<Option<IdentityObject>, ReconcileError> {
    // The answer to what opened it may be lost: then the status that is known doesn't show it.
    let is_opened = controller.memory.recall(&uid(resource)).opened;
    let is_open = is_opened || resource.status.as_ref().is_some_and(status::is_open);
    let Some(mut pinned) = resource.status.clone().filter(|_| is_open) else { return Ok(None) };
    pinned.instance = Some(reference(&instance.key));
    let permit = controller.kubernetes.acquire(&claimant.namespace).await;
    let written: IdentityObject = kube_write::guarded_status(&api(resource, controller), resource, &pinned).await?;
    drop(permit);
    controller.seen.identity_mutations.note(written.clone());
    controller.memory.update(&uid(resource), |remembered| remembered.opened = false);
    Ok(Some(written))
}
