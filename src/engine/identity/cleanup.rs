//! The deletion of a resource, in Kratos: its identity is deleted, deactivated or kept, as the manifest says. The finalizer is its
//! controller's.
//!
//! Doesn't depend on a status, and needs nothing of the spec but the deletion policy.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use super::apply;
use super::apply_error::ApplyError;
use super::final_check::{self, FinalCheck};
use super::inputs::uid;
use super::inputs::{self, Inputs};
use super::memory::{Creators, Ours};
use super::observe::Search;
use super::succession;
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::api::lifecycle::DeletionPolicy;
use crate::api::recorded_event::RecordedEvent;
use crate::api::{ReadyCondition, Reason, condition};
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Engine;
use crate::engine::failure::{ReconcileError, Sent};
use crate::identity::desired::{self, Handling};
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{self, Leaving};
use crate::identity::progress;
use crate::identity::reference;
use crate::instance::deletion_effect;
use crate::instance::protection::Deletion;
use crate::instance::protector::Answer;
use crate::instance::{Handle, readiness};
use crate::kratos::{BatchMode, Identity, WriteCause};

/// Identities that were found less than so long ago, which is more than a deletion waits for others, aren't read again
/// before they go: of many deletions each costs its share.
const RECENT: Duration = Duration::from_secs(8);
const NOT_ITS_OWN: &str = "its mark doesn't say any more that it is this resource's";
const KEPT: &str = "its deletion was held, and the annotation kratos-operator.dev/keep says that it wasn't meant";

