//! Fails closed: locks an identity out although the rest of its manifest can't be carried out. Locking somebody out must not
//! wait for a Secret, for traits that fit, or for the instance's rules. Changes only the state, the sessions, and the Secret of
//! a recovery that no longer works.
//!
//! Does nothing if nothing may be changed (Observe, suspended, a namespace that isn't admitted), and only for an identity whose
//! mark is this resource's.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::apply::{self, Applied};
use super::apply_error::ApplyError;
use super::course::Course;
use super::inputs::uid;
use super::inputs::{self, Inputs};
use super::observe::Search;
use crate::api::has_finalizer;
use crate::api::identity::{IdentityState, KratosIdentity, KratosIdentityStatus};
use crate::api::instance::Mode;
use crate::api::recorded_event::RecordedEvent;
use crate::api::{IDENTITY_FINALIZER, ReadyCondition, Reason, condition};
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Engine;
use crate::engine::failure::{ReconcileError, Sent};
use crate::identity::actions::{self, ActionName, ActionSpec, Wanted};
use crate::identity::claim::Claim;
use crate::identity::desired::{self, Handling};
use crate::identity::events;
use crate::identity::mark::Mark;
use crate::identity::plan::{self, Observed, Present, Step, Taking};
use crate::identity::recovery::{self, OwnSecret};
use crate::identity::status::Touched;
use crate::kratos::{BatchMode, Identity, State, WriteCause};

/// What is said of what was done nevertheless.
const LOCKED_OUT: &str = "; the identity is inactive all the same, and its sessions are ended";
const SESSIONS_ENDED: &str = "; actions.revokeSessions is done all the same; the rest is still to be done";

/// What is said to whoever lets somebody in again by a manifest that can't be carried out.
const STAYS_OUT: &str = "; the identity stays inactive until then";

/// After a reconcile that came to nothing: takes from an identity that is this resource's own what its manifest takes away.
/// Returns the error, which says so then; what there is to tell besides goes into the course.
pub async fn after(
    failure: ReconcileError,
    resource: &KratosIdentity,
    handling: &Handling,
    course: &mut Course,
    engine: Engine<'_>,
) -> ReconcileError {
    let failure = if stays_out(&failure, resource) { told(failure, STAYS_OUT) } else { failure };
    let taking = taking(resource);
    let is_held = has_finalizer(resource, IDENTITY_FINALIZER) && !engine.memory.is_untouched(&uid(resource));
    let is_wanted = taking.deactivates || is_open(&taking, resource.status.as_ref());
    if !is_wanted || !is_held || handling.mode == Mode::Observe || !is_meant(&failure) {
        return if is_told(resource, SESSIONS_ENDED) { told(failure, SESSIONS_ENDED) } else { failure };
    }
    match run(&failure, &taking, resource, engine).await {
        Ok(Some(LockedOut { was_active, done, recovery, identity })) => {
            course.lapse = recovery.or(course.lapse.take());
            course.touched = Some(Touched { identity, is_changed: was_active });
            if was_active {
                let note =
                    "the identity was deactivated and its sessions ended; the rest of the manifest is still to be done";
                engine.listener.happened(resource, RecordedEvent::normal("IdentityDeactivated", "Change", note));
            }
            let ended_sessions = !done.is_empty() || is_told(resource, SESSIONS_ENDED);
            for action in done {
                engine.listener.happened(resource, events::of_action(action, &mut false));
            }
            if taking.deactivates {
                told(failure, LOCKED_OUT)
            } else if ended_sessions {
                told(failure, SESSIONS_ENDED)
            } else {
                failure
            }
        }
        // Nothing of its own is there; or it waits, or isn't admitted, as the reconcile was.
        Ok(None) | Err(ReconcileError::Waiting(_) | ReconcileError::Refused(_)) => failure,
        Err(failed) => {
            let error = failed.message();
            tracing::warn!(error, "what a manifest takes from an identity couldn't be taken; it is tried again");
            // Whatever the rest waits for. The more failed before, the later.
            failure.into_retry(&failed)
        }
    }
}

/// Whether an identity that is to be active is inactive still: as far as the status says, and for a reason that lets nothing be done.
fn stays_out(failure: &ReconcileError, resource: &KratosIdentity) -> bool {
    let lets_nothing_be_done = matches!(
        failure.reason(),
        Some(Reason::TraitsRejected | Reason::SchemaNotFound | Reason::NotPermitted | Reason::SecretNotReady)
    );
    let shown = resource.status.as_ref().and_then(|status| status.state);
    lets_nothing_be_done
        && shown == Some(IdentityState::Inactive)
        && desired::state(&resource.spec, Timestamp::now()) == Some(State::Active)
}

/// What a manifest takes away; needs no Secret.
fn taking(resource: &KratosIdentity) -> Taking {
    let wanted = resource.spec.actions.as_ref().map(actions::wanted).unwrap_or_default();
    Taking {
        deactivates: desired::state(&resource.spec, Timestamp::now()) == Some(State::Inactive),
        ends_sessions: wanted.into_iter().filter(|wanted| wanted.doing == ActionSpec::RevokeSessions).collect(),
    }
}

/// Whether an action isn't done as far as the status says.
fn is_open(taking: &Taking, status: Option<&KratosIdentityStatus>) -> bool {
    let done = status.and_then(|status| status.actions.as_ref()).map(actions::from_status).unwrap_or_default();
    let is_done = |wanted: &Wanted| done.get(wanted.doing.name().as_str()).is_some_and(|it| it.token == wanted.token);
    !taking.ends_sessions.iter().all(is_done)
}

