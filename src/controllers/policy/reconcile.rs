//! One run of a `KratosSessionPolicy`: `inputs → desired → reach → observe → tally → enforce → status`.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::record::{self, Left, subject};
use super::unreadable;
use crate::api::instance::Mode;
use crate::api::session_policy::KratosSessionPolicy;
use crate::api::{Reason, Verdict};
use crate::base::off_runtime;
use crate::controllers::context::{Context, PolicyObject};
use crate::controllers::queue::{Looked, Next};
use crate::engine::failure::Halt;
use crate::engine::policy::enforce::{self, Done};
use crate::engine::policy::inputs::{self, Inputs};
use crate::engine::policy::reach::{self, Reach};
use crate::engine::policy::revoke_all::{self, Ended};
use crate::engine::policy::{observe, whose};
use crate::policy::desired::{self, Desired, Handling};
use crate::policy::status::{self, OfRule, Run};
use crate::policy::tally::Plan;
use crate::telemetry::trace;

/// Runs one policy, where it is this operator that speaks for its instance.
pub async fn reconcile(object: Arc<PolicyObject>, context: Arc<Context>) -> Result<Looked, kube::Error> {
    let object = context.latest_policies.of(&object);
    trace::note_generation(&*object);
    let Ok(policy) = &object.0 else { return unreadable::reconcile(&object, &context).await };
    let Some(place) = inputs::instance_place(policy, context.options.default_instance.as_ref()) else {
        return run_once(policy, true, &context).await;
    };
    trace::note_instance(&place);
    let beside_instance = policy.namespace().as_ref() == Some(&place.namespace);
    // Whoever leads next has all of them run.
    context
        .leads
        .while_speaking(&place, run_once(policy, beside_instance, &context))
        .await
        .unwrap_or(Ok(Next::WhenAsked.into()))
}

async fn run_once(
    policy: &KratosSessionPolicy,
    beside_instance: bool,
    context: &Context,
) -> Result<Looked, kube::Error> {
    if policy.metadata.deletion_timestamp.is_some() {
        return Ok(Next::WhenAsked.into());
    }
    let handling = desired::handling(&policy.spec, beside_instance);
    if handling.suspended {
        let (subject, now) = (subject(policy), Timestamp::now());
        let mut status = status::suspended(subject, now);
        status::note_interval(&mut status, handling, subject.generation, now);
        record::write(policy, status, context).await?;
        return Ok(Next::WhenAsked.into());
    }
    let asked = subject(policy);
    let uid = policy.uid().unwrap_or_default();
    let for_what = (asked.generation, asked.requested_at);
    if let Err(wait) = context.runs.begin(&uid, for_what, handling.interval, Instant::now()) {
        return Ok(Next::After(wait).into());
    }
    let mut policy = policy.clone();
    let mut left = Left::default();
    let result = look(&mut policy, handling, &mut left, context).await;
    let finished = record::finish(&policy, handling, result, left, context).await;
    if finished.is_err() {
        context.runs.want(&uid);
    }
    finished
}

/// Everything up to the verdict.
async fn look(
    policy: &mut KratosSessionPolicy,
    handling: Handling,
    left: &mut Left,
    context: &Context,
) -> Result<Verdict, Halt> {
    let inputs = inputs::gather(policy, context).await?;
    if subject(policy).is_settled() {
        // What is wrong with the spec has been said.
        inputs.ensure_open()?;
    }
    let desired = Arc::new(parse(policy, &inputs).await?);
    inputs.ensure_open()?;
    let inputs = inputs.bound(context).await?;
    inputs.turn().await?;
    let reach = reach::find(&inputs, &desired.selection, context).await?;
    let only_looks = handling.mode == Mode::Observe || inputs.instance.settings.mode == Mode::Observe;
    let all = if only_looks {
        Ended::default()
    } else {
        revoke_all(policy, &inputs, &desired, &reach, left, context).await?
    };
    let ended = all.ended;

    let (tally, observed) = observe::observe(&inputs, &desired, &reach, only_looks, context).await;
    if let Err(halt) = observed {
        // Nothing is concluded from half of the sessions.
        let partial = Plan { sessions: tally.sessions(), ..Plan::default() };
        if partial.sessions > 0 || ended > 0 {
            left.run = Some(run(&inputs, &desired, &partial, ended, Done::default()));
        }
        return Err(halt);
    }
    let mut plan = tally.finish();
    plan.truth.add(all.truth);
    if desired.rules.is_empty() {
        // Otherwise the rules have just counted the same ones.
        plan.failed += all.failed;
    }
    let (done, enforced) = if only_looks {
        (Done::default(), Ok(()))
    } else {
        enforce::enforce(&inputs, &desired, &reach, &plan, context).await
    };
    left.run = Some(run(&inputs, &desired, &plan, ended, done));
    enforced.map_err(|halt| told_how_far(halt, &plan, done))?;
    if only_looks && let Some(run) = &mut left.run {
        run.identities = whose::find(&inputs, &desired, &reach, &plan, context).await?;
    }
    inputs.instance.shared.gate.served(&inputs.uid);
    inputs.ensure_askable()?;
    let nobody_selected = reach.as_deref().is_some_and(|reach| reach.ids().is_empty());
    let verdict = status::verdict(&plan, &desired, only_looks, nobody_selected);
    let is_partial = reach.is_some_and(|reach| reach.has_outside()) && desired.has_expressions();
    let verdict = if is_partial { status::without_expressions(&verdict) } else { verdict };
    Ok(status::with_unserved(verdict, &unserved(&inputs, &desired).await))
}

/// The validated spec; parsed off the runtime.
async fn parse(policy: &KratosSessionPolicy, inputs: &Inputs) -> Result<Desired, Halt> {
    let (spec, standing) = (policy.spec.clone(), inputs.standing());
    let parsed = off_runtime::once(move || desired::parse(&spec, &standing)).await;
    let unparsed = || Verdict::new(Reason::InvalidSpec, "the rules can't be parsed; correct them");
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
    left: &mut Left,
    context: &Context,
) -> Result<Ended, Halt> {
    let actions = policy.status.as_ref().and_then(|status| status.actions.as_ref());
    let noted = actions.and_then(|actions| actions.revoke_all.clone());
    let Some((wanted, begun)) = revoke_all::pending(desired.revoke_all.as_ref(), noted.as_ref()) else {
        return Ok(Ended::default());
    };
    let started_at = if let Some(begun) = begun {
        begun
    } else {
        *policy = revoke_all::begin(policy, wanted, inputs.now, context).await?;
        inputs.now
    };
    let (all, result) = revoke_all::end_all(inputs, desired, reach, started_at, context).await;
    if let Err(halt) = result {
        let seen = Plan { failed: all.failed, ..Plan::default() };
        left.run = Some(run(inputs, desired, &seen, all.ended, Done::default()));
        return Err(halt);
    }
    left.revoke_all = Some(revoke_all::status(wanted, started_at, Some((Timestamp::now(), &all))));
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
fn told_how_far(halt: Halt, plan: &Plan, done: Done) -> Halt {
    halt.told(|verdict| {
        let message = format!(
            "{} of {} sessions were revoked, {} of {} extended, {} failed; the rest is left to the next run: {}",
            done.revoked,
            plan.revoke.len(),
            done.extended,
            plan.extend.len(),
            done.failed,
            verdict.message
        );
        Verdict::new(verdict.reason, message)
    })
}
