//! What a look at an instance leaves behind where others see it: how it stands for whoever refers to it, its status where
//! that changed, and an event where the reason did. Decides nothing, and sends nothing to Kratos.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Api;

use super::counts::{Known, Resynced};
use super::handle::Handle;
use super::references;
use super::registry::Entry;
use crate::api::instance::{KratosInstance, KratosInstanceStatus};
use crate::api::{Reason, Verdict, condition, requested_at};
use crate::backoff;
use crate::context::{Context, InstanceObject};
use crate::events::Happening;
use crate::kube_write;
use crate::place::Place;
use crate::policy::poke;
use crate::queue::{Looked, Next};

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
        context.ask_waiting(references::referring(context, &place));
        poke::instance_changed(context, &place);
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
        let managed = references::managed(context, &handle.place);
        let pending = shared.pending.running();
        let is_settled = shared.counts.is_settled(managed, pending.count);
        let known = Known { managed, pending, is_settled };
        Counted { counts: (resynced, known), interval: handle.settings.resync_interval }
    });
    write(instance, verdict, (shared.schemas.ids(), counted), context).await
}

/// What was counted, and how often it is counted anew.
struct Counted {
    counts: (Resynced, Known),
    interval: Duration,
}

/// Whether a verdict is told as an event: where the reason changed, or something else is wrong with the manifest. (How many are held
/// changes the message too, and isn't told each time.)
pub(super) fn is_news(before: Option<&KratosInstanceStatus>, verdict: &Verdict) -> bool {
    let conditions = before.map_or(&[][..], |status| &status.conditions);
    let told = [condition::STALLED, condition::RECONCILING, condition::READY];
    let told = told.into_iter().find_map(|type_| condition::find(conditions, type_));
    told.is_none_or(|told| {
        told.reason != verdict.reason.as_str()
            || verdict.reason == Reason::InvalidSpec && told.message != verdict.message
    })
}

/// Writes the status where it changed, and an event where [`is_news`].
async fn write(
    instance: &KratosInstance,
    verdict: &Verdict,
    (schemas, counted): (Option<Vec<String>>, Option<Counted>),
    context: &Context,
) -> Result<(), kube::Error> {
    let generation = instance.metadata.generation.unwrap_or_default();
    let asked = (generation, requested_at(instance.metadata.annotations.as_ref()));
    let current = instance.status.clone().map(super::status::without_others);
    let current = current.as_ref();
    let mut next = super::status::next(current, verdict, context.cluster(), schemas, asked, Timestamp::now());
    let (lacking, leaving) = (context.access.lacking(), context.leaving_namespaces());
    super::status::note_lacking(&mut next, &lacking, &leaving, generation, Timestamp::now());
    if let Some(Counted { counts, interval }) = counted {
        let is_written = current != Some(&next);
        super::status::note_counts(&mut next, counts, is_written, interval, Timestamp::now());
    }
    if current == Some(&next) {
        return Ok(());
    }
    let place = Place::of(instance);
    let api = api(context, &place);
    let Some(now) = context.newest(&context.instances, &context.latest_instances, instance) else { return Ok(()) };
    let written = kube_write::status(&api, &*now, &next, context.has_rivals());
    // The operator that speaks for the instance says how it stands.
    let Some(written) = context.leads.while_speaking(&place, written).await else { return Ok(()) };
    match written {
        Ok(written) => context.latest_instances.note(written),
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error),
    }
    if is_news(current, verdict) {
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

pub(super) fn api(context: &Context, place: &Place) -> Api<InstanceObject> {
    Api::namespaced(context.client.clone(), &place.namespace)
}