/// Not where Kratos didn't answer, or wants to be asked later: then the whole reconcile is repeated.
fn is_meant(failure: &ReconcileError) -> bool {
    match failure {
        ReconcileError::Waiting(condition)
        | ReconcileError::Queued(condition)
        | ReconcileError::Refused(condition)
        | ReconcileError::Retry { condition, .. } => !matches!(condition.reason, Reason::Throttled),
        // That takes neither a schema nor, as a rule, the API server.
        ReconcileError::Unread(_) | ReconcileError::Kubernetes(_) => true,
        ReconcileError::Down(_) => false,
    }
}

/// The error, saying what was done nevertheless.
fn told(failure: ReconcileError, done: &str) -> ReconcileError {
    failure.with_condition(|condition| ReadyCondition { message: format!("{}{done}", condition.message), ..condition })
}

/// Whether that is said already, of this generation: what is said doesn't change from one reconcile to the next.
fn is_told(resource: &KratosIdentity, done: &str) -> bool {
    let ready = resource.status.as_ref().and_then(|status| condition::find(&status.conditions, condition::READY));
    ready.is_some_and(|ready| {
        ready.status == "False"
            && ready.observed_generation == resource.metadata.generation
            && ready.message.ends_with(done)
    })
}

/// What was done.
struct LockedOut {
    was_active: bool,
    /// Actions that were done.
    done: Vec<ActionName>,
    /// What is said of a recovery, if one was issued.
    recovery: Option<ReadyCondition>,
    /// As it is now.
    identity: Box<Identity>,
}

/// `None`: there is no identity of this resource's own, or nothing may be changed.
async fn run(
    failure: &ReconcileError,
    taking: &Taking,
    resource: &KratosIdentity,
    engine: Engine<'_>,
) -> Result<Option<LockedOut>, ReconcileError> {
    let key = inputs::instance_key(resource, engine.terms.default_instance.as_ref())?;
    // Neither the rules nor that the instance is on its way out are in the way: it takes the namespace's consent alone.
    let instance = engine.instances.admitting(&key, resource.metadata.namespace.as_deref().unwrap_or_default()).await?;
    let claimant = engine.instances.claimant(resource, &instance).await?;
    let inputs = Inputs::new(resource, instance, claimant, WriteCause::Spec);
    inputs.ensure_available()?;
    if inputs.instance.settings.mode == Mode::Observe {
        return Ok(None);
    }
    let remembered = engine.memory.recall(&uid(resource));
    let search = Search {
        engine,
        inputs: &inputs,
        resource,
        remembered,
        schema: None,
        traits: &Value::Null,
        key: None,
        adoption: None,
        only_observes: true,
    };
    let Observed::Present(mut present) = search.run().await? else { return Ok(None) };
    let Some(mark) = own_mark(failure, &inputs, &present) else { return Ok(None) };
    let was_active = taking.deactivates && present.identity.state == State::Active;
    // Unless they were seen to be gone: they would come back to life.
    present.has_sessions = !search.remembered.sessions_ended;
    let steps = plan::take_away(taking, &present, &mark, Timestamp::now());
    let done = steps.iter().filter_map(|step| if let Step::For(action) = step { *action } else { None }).collect();
    let issued = mark.recovery.as_ref().filter(|_| taking.deactivates && !steps.is_empty());
    let issued = issued.map(|issued| OwnSecret::of(&inputs.claimant, &issued.secret_name));
    let identity = match apply::apply(&inputs, engine.secrets, &steps, BatchMode::Batched).await {
        Ok(Applied::Written(identity)) => identity,
        Ok(Applied::Unchanged) => Box::new(present.identity),
        Ok(Applied::Gone) => return Ok(None),
        Err(ApplyError::Create { error, .. } | ApplyError::Other(error)) => {
            return Err(inputs.classify(&error, Sent::default()));
        }
        Err(ApplyError::Kubernetes(error)) => return Err(error.into()),
        Err(error @ (ApplyError::Undone | ApplyError::Taken)) => {
            return Err(ReconcileError::Retry { condition: error.in_between(), after: None });
        }
    };
    if !steps.is_empty() {
        // Whoever undoes it by another manifest corrects no drift; whoever undoes it in Kratos is seen by the listings.
        inputs.instance.shared.managed.note(&NamespacedName::of(resource), &identity, Instant::now());
        engine.memory.update(&uid(resource), |remembered| remembered.desired = None);
    }
    let mut is_gone = true;
    if let Some(secret) = &issued
        && let Err(error) = engine.secrets.delete(secret).await
    {
        // That it can't be deleted hides nothing of what was done; what is in it doesn't work.
        let error = kube_error::brief(&error);
        tracing::warn!(error, secret = secret.name, "the Secret of a recovery couldn't be deleted; it is tried again");
        is_gone = false;
    }
    if taking.deactivates && is_gone {
        engine.memory.update(&uid(resource), |remembered| remembered.sessions_ended = true);
    }
    let recovery = issued.filter(|_| is_gone).map(|_| recovery::locked_out());
    Ok(Some(LockedOut { was_active, done, recovery, identity }))
}

/// The mark of an identity that is this resource's to lock: not one that is another's, or still to be taken over. Where the
/// rules refuse it the mark that is there decides, else one that was wiped since this process saw it does as well.
fn own_mark(failure: &ReconcileError, inputs: &Inputs, present: &Present) -> Option<Mark> {
    let is_refused = matches!(failure, ReconcileError::Refused(condition) if condition.reason == Reason::NotPermitted);
    let is_marked = matches!(inputs.claimant.claim(&present.identity), Claim::Ours(_));
    let mark = present.mark.as_ref().filter(|mark| inputs.claimant.is_ours(mark))?;
    (is_marked || !is_refused).then(|| mark.clone())
}
