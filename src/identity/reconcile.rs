//! One look at a `KratosIdentity`: `inputs → desired → observe → plan → apply → status → write if changed`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;

use super::desired::{self, Desired, Handling};
use super::failure::{self, Halt, Sent};
use super::inputs::{self, Inputs};
use super::observe::Search;
use super::plan::{self, Observed, Plan};
use super::status::{self, Outcome, Seen, Subject};
use super::{enforce, release, unreadable};
use crate::api::identity::{KratosIdentity, KratosIdentityStatus};
use crate::api::instance::Mode;
use crate::api::{IDENTITY_FINALIZER, Reason, Verdict, condition, requested_at};
use crate::backoff;
use crate::context::{Context, IdentityObject};
use crate::events::Happening;
use crate::kratos::State;
use crate::kube_write;
use crate::place::Place;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(5);
/// How long to wait for an instance that isn't usable, should its change be missed.
const NO_INSTANCE: Duration = Duration::from_mins(1);
/// How long a wait must last, for a resource that is new, before it is written into its status.
const WORTH_A_WRITE: Duration = Duration::from_secs(3);

/// Reconciles one resource.
pub async fn reconcile(object: Arc<IdentityObject>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let object = context.latest_identities.of(&object);
    let Ok(resource) = &object.0 else { return unreadable::reconcile(&object, &context).await };
    context.memory.see(&uid(resource), kube_write::carries(resource, IDENTITY_FINALIZER));
    if resource.metadata.deletion_timestamp.is_some() {
        return release::reconcile(resource, &context).await;
    }
    let (handling, desired) = desired::parse(&resource.spec);
    if handling.suspended {
        let status = status::suspended(subject(resource), Timestamp::now());
        write(resource, status, &context).await?;
        return Ok(Action::await_change());
    }
    let result = look(resource, handling, desired, &context).await;
    finish(resource, result, &context).await
}

/// Everything up to the outcome.
async fn look(
    resource: &KratosIdentity,
    handling: Handling,
    desired: Result<Desired, Verdict>,
    context: &Context,
) -> Result<Outcome, Halt> {
    let desired = desired?;
    let place = inputs::instance_place(resource, context)?;
    let inputs = inputs::gather(resource, &place, context).await?;
    ensure_callable(&inputs, &desired)?;
    let only_looks = handling.mode == Mode::Observe || inputs.instance.settings.mode == Mode::Observe;
    let traits = Value::Object(desired.traits.clone());
    let search = search(resource, &inputs, &desired, (&traits, only_looks), context).await?;
    let mut observed = search.run().await?;
    note_sessions(&search, &desired, &mut observed).await?;
    let plan = plan::plan(&inputs.claimant, &desired, &observed);
    let seen = if only_looks {
        report(&inputs, observed, plan)
    } else {
        hold(resource, &inputs, context).await?;
        enforce::run(&search, &desired, observed, plan).await?
    };
    Ok(Outcome { verdict: done(only_looks), instance: Some(inputs::reference(&place)), seen })
}

/// No request while the instance is down, or for a field that the server is known not to have.
fn ensure_callable(inputs: &Inputs, desired: &Desired) -> Result<(), Halt> {
    inputs.ensure_open()?;
    let fields = [("external_id", &desired.external_id), ("organization_id", &desired.organization_id)];
    match fields.iter().find(|(field, value)| value.is_some() && inputs.instance.shared.is_lacking(field)) {
        Some((field, _)) => Err(Halt::Refused(failure::unsupported(field))),
        None => Ok(()),
    }
}