/// What became of the identity.
pub enum Cleanup {
    Kept(&'static str),
    Deleted(usize),
    Deactivated(usize),
    /// Inactive, and to be deleted later.
    Postponed(usize, Timestamp),
    /// Nothing was done: what it stood on was changed while it waited. The resource as it is now; `None`: it is gone.
    Superseded(Option<Box<KratosIdentity>>),
}

/// Deals with the identity of a resource that is being deleted, as its manifest says.
pub async fn clean_up(resource: &KratosIdentity, engine: Engine<'_>) -> Result<Cleanup, ReconcileError> {
    let begun = Instant::now();
    if let Some(by) = succession::successor(resource, engine) {
        return replaced(resource, &by, engine).await;
    }
    let Handling { deletion, grace_period, spares_adopted, mode, suspended } = desired::handling(&resource.spec);
    if deletion == DeletionPolicy::Orphan {
        if may_have_period(resource, grace_period, engine)
            && let Err(failure) = take_back(resource, engine).await
        {
            tracing::info!(
                error = failure.message(),
                "whether a grace period had begun couldn't be seen; the resource is let go"
            );
        }
        return Ok(Cleanup::Kept("deletion.policy is Orphan (the default with spec.adoption)"));
    }
    if suspended {
        return Ok(Cleanup::Kept("spec.suspend is true"));
    }
    if mode == Mode::Observe {
        return Ok(Cleanup::Kept("spec.mode is Observe"));
    }
    let Some(going) = deletion_effect::deletion_of(resource) else { return Err(uncounted()) };
    if has_nowhere_to_be(resource, engine).await? {
        return Ok(Cleanup::Deleted(0));
    }
    let key = inputs::instance_key(resource, engine.terms.default_instance.as_ref())?;
    let namespace = resource.namespace().unwrap_or_default();
    let instance = match engine.instances.admitting(&key, &namespace).await {
        Ok(instance) => instance,
        Err(ReconcileError::Refused(condition)) if condition.reason == Reason::NotPermitted => {
            return Ok(Cleanup::Kept("the instance doesn't admit the namespace any more"));
        }
        Err(failure) => return Err(failure),
    };
    if instance.settings.mode == Mode::Observe {
        return Ok(Cleanup::Kept("the KratosInstance is in mode Observe"));
    }
    if engine.deletions.is_kept(&instance, &going) {
        return Ok(Cleanup::Kept(KEPT));
    }
    let claimant = engine.instances.claimant(resource, &instance).await?;
    let cause = if was_held(resource) { WriteCause::ProtectionRelease } else { WriteCause::Deletion };
    let inputs = Inputs::new(resource, instance, claimant, cause);
    inputs.ensure_available()?;
    inputs.ensure_whole(engine.deletions)?;
    let search = search(resource, &inputs, engine);
    // One that was counted, or released, may have been dealt with already.
    let is_granted = engine.deletions.is_granted(&inputs.instance, &going);
    let (ours, has_lost_mark) = search.all_ours(is_granted).await?;
    let found = Instant::now();
    if ours.is_empty() && has_lost_mark {
        return Ok(Cleanup::Kept(NOT_ITS_OWN));
    }
    let known = search.remembered.ours.as_deref().and_then(Ours::mark);
    let was_adopted = resource.status.as_ref().is_some_and(|status| status.adopted == Some(true));
    let is_spared = |identity: &Identity| match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) => spares_adopted && mark.adopted,
        // It was wiped: what is known of it counts, and where nothing is it stays.
        _ => spares_adopted && (was_adopted || known.as_ref().is_none_or(|known| known.adopted)),
    };
    let (kept, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(is_spared);
    if ours.is_empty() && !kept.is_empty() {
        return Ok(Cleanup::Kept("it was there before the resource, and deletion.policy doesn't say otherwise"));
    }
    let period = inputs.instance.settings.grace.period(grace_period, inputs.claimant.beside_instance);
    let ends = || if deletion == DeletionPolicy::Delete { later(period) } else { None };
    let (claimant, known) = (&inputs.claimant, known.as_ref());
    let leaving = Leaving { claimant, policy: deletion, delete_after: ends(), known };
    let steps = plan::plan_deletion(leaving, &ours)?;
    if ours.is_empty() {
        return Ok(Cleanup::Deleted(0));
    }
    if !is_granted_now(&inputs, going, engine).await? {
        return Ok(Cleanup::Kept(KEPT));
    }
    // It has waited: a period begins now.
    let delete_after = ends();
    let leaving = Leaving { delete_after, ..leaving };
    let permit = inputs.write_permit(&steps).await?;
    let client = inputs.instance.client.at_once().await;
    // The state that is noted for the identity's return is the one of now.
    let is_recent = found.elapsed() < RECENT && delete_after.is_none();
    let ours = match final_check::check(&search, ours, is_recent, begun).await? {
        FinalCheck::Unchanged(ours) => ours,
        FinalCheck::Taken => return Ok(Cleanup::Kept(NOT_ITS_OWN)),
        FinalCheck::Changed(resource) => return Ok(Cleanup::Superseded(resource)),
        FinalCheck::Replaced(by) => return replaced(resource, &by, engine).await,
    };
    let steps = plan::plan_deletion(leaving, &ours)?;
    let applied = apply::apply_by(&client, &inputs, engine.secrets, &steps, BatchMode::Batched).await;
    drop(permit);
    applied.map_err(|error| undone(error, &inputs))?;
    Ok(noted(&inputs.instance, &ours, (deletion, delete_after)))
}

/// Notes what became of identities, and of their grace periods.
fn noted(handle: &Handle, ours: &[Identity], (deletion, delete_after): (DeletionPolicy, Option<Timestamp>)) -> Cleanup {
    let shared = &handle.shared;
    let mut first = delete_after;
    for identity in ours {
        shared.managed.forget(&identity.id);
        if let Some(at) = delete_after {
            // One that ran already isn't prolonged.
            let ends = running(identity).unwrap_or(at);
            shared.grace_periods.begun(&identity.id, ends);
            first = first.min(Some(ends));
        }
    }
    match (deletion, first) {
        (DeletionPolicy::Deactivate, _) => Cleanup::Deactivated(ours.len()),
        (_, Some(ends)) => Cleanup::Postponed(ours.len(), ends),
        (DeletionPolicy::Delete | DeletionPolicy::Orphan, None) => Cleanup::Deleted(ours.len()),
    }
}

