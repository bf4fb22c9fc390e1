//! Makes an identity in Kratos agree with its manifest: runs the plan, and resolves the conflicts that a create met.

use std::sync::Arc;
use std::time::Instant;

use super::apply::{self, Applied};
use super::apply_error::ApplyError;
use super::checked_plan::checked_plan;
use super::inputs::Inputs;
use super::memory::{Creators, Ours};
use super::observe::Search;
use super::sharding;
use super::succession;
use super::write_permit::Permitted;
use crate::api::recorded_event::RecordedEvent;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::failure::{self, ReconcileError, Sent};
use crate::identity::conflict;
use crate::identity::credential_watch::CredentialWatch;
use crate::identity::desired::{self, Desired};
use crate::identity::events::{self, Drift};
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{self, Observed, Plan, Step};
use crate::identity::pointer;
use crate::identity::progress;
use crate::identity::status::Observation;
use crate::kratos::{BatchMode, Class, Identity, State};

/// When what an attempt stands on was so.
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    /// What was observed had been read.
    pub read: Instant,
    /// The resource was this operator's for sure.
    pub held: Instant,
}

/// Makes Kratos agree. A create that meets a conflict leads to the identity that is there, if it is ours.
pub async fn run(
    search: &Search<'_>,
    desired: &Desired,
    observed: Observed,
    plan: Plan,
    as_of: AsOf,
) -> Result<Observation, ReconcileError> {
    let (mut observed, lock) = search.lock_adoption(observed).await?;
    let (plan, as_of) = match &lock {
        Some(_) => {
            let as_of = AsOf { read: Instant::now(), ..as_of };
            (checked_plan(search, desired, &mut observed).await?, as_of)
        }
        None => (plan, as_of),
    };
    let mut observed = match attempt(search, desired, observed, plan, as_of).await? {
        Attempt::Done(seen) => return Ok(seen),
        Attempt::Conflict(conflict) => Observed::Present(Box::new(search.after_conflict(conflict).await?)),
        Attempt::PutBack { has_sessions } => {
            let mut observed = search.run().await?;
            if let Observed::Present(present) = &mut observed {
                present.has_sessions = has_sessions;
            }
            observed
        }
    };
    let as_of = AsOf { read: Instant::now(), ..as_of };
    let plan = checked_plan(search, desired, &mut observed).await?;
    match attempt(search, desired, observed, plan, as_of).await? {
        Attempt::Done(seen) => Ok(seen),
        Attempt::Conflict(_) => Err(ReconcileError::Refused(conflict::taken(desired.external_id.is_some()))),
        Attempt::PutBack { .. } => {
            let condition = progress::put_right();
            Err(ReconcileError::Retry { condition, after: None })
        }
    }
}

enum Attempt {
    Done(Observation),
    /// A create met a conflict; that was known at this instant (or of an earlier one).
    Conflict(Instant),
    /// Traits were put back, so that the rules admit the rest of the plan.
    PutBack {
        has_sessions: bool,
    },
}