/// The finalizer is the intent: it is there before anything is created. The instance carries its own first.
async fn hold(resource: &KratosIdentity, inputs: &Inputs, context: &Context) -> Result<(), Halt> {
    if !inputs.instance.is_held {
        context.pokes.instance(&inputs.instance.place);
        return Err(Halt::Waiting(Verdict::new(
            Reason::Progressing,
            "waits until the instance is held by its finalizer",
        )));
    }
    if kube_write::carries(resource, IDENTITY_FINALIZER) {
        return Ok(());
    }
    let api = api(resource, context);
    let written: IdentityObject = kube_write::add_finalizer(&api, resource, IDENTITY_FINALIZER).await?;
    context.latest_identities.note(written);
    context.memory.update(&uid(resource), |remembered| remembered.wrote_finalizer = true);
    Ok(())
}

/// Makes the search; refused where Kratos doesn't serve the schema.
async fn search<'a>(
    resource: &'a KratosIdentity,
    inputs: &'a Inputs,
    desired: &Desired,
    (traits, only_looks): (&'a Value, bool),
    context: &'a Context,
) -> Result<Search<'a>, Halt> {
    let schemas = &inputs.instance.shared.schemas;
    let schema = schemas.get(&inputs.instance.client, &desired.schema_id).await;
    let schema = schema.map_err(|error| failure::close_and_halt(&error, inputs, Sent::default(), context))?;
    let schema = schema.ok_or_else(|| Halt::Refused(failure::schema_not_found(&desired.schema_id)))?;
    let remembered = context.memory.recall(&uid(resource));
    Ok(Search { context, inputs, resource, remembered, schema: Some(schema), traits, only_looks })
}

/// Inactive identities whose sessions weren't seen to be gone: a crash may have come between the two.
async fn note_sessions(search: &Search<'_>, desired: &Desired, observed: &mut Observed) -> Result<(), Halt> {
    if let Observed::Present(present) = observed
        && desired.state == Some(State::Inactive)
        && present.identity.state == State::Inactive
        && !search.remembered.sessions_ended
    {
        present.has_sessions = search.has_sessions(&present.identity.id).await?;
    }
    Ok(())
}

/// Observe mode: what would be done. Outside the instance's namespace nothing shows of what isn't ours; an identity
/// that isn't ours never gets this far.
fn report(inputs: &Inputs, observed: Observed, plan: Plan) -> Seen {
    match observed {
        Observed::Absent => Seen::Absent { drift: plan.changes },
        Observed::Present(present) => {
            let place = Place::new(inputs.claimant.namespace.as_str(), inputs.claimant.name.as_str());
            inputs.instance.shared.managed.note(&place, &present.identity, Instant::now());
            Seen::Present { identity: Box::new(present.identity), owned_paths: plan.owned_paths, drift: plan.changes }
        }
    }
}

fn done(only_looks: bool) -> Verdict {
    if only_looks {
        Verdict::new(Reason::Observed, "looked at; mode Observe changes nothing")
    } else {
        Verdict::new(Reason::Reconciled, "Kratos holds what the manifest says")
    }
}

/// Status, and when to look again.
pub async fn finish(
    resource: &KratosIdentity,
    result: Result<Outcome, Halt>,
    context: &Context,
) -> Result<Action, kube::Error> {
    let uid = uid(resource);
    let subject = subject(resource);
    let outcome = |verdict| Outcome { verdict, instance: chosen_instance(resource, context), seen: Seen::Unknown };
    let (outcome, action) = match result {
        Ok(outcome) => {
            context.memory.update(&uid, |remembered| remembered.failures = 0);
            // Observing shows what a listing can't: an identity that isn't there.
            if matches!(outcome.seen, Seen::Absent { .. }) {
                wait(resource, &outcome.verdict, context);
            }
            (outcome, Action::await_change())
        }
        Err(Halt::Waiting(verdict)) => {
            let action = wait(resource, &verdict, context).map_or_else(Action::await_change, Action::requeue);
            if let Some(action) = without_a_write(subject, &uid, &action, context) {
                return Ok(action);
            }
            (outcome(verdict), action)
        }
        Err(Halt::Down(verdict)) => {
            let action = match count_failure(&uid, context) {
                0 => wait(resource, &verdict, context).map_or_else(Action::await_change, Action::requeue),
                // A probe that succeeds doesn't say that this request would: it isn't sent whenever the gate opens.
                failures => Action::requeue(backoff::delay(FIRST_RETRY, LAST_RETRY, failures)),
            };
            if let Some(action) = without_a_write(subject, &uid, &action, context) {
                return Ok(action);
            }
            (outcome(verdict), action)
        }
        Err(Halt::Refused(verdict)) => {
            wait(resource, &verdict, context);
            (outcome(verdict), Action::await_change())
        }
        Err(Halt::Retry { verdict, after }) => {
            let failures = count_failure(&uid, context);
            let after = after.map_or_else(|| backoff::delay(FIRST_RETRY, LAST_RETRY, failures), backoff::spread);
            (outcome(verdict), Action::requeue(after))
        }
        Err(Halt::Kubernetes(error)) => return Err(error),
    };
    let next = status::next(subject, outcome, Timestamp::now());
    write(resource, next, context).await?;
    Ok(action)
}