/// Whether no identity of the resource was ever seen, and the instance that it refers to isn't there (any more): a manifest with
/// a wrong name, which was born with the finalizer. An instance under which something may have been made carries a finalizer
/// itself until no resource that carries ours refers to it.
async fn has_nowhere_to_be(resource: &KratosIdentity, engine: Engine<'_>) -> Result<bool, ReconcileError> {
    let (status, remembered) = (resource.status.as_ref(), engine.memory.recall(&uid(resource)));
    let may_have_asked = remembered.creators == Creators::Us || !remembered.unanswered.is_empty();
    if may_have_asked || status.is_some_and(|status| status.identity_id.is_some()) {
        return Ok(false);
    }
    let pinned = status.and_then(|status| status.instance.as_ref());
    let pinned = pinned.map(|pinned| NamespacedName::new(pinned.namespace.clone().unwrap_or_default(), &pinned.name));
    let named = reference::instance_of(resource, engine.terms.default_instance.as_ref());
    for key in pinned.into_iter().chain(named) {
        if engine.instances.is_there(&key).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the deletion is carried out, or its identity kept. It is counted before anything is done; beyond the instance's limit
/// it is held.
async fn is_granted_now(inputs: &Inputs, going: Deletion, engine: Engine<'_>) -> Result<bool, ReconcileError> {
    match engine.deletions.ask(&inputs.instance, going).await {
        Answer::Granted => Ok(true),
        Answer::Kept => Ok(false),
        Answer::Held => Err(ReconcileError::Refused(readiness::held(&inputs.instance.key, &inputs.claimant.namespace))),
        Answer::Uncountable => Err(ReconcileError::Refused(readiness::uncountable(&inputs.instance.key))),
        Answer::Unknown => Err(uncounted()),
    }
}

/// What was to be done to the identity wasn't, or not for sure.
fn undone(error: ApplyError, inputs: &Inputs) -> ReconcileError {
    match error {
        ApplyError::Create { error, .. } | ApplyError::Other(error) => inputs.classify(&error, Sent::default()),
        ApplyError::Kubernetes(error) => error.into(),
        error @ (ApplyError::Undone | ApplyError::Taken) => {
            ReconcileError::Retry { condition: error.in_between(), after: None }
        }
    }
}

/// Another resource takes the identity over: nothing of it is touched, and the recovery that was issued goes with it.
async fn replaced(
    resource: &KratosIdentity,
    by: &KratosIdentity,
    engine: Engine<'_>,
) -> Result<Cleanup, ReconcileError> {
    succession::pass_on_secret(resource, by, engine).await?;
    Ok(Cleanup::Kept("another KratosIdentity takes it over (spec.replaces)"))
}

/// Whether it was told before that its deletion is held: if it goes now, that is because it was released.
fn was_held(resource: &KratosIdentity) -> bool {
    let conditions = resource.status.as_ref().map(|status| &status.conditions);
    let stalled = conditions.and_then(|conditions| condition::find(conditions, condition::STALLED));
    stalled.is_some_and(|stalled| stalled.reason == Reason::DeletionHeld.as_str())
}

fn uncounted() -> ReconcileError {
    ReconcileError::Retry { condition: progress::uncounted(), after: None }
}

/// Ends a grace period that had begun before the resource was let go by Orphan: its identity isn't to be deleted.
async fn take_back(resource: &KratosIdentity, engine: Engine<'_>) -> Result<(), ReconcileError> {
    let key = inputs::instance_key(resource, engine.terms.default_instance.as_ref())?;
    let instance = engine.instances.admitting(&key, &resource.namespace().unwrap_or_default()).await?;
    if instance.settings.mode == Mode::Observe {
        return Ok(());
    }
    let claimant = engine.instances.claimant(resource, &instance).await?;
    let inputs = Inputs::new(resource, instance, claimant, WriteCause::Deletion);
    inputs.ensure_available()?;
    let search = search(resource, &inputs, engine);
    let ours = search.ours_so_far().await?;
    let steps = plan::plan_keeping(&ours);
    let applied = apply::apply(&inputs, engine.secrets, &steps, BatchMode::Batched).await;
    applied.map(drop).map_err(|error| match error {
        ApplyError::Create { error, .. } | ApplyError::Other(error) => inputs.classify(&error, Sent::default()),
        ApplyError::Kubernetes(error) => error.into(),
        error @ (ApplyError::Undone | ApplyError::Taken) => {
            ReconcileError::Retry { condition: error.in_between(), after: None }
        }
    })
}

fn search<'a>(resource: &'a KratosIdentity, inputs: &'a Inputs, engine: Engine<'a>) -> Search<'a> {
    let remembered = engine.memory.recall(&uid(resource));
    Search {
        engine,
        inputs,
        resource,
        remembered,
        schema: None,
        traits: &Value::Null,
        key: None,
        adoption: None,
        only_observes: false,
    }
}

