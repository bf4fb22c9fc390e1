//! What a reconcile of an identity writes: the status if it changed, an event, and when to reconcile again. Decides nothing about
//! the identity.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Resource, ResourceExt};

use super::controller::Controller;
use crate::api::has_finalizer;
use crate::api::identity::{IdentityState, InstanceRef, KratosIdentity, KratosIdentityStatus};
use crate::api::objects::IdentityObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::{IDENTITY_FINALIZER, ReadyCondition, Reason, condition, requested_at};
use crate::base::backoff;
use crate::base::kube_error::{self, Right};
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::controllers::shared::access;
use crate::controllers::shared::recording;
use crate::engine::failure::ReconcileError;
use crate::engine::identity::course::Course;
use crate::engine::identity::inputs;
use crate::engine::identity::inputs::uid;
use crate::identity::events;
use crate::identity::recovery;
use crate::identity::status::{self, Observation, Outcome, RecoveryObservation, Subject};
use crate::identity::validity;
use crate::kubernetes::kube_write;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(5);
/// How long to wait for an instance that isn't usable, should its change be missed; and for a Secret that can't be deleted.
const NO_INSTANCE: Duration = Duration::from_mins(1);
/// How long a wait must last, for a resource that is new, before it is written into its status.
const WORTH_A_WRITE: Duration = Duration::from_secs(3);

/// Status, and what the reconcile came to.
pub async fn finish(
    resource: &KratosIdentity,
    result: Result<Outcome, ReconcileError>,
    course: Course,
    controller: &Controller,
) -> Result<ReconcileResult, kube::Error> {
    let reason = match &result {
        Ok(outcome) => Some(outcome.condition.reason),
        Err(failure) => failure.reason(),
    };
    let next = settle(resource, result, course, controller).await?;
    Ok(reason.map_or(next.into(), |reason| next.with_reason(reason)))
}

