//! What a reconcile of an instance shows to others: its state for resources that refer to it, its status if that changed, and
//! an event if the reason did. Decides nothing, and sends nothing to Kratos.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Api;

use super::controller::Controller as Context;
use crate::api::happening::Happening;
use crate::api::instance::{KratosInstance, KratosInstanceStatus};
use crate::api::objects::InstanceObject;
use crate::api::{Reason, Verdict, condition, requested_at};
use crate::base::backoff;
use crate::base::place::Place;
use crate::controllers::queue::{Looked, Next};
use crate::controllers::shared::recording;
use crate::controllers::shared::references;
use crate::instance::counts::{Known, Resynced};
use crate::instance::handle::Handle;
use crate::instance::registry::Entry;
use crate::kubernetes::kube_write;

/// How often a Secret or `ConfigMap` that isn't there, or of no use, is looked for.
const LOOK_FOR_SECRETS: Duration = Duration::from_secs(5);
/// How often an instance that is being deleted looks whether anything still refers to it, should a change be missed.
pub(super) const LOOK_FOR_REFERENCES: Duration = Duration::from_secs(10);

/// An instance that can't be called as it is, or isn't to be.
pub(super) async fn unusable(
    instance: &KratosInstance,
    place: Place,
    context: &Context,
    verdict: Verdict,
) -> Result<Looked, kube::Error> {
    let is_news = !matches!(context.registry.get(&place), Some(Entry::Unusable(before)) if before == verdict);
    context.registry.remove(&place);
    context.registry.set(place.clone(), Entry::Unusable(verdict.clone()));
    if verdict.reason == Reason::Suspended {
        // Before the status says it: whoever reads that relies on it.
        context.registry.cutoff(&place).cut().await;
    }
    let written = write(instance, &verdict, (None, None), context).await;
    if is_news {
        context.ask_waiting(references::referring(&context.seen, &place));
        context.policy_pokes.instance_changed(&place);
    }
    written?;
    let is_deleting = instance.metadata.deletion_timestamp.is_some();
    let next = match verdict.reason {
        Reason::Suspended if is_deleting => Next::After(LOOK_FOR_REFERENCES),
        Reason::NotPermitted | Reason::Suspended => Next::WhenAsked,
        // A Secret or ConfigMap that comes late, or is corrected, is looked for.
        _ => Next::After(backoff::spread(LOOK_FOR_SECRETS)),
    };
    Ok(next.after_one(verdict.reason))
}

/// The status of one that can be called.
pub(super) async fn write_status(
    instance: &KratosInstance,
    verdict: &Verdict,
    handle: &Handle,
    context: &Context,
) -> Result<(), kube::Error> {
    let shared = &handle.shared;
    let counted = shared.counts.resynced().map(|resynced| {
        let managed = references::managed(&context.seen, &handle.place);
        let is_settled = shared.counts.is_settled(managed);
        let known = Known { managed, pending: shared.pending.running(), is_settled };
        Counted { counts: (resynced, known), interval: handle.settings.resync_interval }
    });
    write(instance, verdict, (shared.schemas.ids(), counted), context).await
}

/// What was counted, and how often it is counted anew.
struct Counted {
    counts: (Resynced, Known),
    interval: Duration,
}

/// Writes the status where it changed, and an event where the reason did.
async fn write(
    instance: &KratosInstance,
    verdict: &Verdict,
    (schemas, counted): (Option<Vec<String>>, Option<Counted>),
    context: &Context,
) -> Result<(), kube::Error> {
    let generation = instance.metadata.generation.unwrap_or_default();
    let asked = (generation, requested_at(instance.metadata.annotations.as_ref()));
    let current = instance.status.clone().map(crate::instance::status::without_others);
    let current = current.as_ref();
    let mut next = crate::instance::status::next(current, verdict, context.cluster(), schemas, asked, Timestamp::now());
    let (lacking, leaving) = (context.access.lacking(), context.seen.leaving_namespaces());
    crate::instance::status::note_lacking(&mut next, &lacking, &leaving, generation, Timestamp::now());
    if let Some(Counted { counts, interval }) = counted {
        let is_written = current != Some(&next);
        crate::instance::status::note_counts(&mut next, counts, is_written, interval, Timestamp::now());
    }
    if current == Some(&next) {
        return Ok(());
    }
    let place = Place::of(instance);
    let api = api(context, &place);
    let Some(now) = context.seen.newest(&context.seen.instances, &context.seen.latest_instances, instance) else {
        return Ok(());
    };
    let written = kube_write::status(&api, &*now, &next, context.has_rivals());
    // The operator that speaks for the instance says how it stands.
    let Some(written) = context.leads.while_speaking(&place, written).await else { return Ok(()) };
    if !recording::is_written(written, &context.seen.latest_instances)? {
        return Ok(());
    }
    let reason_before = |status: &KratosInstanceStatus| {
        condition::find(&status.conditions, condition::STALLED)
            .or_else(|| condition::find(&status.conditions, condition::RECONCILING))
            .or_else(|| condition::find(&status.conditions, condition::READY))
            .map(|condition| condition.reason.clone())
    };
    if current.and_then(reason_before).as_deref() != Some(verdict.reason.as_str()) {
        let (reason, note) = (verdict.reason.as_str(), verdict.message.as_str());
        let is_done = verdict.reason.state() == condition::State::Done;
        let happening = if is_done {
            Happening::normal(reason, "Reconcile", note)
        } else {
            Happening::warning(reason, "Reconcile", note)
        };
        context.events.publish(instance, happening);
    }
    Ok(())
}

pub fn api(context: &Context, place: &Place) -> Api<InstanceObject> {
    Api::namespaced(context.client.clone(), &place.namespace)
}