async fn attempt(
    search: &Search<'_>,
    desired: &Desired,
    observed: Observed,
    plan: Plan,
    as_of: AsOf,
) -> Result<Attempt, ReconcileError> {
    let (inputs, engine) = (search.inputs, search.engine);
    let Permitted { observed, plan, permit: _permit } = search.permitted(desired, (observed, plan), as_of.read).await?;
    let began = Instant::now();
    let drift = drift(search, desired, &observed, &plan);
    let taken_from = succession::is_taken_from(&inputs.claimant, &observed).map(|mark| mark.name.as_str());
    let events = match &observed {
        Observed::Absent => vec![events::of_creation(drift.as_ref())],
        Observed::Present(present) => events::of_change(&plan, present, drift.as_ref(), taken_from),
    };
    // It may have stood in somebody's way, who goes by other identifiers, or replaces the one that it is now.
    let gives_way = taken_from.is_some() || plan.changes.iter().any(|path| pointer::is_within(path, "/traits"));
    // What kept the last one from being answered may do so again.
    let is_again = !search.remembered.unanswered.is_empty();
    let mode = if is_again { BatchMode::Alone } else { BatchMode::Batched };
    if let Observed::Present(present) = &observed {
        search.ensure_exclusive(present, &plan)?;
    }
    let under_way = plan.creates().then(|| search.creating());
    let applying = apply::apply(inputs, engine.secrets, &plan.steps, mode);
    let applied = if plan.creates() {
        sharding::in_time((inputs, as_of.held), applying, engine.terms).await?
    } else {
        applying.await
    };
    let is_unknown = matches!(&applied, Err(ApplyError::Create { error, .. }) if error.outcome_unknown());
    if let Some(under_way) = under_way.filter(|_| !is_unknown) {
        under_way.is_known();
    }
    let applied = match applied {
        Ok(applied) => applied,
        Err(ApplyError::Create { error, at }) if error.class() == Class::Conflict => {
            return Ok(Attempt::Conflict(note_conflict(search, at)));
        }
        Err(ApplyError::Create { error, at: _ }) => {
            // Not so for the organization: old servers refuse it at creation and take it in a change.
            if error.unknown_field() == Some("external_id") {
                inputs.instance.shared.lacks("external_id");
            }
            return Err(inputs.classify(&error, sent(search, desired, &plan)));
        }
        Err(ApplyError::Other(error)) => {
            return Err(inputs.classify(&error, sent(search, desired, &plan)));
        }
        Err(ApplyError::Kubernetes(error)) => return Err(error.into()),
        Err(error @ (ApplyError::Taken | ApplyError::Undone)) => {
            return Err(ReconcileError::Retry { condition: error.in_between(), after: None });
        }
    };
    if drift.is_some() {
        inputs.instance.shared.counts.corrected();
        engine.listener.corrected();
    }
    if plan.is_partial {
        publish(search, events);
        let has_sessions = matches!(&observed, Observed::Present(present) if present.has_sessions);
        return Ok(Attempt::PutBack { has_sessions });
    }
    let identity = resulting_identity(observed, applied);
    let Some(identity) = identity else {
        let condition = progress::deleted();
        return Err(ReconcileError::Retry { condition, after: None });
    };
    note_result(search, desired, &plan, &identity, began);
    if gives_way && !plan.creates() {
        inputs.instance.calls.waiting(inputs.instance.shared.conflicts.freed(&identity.id));
    }
    ensure_supported(inputs, desired, &identity)?;
    publish(search, events);
    let is_adopted = plan.steps.iter().any(|step| matches!(step, Step::ConfirmMark { .. }));
    let seen = Observation::Present {
        is_changed: plan.creates() || is_adopted || (drift.is_none() && !plan.changes.is_empty()),
        stale_identifiers: search.stale_identifiers(&identity),
        identity: Box::new(identity),
        owned_paths: plan.owned_paths,
        drift: Vec::new(),
    };
    Ok(Attempt::Done(seen))
}

/// Remembers when a create first met a conflict, so that one listing settles it for good.
fn note_conflict(search: &Search<'_>, at: Instant) -> Instant {
    let mut since = at;
    search.engine.memory.update(&search.inputs.claimant.uid, |remembered| {
        since = *remembered.conflict.get_or_insert(at);
    });
    since
}

/// The identity as it stands after the plan.
fn resulting_identity(observed: Observed, applied: Applied) -> Option<Identity> {
    match (applied, observed) {
        (Applied::Written(identity), _) => Some(*identity),
        (Applied::Unchanged, Observed::Present(present)) => Some(present.identity),
        (Applied::Gone, _) | (Applied::Unchanged, Observed::Absent) => None,
    }
}