/// Status, and when to reconcile again: no later than when what is wanted, or a recovery, changes by itself.
async fn settle(
    resource: &KratosIdentity,
    result: Result<Outcome, ReconcileError>,
    course: Course,
    controller: &Controller,
) -> Result<Requeue, kube::Error> {
    let uid = uid(resource);
    let subject = subject(resource);
    let recovery = course.recovery();
    let boundary = course.boundary.into_iter().chain(expiry(resource.status.as_ref())).min();
    let outcome = |condition| {
        let instance = chosen_instance(resource, controller);
        Outcome { condition, instance, seen: course.seen(), recovery }
    };
    let (outcome, after) = match result {
        Ok(outcome) => {
            controller.memory.update(&uid, |remembered| remembered.failures = 0);
            // Observing shows what a listing can't: an identity that isn't there.
            // And nobody tells that a recovery can be issued after all.
            if matches!(outcome.seen, Observation::Absent { .. }) || is_recovery_refused(&outcome) {
                wait(resource, &outcome.condition, controller);
            }
            (outcome, at_the_resync(resource, controller))
        }
        Err(ReconcileError::Waiting(condition)) => {
            let after = wait(resource, &condition, controller);
            if !course.has_news(resource.status.as_ref())
                && let Some(action) = without_a_write((subject, &condition), &uid, (after, boundary), controller)
            {
                return Ok(action);
            }
            (outcome(condition), after)
        }
        Err(ReconcileError::Queued(condition)) => {
            if !course.has_news(resource.status.as_ref()) {
                return Ok(again(None, boundary));
            }
            (outcome(condition), None)
        }
        Err(ReconcileError::Unread(condition)) => {
            // It waits for the schemas already; every change of the instance enqueues it, too.
            if !course.has_news(resource.status.as_ref())
                && let Some(action) = without_a_write((subject, &condition), &uid, (None, boundary), controller)
            {
                return Ok(action);
            }
            (outcome(condition), None)
        }
        Err(ReconcileError::Down(condition)) => {
            let after = match count_failure(&uid, controller) {
                0 => wait(resource, &condition, controller),
                // A probe that succeeds doesn't say that this request would: it isn't sent whenever the circuit breaker
                // closes.
                failures => Some(backoff::delay(FIRST_RETRY, LAST_RETRY, failures)),
            };
            if !course.has_news(resource.status.as_ref())
                && let Some(action) = without_a_write((subject, &condition), &uid, (after, boundary), controller)
            {
                return Ok(action);
            }
            (outcome(condition), after)
        }
        Err(ReconcileError::Refused(condition)) => {
            // Held resources are reconciled when they are released, however many listings there are until then. Those that
            // listings compare are reconciled when a listing shows a change.
            if condition.reason == Reason::IdentityConflict {
                obstructed(resource, controller);
            }
            if condition.reason != Reason::DeletionHeld && controller.memory.recall(&uid).left_to_listings.is_none() {
                wait(resource, &condition, controller);
            }
            (outcome(condition), at_the_resync(resource, controller))
        }
        Err(ReconcileError::Retry { condition, after }) => {
            let failures = count_failure(&uid, controller);
            let after = after.map_or_else(|| backoff::delay(FIRST_RETRY, LAST_RETRY, failures), backoff::jitter);
            (outcome(condition), Some(after))
        }
        Err(ReconcileError::Kubernetes(error)) => {
            let Some(refusal) = kube_error::refused(&error) else {
                if course.has_news(resource.status.as_ref()) {
                    let next = status::touched(subject, course.touched.as_ref(), course.recovery(), Timestamp::now());
                    write(resource, next, controller).await?;
                }
                return Err(error);
            };
            controller.access.note_refused(&error);
            let condition = forbidden(&refusal.right);
            let after = Some(backoff::jitter(access::WHILE_REFUSED));
            if !course.has_news(resource.status.as_ref())
                && let Some(action) = without_a_write((subject, &condition), &uid, (after, boundary), controller)
            {
                return Ok(action);
            }
            (outcome(condition), after)
        }
    };
    let (condition, now) = (outcome.condition.clone(), Timestamp::now());
    let mut next = status::next(subject, outcome, now);
    if condition.reason == Reason::SecretNotReady && controller.memory.recall(&uid).gone_since.is_some() {
        status::unready(&mut next, &condition, subject.generation, now);
    }
    let newest = controller.seen.own(&uid, &NamespacedName::of(resource));
    if newest.as_deref().is_some_and(|newest| is_unasked(newest, controller)) {
        status::open(&mut next);
    }
    let boundary = course.boundary.into_iter().chain(expiry(Some(&next))).min();
    write_by(resource, newest.as_deref(), next, controller).await?;
    Ok(again(after, boundary))
}

/// Whether nobody can have asked Kratos for anything on behalf of a resource: it doesn't carry our finalizer, which comes before
/// that, or carries it since its birth and nothing was done yet, or its status lets people name another instance still. Where the
/// status names an instance, somebody may have, whatever became of the finalizer since.
fn is_unasked(newest: &IdentityObject, controller: &Controller) -> bool {
    let (uid, status) = (newest.uid().unwrap_or_default(), status_of(newest));
    let is_begun = has_finalizer(newest, IDENTITY_FINALIZER)
        && !controller.memory.is_untouched(&uid)
        && !status.is_some_and(status::is_open);
    !is_begun
        && controller.memory.recall(&uid).unanswered.is_empty()
        && status.is_none_or(|status| status.instance.is_none())
}

fn status_of(object: &IdentityObject) -> Option<&KratosIdentityStatus> {
    object.0.as_ref().ok()?.status.as_ref()
}

/// Somebody else's identity stands in the resource's way: the resource is enqueued when that identity is gone.
fn obstructed(resource: &KratosIdentity, controller: &Controller) {
    let key = inputs::instance_key(resource, controller.seen.default_instance.as_ref()).ok();
    if let Some(handle) = key.and_then(|key| controller.registry.handle(&key)) {
        handle.shared.conflicts.note(&NamespacedName::of(resource), None);
    }
}

/// The condition for want of a right. Whoever grants it has the resource reconciled again.
pub fn forbidden(right: &Right) -> ReadyCondition {
    ReadyCondition::new(Reason::Forbidden, format!("the operator may not {right}; it goes on once that is granted"))
}

