//! What a reconcile of an instance shows to others: its state for resources that refer to it, its status if that changed, and
//! an event if the reason did. Decides nothing, and sends nothing to Kratos.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Api;

use super::controller::Controller;
use crate::api::instance::KratosInstance;
use crate::api::objects::InstanceObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::{ReadyCondition, Reason, condition, requested_at};
use crate::base::backoff;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::controllers::shared::recording;
use crate::controllers::shared::references;
use crate::instance::counts::{Known, Resynced};
use crate::instance::handle::Handle;
use crate::instance::protector::Protector;
use crate::instance::registry::Entry;
use crate::instance::status;
use crate::kubernetes::kube_write;

/// How often a Secret or `ConfigMap` is read again that doesn't exist, or can't be used.
const LOOK_FOR_SECRETS: Duration = Duration::from_secs(5);
/// How often an instance that is being deleted checks whether anything still refers to it, should a change be missed.
pub(super) const LOOK_FOR_REFERENCES: Duration = Duration::from_secs(10);

/// An instance that can't be called as it is, or isn't to be.
pub(super) async fn unusable(
    instance: &KratosInstance,
    key: NamespacedName,
    controller: &Controller,
    condition: ReadyCondition,
) -> Result<ReconcileResult, kube::Error> {
    let is_news = !matches!(controller.registry.get(&key), Some(Entry::Unusable(before)) if before == condition);
    controller.registry.remove(&key);
    controller.registry.set(key.clone(), Entry::Unusable(condition.clone()));
    if condition.reason == Reason::Suspended {
        // Before the status says it: whoever reads that relies on it.
        controller.registry.fence(&key).raise().await;
    }
    let written = write(instance, &condition, (None, None), None, controller).await;
    if is_news {
        controller.queues.enqueue_waiting(references::referring(&controller.seen, &key), &controller.seen);
        controller.policy_triggers.instance_changed(&key);
    }
    written?;
    let is_deleting = instance.metadata.deletion_timestamp.is_some();
    let next = match condition.reason {
        Reason::Suspended if is_deleting => Requeue::After(LOOK_FOR_REFERENCES),
        Reason::NotPermitted | Reason::Suspended => Requeue::OnChange,
        // A Secret or ConfigMap that comes late, or is corrected, is noticed.
        _ => Requeue::After(backoff::jitter(LOOK_FOR_SECRETS)),
    };
    Ok(next.with_reason(condition.reason))
}

/// The status of one that can be called.
pub(super) async fn write_status(
    instance: &KratosInstance,
    condition: &ReadyCondition,
    handle: &Handle,
    controller: &Controller,
) -> Result<(), kube::Error> {
    let shared = &handle.shared;
    let counted = shared.counts.resynced().map(|resynced| {
        let managed = references::managed(&controller.seen, &handle.key);
        let pending = shared.grace_periods.running();
        let is_settled = shared.counts.is_settled(managed, pending.count);
        let known = Known { managed, pending, is_settled };
        Counted { counts: (resynced, known), interval: handle.settings.resync_interval }
    });
    write(instance, condition, (shared.schemas.ids(), counted), Some(&shared.protector), controller).await
}

/// What was counted, and how often it is counted anew.
struct Counted {
    counts: (Resynced, Known),
    interval: Duration,
}

/// Writes the status where it changed, and an event where [`status::is_news`].
async fn write(
    instance: &KratosInstance,
    condition: &ReadyCondition,
    (schemas, counted): (Option<Vec<String>>, Option<Counted>),
    protector: Option<&Protector>,
    controller: &Controller,
) -> Result<(), kube::Error> {
    let generation = instance.metadata.generation.unwrap_or_default();
    let asked = (generation, requested_at(instance.metadata.annotations.as_ref()));
    let told = instance.status.as_ref().and_then(|status| status.protection.clone());
    let mut current = instance.status.clone().map(status::without_others);
    let mut next = status::next(current.as_ref(), condition, controller.cluster(), schemas, asked, Timestamp::now());
    let stands = protector.and_then(|protector| protector.for_status(instance.metadata.uid.as_deref()));
    status::note_protection(&mut next, stands, told.as_ref());
    if let Some(current) = &mut current {
        current.protection = told.filter(|_| next.protection.is_some());
    }
    let current = current.as_ref();
    let (lacking, leaving) = (controller.access.lacking(), controller.seen.leaving_namespaces());
    status::note_lacking(&mut next, &lacking, &leaving, generation, Timestamp::now());
    if let Some(Counted { counts, interval }) = counted {
        let is_written = current != Some(&next);
        status::note_counts(&mut next, counts, is_written, interval, Timestamp::now());
    }
    if current == Some(&next) {
        return Ok(());
    }
    let key = NamespacedName::of(instance);
    let api = api(controller, &key);
    let Some(now) = controller.seen.newest(&controller.seen.instances, &controller.seen.instance_mutations, instance)
    else {
        return Ok(());
    };
    // There the protection may be on its way into the status.
    let is_guarded = controller.has_concurrent_writers || leaving.contains(&key.namespace);
    let written = kube_write::status(&api, &*now, &next, is_guarded);
    // The operator that speaks for the instance says how it stands.
    let Some(written) = controller.instance_leases.while_leading(&key, written).await else { return Ok(()) };
    if !recording::is_written(written, &controller.seen.instance_mutations)? {
        return Ok(());
    }
    if status::is_news(current, condition) {
        let (reason, note) = (condition.reason.as_str(), condition.message.as_str());
        let is_done = condition.reason.state() == condition::State::Done;
        let event = if is_done {
            RecordedEvent::normal(reason, "Reconcile", note)
        } else {
            RecordedEvent::warning(reason, "Reconcile", note)
        };
        controller.events.publish(instance, event);
    }
    Ok(())
}

pub fn api(controller: &Controller, key: &NamespacedName) -> Api<InstanceObject> {
    Api::namespaced(controller.client.clone(), &key.namespace)
}
