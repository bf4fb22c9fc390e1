//! One run of a policy against Kratos, up to its outcome: `inputs → desired → reach → observe → tally → enforce`. The controller
//! writes the status.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::enforce::{self, Done};
use super::inputs::{self, Inputs};
use super::reach::{self, Reach};
use super::surroundings::{Engine, Intents};
use super::{affected, observe, revoke_all};
use crate::api::instance::Mode;
use crate::api::session_policy::{KratosSessionPolicy, PolicyActionStatuses, RevokeAll, RevokeAllStatus};
use crate::api::{ReadyCondition, Reason, requested_at};
use crate::base::blocking;
use crate::engine::failure::ReconcileError;
use crate::policy::action::{self, Ended};
use crate::policy::desired::{self, Desired, Handling};
use crate::policy::status::{self, OfRule, Run, Subject};
use crate::policy::tally::Plan;

/// What a reconcile left behind, whether or not it came to its end.
#[derive(Debug, Default)]
pub struct PartialRun {
    pub run: Option<Run>,
    pub revoke_all: Option<RevokeAllStatus>,
}

/// The policy, as status functions want it.
pub fn subject(policy: &KratosSessionPolicy) -> Subject<'_> {
    Subject {
        generation: policy.metadata.generation.unwrap_or_default(),
        requested_at: requested_at(policy.metadata.annotations.as_ref()),
        current: policy.status.as_ref(),
    }
}

/// Everything up to the condition.
pub async fn try_reconcile(
    policy: &mut KratosSessionPolicy,
    handling: Handling,
    left: &mut PartialRun,
    engine: Engine<'_>,
) -> Result<ReadyCondition, ReconcileError> {
    let inputs = inputs::gather(policy, engine).await?;
    if subject(policy).is_settled() {
        // What is wrong with the spec has been said.
        inputs.ensure_available()?;
    }
    let desired = Arc::new(parse(policy, &inputs).await?);
    inputs.ensure_available()?;
    let inputs = inputs.bound(engine.others).await?;
    inputs.next_permit().await?;
    let reach = reach::find(&inputs, &desired.selection, engine).await?;
    let only_observes = handling.mode == Mode::Observe || inputs.instance.settings.mode == Mode::Observe;
    let all = if only_observes {
        Ended::default()
    } else {
        revoke_all(policy, &inputs, &desired, &reach, left, engine).await?
    };
    let ended = all.ended;

    let (tally, observed) = observe::observe(&inputs, &desired, &reach, only_observes).await;
    if let Err(failure) = observed {
        // Nothing is concluded from half of the sessions.
        let partial = Plan { sessions: tally.sessions(), ..Plan::default() };
        if partial.sessions > 0 || ended > 0 {
            left.run = Some(run(&inputs, &desired, &partial, ended, Done::default()));
        }
        return Err(failure);
    }
    let mut plan = tally.finish();
    plan.results.add(all.results);
    if desired.rules.is_empty() {
        // Otherwise the rules have just counted the same ones.
        plan.failed += all.failed;
    }
    let (done, enforced) = if only_observes {
        (Done::default(), Ok(()))
    } else {
        enforce::enforce(&inputs, &desired, &reach, &plan, engine.sessions).await
    };
    left.run = Some(run(&inputs, &desired, &plan, ended, done));
    enforced.map_err(|failure| told_how_far(failure, &plan, done))?;
    if only_observes && let Some(run) = &mut left.run {
        run.identities = affected::find(&inputs, &desired, &reach, &plan).await?;
    }
    inputs.instance.shared.circuit_breaker.succeeded(&inputs.uid);
    inputs.ensure_askable()?;
    let nobody_selected = reach.as_deref().is_some_and(|reach| reach.ids().is_empty());
    let condition = status::condition(&plan, &desired, only_observes, nobody_selected);
    let is_partial = reach.is_some_and(|reach| reach.has_outside()) && desired.has_expressions();
    let condition = if is_partial { status::without_expressions(&condition) } else { condition };
    Ok(status::with_unserved(condition, &unserved(&inputs, &desired).await))
}