/// When a recovery expires whose Secret is there. One that couldn't be deleted then is tried again.
pub fn expiry(status: Option<&KratosIdentityStatus>) -> Option<Timestamp> {
    let (_, at) = recovery::shown(status)?;
    let now = Timestamp::now();
    if at > now { Some(at) } else { now.checked_add(SignedDuration::try_from(NO_INSTANCE).ok()?).ok() }
}

fn is_recovery_refused(outcome: &Outcome) -> bool {
    let is_refused = |reason| matches!(reason, Reason::RecoveryDisabled | Reason::SecretNotReady);
    matches!(&outcome.recovery, RecoveryObservation::Known(recovery_state) if is_refused(recovery_state.condition.reason))
}

/// The next reconcile: after the time given, or at the boundary if that comes first. Every reconcile says so anew, so
/// that one that was asked for in between loses nothing.
pub fn again(after: Option<Duration>, boundary: Option<Timestamp>) -> Requeue {
    let boundary = boundary.map(|boundary| validity::wait(boundary, Timestamp::now()));
    let first = after.into_iter().chain(boundary).min();
    first.map_or(Requeue::OnChange, Requeue::After)
}

/// When to reconcile again at what is settled: when something changes. Where nobody tells that a Secret did, at the resync.
fn at_the_resync(resource: &KratosIdentity, controller: &Controller) -> Option<Duration> {
    if !controller.rotation.is_missed_by(&NamespacedName::of(resource)) {
        return None;
    }
    let handle = inputs::instance_key(resource, controller.seen.default_instance.as_ref())
        .ok()
        .and_then(|key| controller.registry.handle(&key));
    let after = handle.map_or(NO_INSTANCE, |handle| handle.settings.resync_interval);
    Some(backoff::jitter(after))
}

/// Counts a failure. Returns how many there were in a row before it.
fn count_failure(uid: &str, controller: &Controller) -> u32 {
    let mut failures = 0;
    controller.memory.update(uid, |remembered| {
        failures = remembered.failures;
        remembered.failures = failures.saturating_add(1);
    });
    failures
}

/// What to do instead of writing that a resource waits, where that isn't worth a write: its status speaks of its
/// generation already, or the wait may be over within moments (a status that nobody wrote yet says "in progress").
fn without_a_write(
    (subject, condition): (Subject<'_>, &ReadyCondition),
    uid: &str,
    (after, boundary): (Option<Duration>, Option<Timestamp>),
    controller: &Controller,
) -> Option<Requeue> {
    // One that is told to wait for something else than it waits for now is put right.
    let told = subject.current.and_then(|status| condition::find(&status.conditions, condition::RECONCILING));
    let is_told_otherwise = told.is_some_and(|told| told.reason != condition.reason.as_str());
    if subject.is_settled() && !is_told_otherwise {
        return Some(again(after, boundary));
    }
    let known_for = controller.memory.recall(uid).first_seen.elapsed();
    (known_for < WORTH_A_WRITE).then(|| again(Some(WORTH_A_WRITE), boundary))
}

/// Has a resource reconciled again when the circuit breaker closes or a listing is completed. Returns after how long to
/// reconcile anyway, where what it waits for may have happened already.
fn wait(resource: &KratosIdentity, condition: &ReadyCondition, controller: &Controller) -> Option<Duration> {
    let key = inputs::instance_key(resource, controller.seen.default_instance.as_ref()).ok();
    // Whatever makes the instance usable enqueues the resources that refer to it. A suspension may last.
    if key.as_ref().is_some_and(|key| controller.registry.is_suspended(key)) {
        return None;
    }
    let handle = key.and_then(|key| controller.registry.handle(&key));
    let Some(handle) = handle else { return Some(backoff::jitter(NO_INSTANCE)) };
    handle.shared.waiting.add(&NamespacedName::of(resource));
    let is_missed = condition.reason == Reason::KratosUnavailable && handle.shared.circuit_breaker.allows_requests();
    is_missed.then_some(FIRST_RETRY)
}

fn chosen_instance(resource: &KratosIdentity, controller: &Controller) -> Option<InstanceRef> {
    inputs::instance_key(resource, controller.seen.default_instance.as_ref()).ok().map(|key| inputs::reference(&key))
}

/// The resource, as status functions want it.
pub fn subject(resource: &KratosIdentity) -> Subject<'_> {
    Subject {
        generation: resource.metadata.generation.unwrap_or_default(),
        requested_at: requested_at(resource.metadata.annotations.as_ref()),
        current: resource.status.as_ref(),
    }
}

