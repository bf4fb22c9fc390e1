//! What a run of a policy writes: the status, events with counts, and when the next run is. Decides nothing about sessions.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource, ResourceExt};

use super::controller::Controller;
use crate::api::ReadyCondition;
use crate::api::objects::PolicyObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::session_policy::{KratosSessionPolicy, KratosSessionPolicyStatus};
use crate::base::backoff;
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::controllers::shared::recording;
use crate::engine::failure::ReconcileError;
use crate::engine::policy::reconcile::{PartialRun, subject};
use crate::kubernetes::kube_write;
use crate::policy::desired::Handling;
use crate::policy::status::{self, Outcome, Run};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// How often a policy checks whether what it waits for has happened. The check sends no request.
const WAITING: Duration = Duration::from_secs(1);

/// Status, events, and what the run came to.
pub async fn finish(
    policy: &KratosSessionPolicy,
    handling: Handling,
    result: Result<ReadyCondition, ReconcileError>,
    left: PartialRun,
    controller: &Controller,
) -> Result<ReconcileResult, kube::Error> {
    let reason = match &result {
        Ok(condition) => Some(condition.reason),
        Err(failure) => failure.reason(),
    };
    let next = settle(policy, handling, result, left, controller).await?;
    Ok(reason.map_or(next.into(), |reason| next.with_reason(reason)))
}

/// Status, events, and when to run again.
async fn settle(
    policy: &KratosSessionPolicy,
    handling: Handling,
    result: Result<ReadyCondition, ReconcileError>,
    left: PartialRun,
    controller: &Controller,
) -> Result<Requeue, kube::Error> {
    let (subject, uid) = (subject(policy), policy.uid().unwrap_or_default());
    let PartialRun { run, revoke_all } = left;
    let next_run = backoff::jitter(handling.interval);
    let (condition, after) = match result {
        Ok(condition) => {
            controller.runs.completed(&uid, Instant::now());
            (condition, next_run)
        }
        Err(
            ReconcileError::Waiting(condition) | ReconcileError::Queued(condition) | ReconcileError::Unread(condition),
        ) => {
            let after = backoff::jitter(WAITING);
            if subject.is_settled() && run.is_none() {
                return Ok(put_off(&uid, after, controller));
            }
            (condition, after)
        }
        Err(ReconcileError::Down(condition)) => {
            let after = backoff::delay(FIRST_RETRY, LAST_RETRY, controller.runs.failed(&uid)).min(next_run);
            // The instance's own status says that it is down; how far a run came is said here.
            if subject.is_settled() && run.is_none() {
                return Ok(put_off(&uid, after, controller));
            }
            (condition, after)
        }
        Err(ReconcileError::Refused(condition)) => (condition, next_run),
        Err(ReconcileError::Retry { condition, after }) => {
            let failures = controller.runs.failed(&uid);
            let after = after.map_or_else(|| backoff::delay(FIRST_RETRY, LAST_RETRY, failures), backoff::jitter);
            (condition, after.min(next_run))
        }
        Err(ReconcileError::Kubernetes(error)) => return Err(error),
    };
    let done = revoke_all.as_ref().and_then(|status| status.message.clone());
    let happened = run.clone();
    let now = Timestamp::now();
    let mut next = status::next(subject, Outcome { condition, run, revoke_all }, now);
    status::note_interval(&mut next, handling, subject.generation, now);
    let after = put_off(&uid, after, controller);
    write(policy, next, controller).await?;
    tell(policy, happened.as_ref(), done, controller);
    Ok(after)
}

/// The next run is due after this.
fn put_off(uid: &str, after: Duration, controller: &Controller) -> Requeue {
    controller.runs.put_off(uid, Instant::now() + after);
    Requeue::After(after)
}

/// Events about what was done, with counts.
fn tell(policy: &KratosSessionPolicy, run: Option<&Run>, revoked_all: Option<String>, controller: &Controller) {
    if let Some(message) = revoked_all {
        let wanted = policy.spec.actions.as_ref().and_then(|actions| actions.revoke_all.as_ref());
        let reason = wanted.and_then(|wanted| wanted.reason.as_deref()).map(|reason| format!(" ({reason})"));
        let note = format!("revokeAll{}: {message}", reason.unwrap_or_default());
        controller.events.publish(policy, RecordedEvent::normal("AllRevoked", "RevokeAll", note));
    }
    let Some(run) = run else { return };
    let by_rule = run.rules.iter().filter(|rule| rule.matched > 0);
    let by_rule: Vec<_> = by_rule.map(|rule| format!("{} {}", rule.name, rule.matched)).collect();
    let by_rule = by_rule.join(", ");
    let Run { sessions, revoked, extended, .. } = run;
    // What revokeAll ended has been said.
    if *revoked > 0 && !by_rule.is_empty() {
        let note = format!("{revoked} session(s) were ended, of {sessions} looked at; named by rule: {by_rule}");
        controller.events.publish(policy, RecordedEvent::normal("SessionsRevoked", "Revoke", note));
    }
    if *extended > 0 {
        let note = format!("{extended} session(s) were extended, of {sessions} looked at; named by rule: {by_rule}");
        controller.events.publish(policy, RecordedEvent::normal("SessionsExtended", "Extend", note));
    }
}

/// Writes the status where it changed, and an event where something new needs someone.
pub async fn write(
    policy: &KratosSessionPolicy,
    next: KratosSessionPolicyStatus,
    controller: &Controller,
) -> Result<(), kube::Error> {
    if policy.status.as_ref() == Some(&next) {
        return Ok(());
    }
    let api = api(policy, controller);
    let permit = controller.kubernetes.acquire(&policy.namespace().unwrap_or_default()).await;
    let written = match controller.seen.newest(&controller.seen.policies, &controller.seen.policy_mutations, policy) {
        Some(now) => kube_write::status(&api, &*now, &next, controller.has_concurrent_writers).await,
        // It is gone: nothing to say any more.
        None => return Ok(()),
    };
    drop(permit);
    if !recording::is_written(written, &controller.seen.policy_mutations)? {
        return Ok(());
    }
    let before = policy.status.as_ref().and_then(|status| recording::stalled(&status.conditions));
    let is_of_another_spec =
        policy.status.as_ref().and_then(|status| status.observed_generation) != next.observed_generation;
    if let Some((reason, message)) = recording::stalled(&next.conditions)
        // Numbers in it may be others with each run.
        && before.is_none_or(|(before, told)| before != reason || is_of_another_spec && told != message)
    {
        controller.events.publish(policy, RecordedEvent::warning(&reason, "Run", message));
    }
    Ok(())
}

/// The API of the policy's namespace.
pub fn api(policy: &impl Resource, controller: &Controller) -> Api<PolicyObject> {
    Api::namespaced(controller.client.clone(), policy.meta().namespace.as_deref().unwrap_or_default())
}