/// Counts a failure. Returns how many there were in a row before it.
fn count_failure(uid: &str, context: &Context) -> u32 {
    let mut failures = 0;
    context.memory.update(uid, |remembered| {
        failures = remembered.failures;
        remembered.failures = failures.saturating_add(1);
    });
    failures
}

/// What to do instead of writing that a resource waits, where that isn't worth a write: its status speaks of its
/// generation already, or the wait may be over within moments (a status that nobody wrote yet says "in progress").
fn without_a_write(subject: Subject<'_>, uid: &str, action: &Action, context: &Context) -> Option<Action> {
    if subject.is_settled() {
        return Some(action.clone());
    }
    let known_for = context.memory.recall(uid).first_seen.elapsed();
    (known_for < WORTH_A_WRITE).then(|| Action::requeue(WORTH_A_WRITE))
}

/// Has a resource looked at again when the gate opens or a listing is completed. Returns after how long to look
/// anyway, where what it waits for may have happened already.
fn wait(resource: &KratosIdentity, verdict: &Verdict, context: &Context) -> Option<Duration> {
    let handle = inputs::instance_place(resource, context).ok().and_then(|place| context.registry.handle(&place));
    // Whatever makes the instance usable has those who refer to it looked at.
    let Some(handle) = handle else { return Some(backoff::spread(NO_INSTANCE)) };
    handle.shared.waiting.add(&Place::of(resource));
    let is_missed = verdict.reason == Reason::KratosUnavailable && handle.shared.gate.is_open();
    is_missed.then_some(FIRST_RETRY)
}

fn chosen_instance(resource: &KratosIdentity, context: &Context) -> Option<crate::api::identity::InstanceRef> {
    inputs::instance_place(resource, context).ok().map(|place| inputs::reference(&place))
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
    context: &Context,
) -> Result<(), kube::Error> {
    if resource.status.as_ref() == Some(&next) {
        return Ok(());
    }
    let written: Result<IdentityObject, _> = kube_write::status(&api(resource, context), resource, &next).await;
    match written {
        Ok(written) => context.latest_identities.note(written),
        // It is gone: nothing to say any more.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error),
    }
    let stalled = |status: &KratosIdentityStatus| {
        condition::find(&status.conditions, condition::STALLED)
            .map(|stalled| (stalled.reason.clone(), stalled.message.clone()))
    };
    let before = resource.status.as_ref().and_then(stalled);
    if let Some((reason, message)) = stalled(&next)
        && before.as_ref().map(|(reason, _)| reason) != Some(&reason)
    {
        context.events.publish(resource, Happening::warning(&reason, "Reconcile", message));
    }
    Ok(())
}

/// The resource's uid.
pub fn uid(resource: &KratosIdentity) -> String {
    resource.uid().unwrap_or_default()
}

/// The API of the resource's namespace.
pub fn api(resource: &impl Resource, context: &Context) -> Api<IdentityObject> {
    Api::namespaced(context.client.clone(), resource.meta().namespace.as_deref().unwrap_or_default())
}