/// Whether a grace period may have begun, by the manifest and the instance. Where the instance can't be asked nothing is done
/// through it either.
fn may_have_period(resource: &KratosIdentity, own: Option<Duration>, engine: Engine<'_>) -> bool {
    let key = inputs::instance_key(resource, engine.terms.default_instance.as_ref()).ok();
    let period = key.and_then(|key| {
        let handle = engine.instances.callable(&key)?;
        Some(handle.settings.grace.period(own, resource.namespace() == Some(key.namespace)))
    });
    period.or(own).is_some_and(|period| !period.is_zero())
}

/// When the grace period of an identity ends that runs already.
fn running(identity: &Identity) -> Option<Timestamp> {
    match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) => mark.delete_after.map(|at| at.0),
        _ => None,
    }
}

/// When a grace period that begins now ends, in whole seconds; `None`: there is none.
fn later(grace_period: Duration) -> Option<Timestamp> {
    let seconds = i64::try_from(grace_period.as_millis().div_ceil(1000)).ok().filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(Timestamp::now().as_second().saturating_add(seconds)).ok()
}

/// A resource that can't go yet says how it can be let go all the same.
pub fn with_escape(failure: ReconcileError) -> ReconcileError {
    failure.with_condition(|condition| ReadyCondition {
        message: format!(
            "{}. To let this resource go now and keep its identity, patch spec.deletion.policy to Orphan",
            condition.message
        ),
        ..condition
    })
}

pub fn event(release: &Cleanup) -> RecordedEvent {
    match release {
        Cleanup::Kept(why) => {
            RecordedEvent::normal("IdentityKept", "Delete", format!("the identity stays in Kratos as it is: {why}"))
        }
        Cleanup::Deleted(0) | Cleanup::Deactivated(0) | Cleanup::Postponed(0, _) | Cleanup::Superseded(_) => {
            RecordedEvent::normal(
                "IdentityGone",
                "Delete",
                "Kratos has no identity of this resource: nothing was deleted there",
            )
        }
        Cleanup::Deleted(_) => RecordedEvent::normal("IdentityDeleted", "Delete", "the identity was deleted in Kratos"),
        Cleanup::Deactivated(_) => RecordedEvent::normal(
            "IdentityDeactivated",
            "Delete",
            "the identity was deactivated in Kratos and its sessions ended",
        ),
        Cleanup::Postponed(_, ends) => RecordedEvent::normal(
            "IdentityDeactivated",
            "Delete",
            format!(
                "the identity was deactivated in Kratos and its sessions ended; it is deleted at {ends}, when its gracePeriod \
                 is over; apply the same manifest before then to keep it"
            ),
        ),
    }
}