/// The validated spec; parsed off the runtime.
async fn parse(policy: &KratosSessionPolicy, inputs: &Inputs) -> Result<Desired, ReconcileError> {
    let (spec, scope) = (policy.spec.clone(), inputs.scope());
    let parsed = blocking::once(move || desired::parse(&spec, &scope)).await;
    let unparsed = || ReadyCondition::new(Reason::InvalidSpec, "the rules can't be parsed; correct them");
    Ok(parsed.unwrap_or_else(|_| Err(unparsed()))?)
}

/// The schemas that the policy names and that Kratos doesn't serve, as far as schemas have been read.
async fn unserved(inputs: &Inputs, desired: &Desired) -> Vec<String> {
    let (named, schemas) = (&desired.selection.schema_ids, &inputs.instance.shared.schemas);
    if named.is_empty() || !schemas.settled().await {
        return Vec::new();
    }
    let served = schemas.ids().unwrap_or_default();
    named.iter().filter(|id| !served.contains(id)).cloned().collect()
}

/// Ends every session where that is asked for and not done yet.
async fn revoke_all(
    policy: &mut KratosSessionPolicy,
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    left: &mut PartialRun,
    engine: Engine<'_>,
) -> Result<Ended, ReconcileError> {
    let actions = policy.status.as_ref().and_then(|status| status.actions.as_ref());
    let noted = actions.and_then(|actions| actions.revoke_all.clone());
    let Some((wanted, begun)) = action::pending(desired.revoke_all.as_ref(), noted.as_ref()) else {
        return Ok(Ended::default());
    };
    let started_at = if let Some(begun) = begun {
        begun
    } else {
        *policy = begin(policy, wanted, inputs.now, engine.intents).await?;
        inputs.now
    };
    let (all, result) = revoke_all::end_all(inputs, desired, reach, started_at, engine.sessions).await;
    if let Err(failure) = result {
        let seen = Plan { failed: all.failed, ..Plan::default() };
        left.run = Some(run(inputs, desired, &seen, all.ended, Done::default()));
        return Err(failure);
    }
    left.revoke_all = Some(action::status(wanted, started_at, Some((Timestamp::now(), &all))));
    Ok(all)
}

fn run(inputs: &Inputs, desired: &Desired, plan: &Plan, ended: usize, done: Done) -> Run {
    let counts = plan.by_rule.iter().zip(&plan.failed_by_rule);
    let rules = desired.rules.iter().zip(counts);
    Run {
        started_at: inputs.now,
        sessions: plan.sessions,
        matched: plan.matched,
        revoked: done.revoked + ended,
        extended: done.extended,
        failed: plan.failed + done.failed,
        rules: rules
            .map(|(rule, (matched, failed))| OfRule { name: rule.name.clone(), matched: *matched, failed: *failed })
            .collect(),
        identities: Vec::new(),
    }
}

/// A run that ended early says how far it came.
fn told_how_far(failure: ReconcileError, plan: &Plan, done: Done) -> ReconcileError {
    failure.with_condition(|condition| {
        let message = format!(
            "{} of {} sessions were revoked, {} of {} extended, {} failed; the rest is left to the next run: {}",
            done.revoked,
            plan.revoke.len(),
            done.extended,
            plan.extend.len(),
            done.failed,
            condition.message
        );
        ReadyCondition::new(condition.reason, message)
    })
}

/// Has it written that the action is begun. Returns the policy as it is then.
async fn begin(
    policy: &KratosSessionPolicy,
    wanted: &RevokeAll,
    started_at: Timestamp,
    intents: &dyn Intents,
) -> Result<KratosSessionPolicy, ReconcileError> {
    let mut next = policy.status.clone().unwrap_or_default();
    next.actions = Some(PolicyActionStatuses { revoke_all: Some(action::status(wanted, started_at, None)) });
    match intents.begin(policy, &next).await? {
        Some(policy) => Ok(policy),
        None => Err(revoke_all::changed().into()),
    }
}