/// Writes the status where it changed, and an event where something new needs someone.
pub async fn write(
    resource: &KratosIdentity,
    next: KratosIdentityStatus,
    controller: &Controller,
) -> Result<(), kube::Error> {
    let newest = controller.seen.own(&uid(resource), &NamespacedName::of(resource));
    write_by(resource, newest.as_deref(), next, controller).await
}

/// The same, where what is written was judged by the newest that was known. `newest: None`: it is gone, or another operator's.
async fn write_by(
    resource: &KratosIdentity,
    newest: Option<&IdentityObject>,
    next: KratosIdentityStatus,
    controller: &Controller,
) -> Result<(), kube::Error> {
    if resource.status.as_ref() == Some(&next) {
        return Ok(());
    }
    let (uid, api) = (uid(resource), api(resource, controller));
    let opens = status::is_open(&next);
    // While people may name another instance, a status is about the reconciled manifest alone: it would pin another manifest to
    // an instance that it doesn't name.
    let is_correctable =
        opens || newest.and_then(status_of).is_some_and(status::is_open) || controller.memory.recall(&uid).opened;
    let is_guarded = controller.has_concurrent_writers || is_correctable;
    let guard = match newest.filter(|_| is_guarded) {
        None if is_guarded => return Ok(()),
        // A reconcile of the newer one is due.
        Some(newest) if is_correctable && newest.meta().generation != resource.metadata.generation => return Ok(()),
        guard => guard,
    };
    if opens {
        controller.memory.update(&uid, |remembered| remembered.opened = true);
    }
    let permit = controller.kubernetes.acquire(&resource.namespace().unwrap_or_default()).await;
    let written: Result<IdentityObject, _> = match guard {
        Some(newest) => kube_write::status(&api, newest, &next, true).await,
        None => kube_write::status(&api, resource, &next, false).await,
    };
    drop(permit);
    if !recording::is_written(written, &controller.seen.identity_mutations)? {
        return Ok(());
    }
    controller.memory.update(&uid, |remembered| remembered.opened = opens);
    let is_inactive = |status: &KratosIdentityStatus| status.state == Some(IdentityState::Inactive);
    if is_inactive(&next)
        && !resource.status.as_ref().is_some_and(is_inactive)
        && let Ok(instance) = inputs::instance_key(resource, controller.seen.default_instance.as_ref())
    {
        // Sessions may be its policies' business now.
        controller.policy_triggers.deactivated(&instance, &resource.namespace().unwrap_or_default());
    }
    let before = resource.status.as_ref().and_then(|status| recording::stalled(&status.conditions));
    let now = recording::stalled(&next.conditions);
    // Another cause of the same reason is news as well.
    if before != now
        && let Some((reason, message)) = now
    {
        controller.events.publish(resource, RecordedEvent::warning(&reason, "Reconcile", message));
    }
    let has_drifted = |status: &KratosIdentityStatus| condition::is_true(&status.conditions, condition::DRIFTED);
    if has_drifted(&next) && !resource.status.as_ref().is_some_and(has_drifted) {
        let (count, paths) = (next.drift.len(), events::listed_paths(&next.drift));
        let note = format!("Kratos differs from the manifest in {count} field(s), see status.drift: {paths}");
        controller.events.publish(resource, RecordedEvent::warning(Reason::DriftObserved.as_str(), "Observe", note));
    }
    Ok(())
}

/// The API of the resource's namespace.
pub fn api(resource: &impl Resource, controller: &Controller) -> Api<IdentityObject> {
    Api::namespaced(controller.client.clone(), resource.meta().namespace.as_deref().unwrap_or_default())
}