/// Remembers an identity that is ours, for the next reconcile and for the listings.
pub(super) fn note_result(search: &Search<'_>, desired: &Desired, plan: &Plan, identity: &Identity, as_of: Instant) {
    let (inputs, engine) = (search.inputs, search.engine);
    let key = NamespacedName::new(inputs.claimant.namespace.as_str(), inputs.claimant.name.as_str());
    let shared = &inputs.instance.shared;
    let as_of = if plan.steps.is_empty() { as_of } else { Instant::now() };
    shared.managed.note(&key, identity, as_of);
    shared.managed.watch(&identity.id, CredentialWatch::new(desired, identity));
    shared.listing.note(&key, &identity.id);
    engine.deletions.restored(&inputs.instance, &inputs.claimant.uid);
    let mark = match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) if inputs.claimant.is_ours(&mark) => *mark,
        _ => inputs.claimant.mark(plan.owned_paths.clone(), None),
    };
    if mark.delete_after.is_none() {
        // Its resource came back: no grace period runs any more.
        shared.grace_periods.ended(&identity.id, as_of);
    }
    engine.memory.update(&inputs.claimant.uid, |remembered| {
        // Another identity took the place of one that is gone.
        let before = remembered.ours.replace(Arc::new(Ours::new(&identity.id, &mark)));
        if let Some(before) = before.filter(|before| before.id != identity.id) {
            shared.managed.forget(&before.id);
        }
        remembered.conflict = None;
        remembered.gone_since = None;
        remembered.creators = Creators::Us;
        remembered.desired = Some(desired::digest(desired));
        remembered.sessions_ended = desired.state == Some(State::Inactive) && identity.state == State::Inactive;
    });
}

/// An old server ignores fields that it doesn't know, so the answer is checked.
fn ensure_supported(inputs: &Inputs, desired: &Desired, identity: &Identity) -> Result<(), ReconcileError> {
    let fields = [
        ("external_id", &desired.external_id, &identity.external_id),
        ("organization_id", &desired.organization_id, &identity.organization_id),
    ];
    match fields.iter().find(|(_, wanted, there)| wanted.is_some() && wanted != there) {
        Some((field, _, _)) => {
            inputs.instance.shared.lacks(field);
            Err(ReconcileError::Refused(failure::unsupported(field)))
        }
        None => Ok(()),
    }
}

fn sent<'a>(search: &'a Search<'_>, desired: &'a Desired, plan: &'a Plan) -> Sent<'a> {
    Sent {
        schema_id: &desired.schema_id,
        schema: search.schema.as_ref().map(|schema| (&schema.document, &*schema.shape)),
        traits: Some(&plan.traits),
        manifest: Some(&desired.traits),
        external_id: desired.external_id.is_some(),
    }
}

fn publish(search: &Search<'_>, events: Vec<RecordedEvent>) {
    for event in events {
        search.engine.listener.happened(search.resource, event);
    }
}

/// Where somebody changed what the manifest owns: the identity isn't any more as it was left, and nothing else is wanted of it
/// than then.
fn drift(search: &Search<'_>, desired: &Desired, observed: &Observed, plan: &Plan) -> Option<Drift> {
    let Observed::Present(present) = observed else {
        return search.resource.status.as_ref()?.identity_id.as_ref().map(|_| Drift::Gone);
    };
    let is_wanted_as_before = search.remembered.desired == Some(desired::digest(desired));
    let is_changed = search.inputs.instance.shared.managed.differs(&present.identity);
    // Credentials aren't part of what is compared there. A password that is set is sent, not compared.
    let is_sent = |path: &str| desired.password.is_some() && path == plan::PASSWORD;
    let is_credential = |path: &str| pointer::is_within(path, plan::CREDENTIALS) && !is_sent(path);
    let paths = plan.changes.iter().filter(|path| is_changed || is_credential(path)).cloned().collect::<Vec<_>>();
    (is_wanted_as_before && !paths.is_empty()).then_some(Drift::Changed(paths))
}
