//! Turns the result of a run into a status. Pure: built from success and failure alike.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use uuid::Uuid;

use super::desired::{Desired, Handling, SHORTEST_ELSEWHERE};
use super::tally::Plan;
use crate::api::condition::{self, INTERVAL_LIMITED, READY, SUSPENDED, State};
use crate::api::session_policy::{
    IdentitySessions, KratosSessionPolicyStatus, LastRun, PolicyActionStatuses, RevokeAllStatus, RuleStatus,
};
use crate::api::words::{listed, shown};
use crate::api::{ReadyCondition, Reason};

/// The longest shown form of one name, and of several, in characters.
const NAME: usize = 40;
const NAMES: usize = 60;

/// The result of a reconcile.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub condition: ReadyCondition,
    /// `None`: there was no run; the status keeps the last one.
    pub run: Option<Run>,
    /// `None`: the status keeps it as it is.
    pub revoke_all: Option<RevokeAllStatus>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub started_at: Timestamp,
    pub sessions: usize,
    pub matched: usize,
    pub revoked: usize,
    pub extended: usize,
    pub failed: usize,
    /// The result of each rule. Empty: no rule was evaluated.
    pub rules: Vec<OfRule>,
    /// In mode Observe: the identities whose sessions Revoke rules match, and how many sessions.
    pub identities: Vec<(Uuid, usize)>,
}

/// The result of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfRule {
    pub name: String,
    pub matched: usize,
    /// Of how many sessions it is unknown whether the rule holds.
    pub failed: usize,
}

/// The policy that a status is written for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub generation: i64,
    pub requested_at: Option<&'a str>,
    pub current: Option<&'a KratosSessionPolicyStatus>,
}

impl Subject<'_> {
    /// Whether the status already has a Ready condition for this generation.
    pub fn is_settled(&self) -> bool {
        self.current.is_some_and(|status| {
            status.observed_generation == Some(self.generation) && condition::find(&status.conditions, READY).is_some()
        })
    }
}

/// The same condition, where the instance's rules don't admit some of the identities.
pub fn without_expressions(condition: &ReadyCondition) -> ReadyCondition {
    let message = format!(
        "{}; identities that the rules of the KratosInstance don't admit are judged by rules without expression alone",
        condition.message
    );
    ReadyCondition::new(condition.reason, message)
}

/// The condition after a complete run.
pub fn condition(plan: &Plan, desired: &Desired, only_observes: bool, nobody_selected: bool) -> ReadyCondition {
    let (Plan { sessions, named, failed, .. }, limit) = (plan, desired.limit);
    let held = format!("{named} sessions are named by rules that revoke, more than limit.maxRevocations ({limit})");
    let odd = plan.results.never_boolean(desired);
    if !odd.is_empty() {
        let held = if plan.is_held() { format!("; {held}: none is revoked") } else { String::new() };
        let message = format!(
            "{}: gives something else than true or false; correct it. {failed} session(s) couldn't be judged; the rest was \
             done{held}",
            listed(&odd, NAMES)
        );
        return ReadyCondition::new(Reason::InvalidSpec, message);
    }
    if plan.is_held() && !only_observes {
        let message = format!(
            "{named} sessions are named by rules that revoke (see status.rules), more than limit.maxRevocations ({limit}): \
             none was revoked; raise limit.maxRevocations to {named}, or change the rules"
        );
        return ReadyCondition::new(Reason::RevocationsHeld, message);
    }
    let message = match (only_observes, nobody_selected, sessions) {
        (_, true, _) => "no identity within reach is selected by spec.identities".to_owned(),
        (_, false, 0) => "the identities that the policy is about have no session".to_owned(),
        (true, false, _) => would(plan),
        (false, false, _) => "the rules were applied".to_owned(),
    };
    let held = plan.is_held().then(|| format!("{held}: in mode Enforce none would be revoked"));
    let failed = (*failed > 0).then(|| {
        format!(
            "{failed} session(s) couldn't be judged and were left alone{}: a field is missing or of another type (a time needs \
             timestamp())",
            by_rule(plan, desired)
        )
    });
    let message = [Some(message), held, failed].into_iter().flatten().collect::<Vec<_>>().join("; ");
    ReadyCondition::new(if only_observes { Reason::Observed } else { Reason::Reconciled }, message)
}

/// What mode Observe (of the policy or its instance) leaves undone.
fn would(plan: &Plan) -> String {
    if plan.is_held() {
        // The message about held revocations has the number.
        return "mode Observe, here or on the KratosInstance, changes nothing".to_owned();
    }
    let ended = match plan.named {
        0 => "no session would be ended".to_owned(),
        named => format!("{named} session(s) would be ended (whose: status.identities)"),
    };
    let extended = match plan.extend.len() {
        0 => String::new(),
        extended => format!(", {extended} extended"),
    };
    format!("{ended}{extended}; mode Observe, here or on the KratosInstance, changes nothing")
}

/// For how many sessions each rule couldn't be evaluated.
fn by_rule(plan: &Plan, desired: &Desired) -> String {
    let rules = desired.rules.iter().zip(&plan.failed_by_rule).filter(|(_, failed)| **failed > 0);
    let rules: Vec<_> = rules.map(|(rule, failed)| format!("{} {failed}", shown(&rule.name, NAME))).collect();
    if rules.is_empty() { String::new() } else { format!(" (by rule: {})", listed(&rules, NAMES)) }
}

/// The same condition, where Kratos doesn't serve schemas that the policy names: no identity can have them.
pub fn with_unserved(condition: ReadyCondition, unserved: &[String]) -> ReadyCondition {
    if unserved.is_empty() {
        return condition;
    }
    let ids: Vec<_> = unserved.iter().map(|id| shown(id, NAME)).collect();
    let message = format!(
        "{}; spec.identities.schemaIDs: Kratos serves no identity schema {}; correct them, or add the schema to Kratos' \
         configuration",
        condition.message,
        listed(&ids, NAMES)
    );
    ReadyCondition::new(condition.reason, message)
}

/// The status after a reconcile. A run always changes it: it shows when the last one began.
pub fn next(subject: Subject<'_>, outcome: Outcome, now: Timestamp) -> KratosSessionPolicyStatus {
    let mut status = subject.current.cloned().unwrap_or_default();
    let Outcome { condition, run, revoke_all } = outcome;
    observe_generation(&mut status, subject, condition.reason);
    condition::clear(&mut status.conditions, SUSPENDED);
    condition::summarize(&mut status.conditions, &condition, subject.generation, now);
    tell_what_lacks(&mut status, &condition, subject.generation, now);
    if let Some(run) = run {
        let Run { started_at, sessions, matched, revoked, extended, failed, rules, identities } = run;
        status.revoked_total = Some(status.revoked_total.unwrap_or_default().saturating_add(count(revoked)));
        status.last_run = Some(LastRun {
            started_at: Some(Time(whole_second(started_at))),
            sessions: count(sessions),
            matched: count(matched),
            revoked: count(revoked),
            extended: count(extended),
            failed: count(failed),
        });
        let of_rule =
            |OfRule { name, matched, failed }| RuleStatus { name, matched: count(matched), failed: count(failed) };
        status.rules = rules.into_iter().map(of_rule).collect();
        let whose = |(id, sessions): (Uuid, usize)| IdentitySessions { id: id.to_string(), sessions: count(sessions) };
        status.identities = identities.into_iter().map(whose).collect();
    }
    if revoke_all.is_some() {
        status.actions = Some(PolicyActionStatuses { revoke_all });
    }
    status
}

/// A policy that stays Ready shows at once that its instance is missing, since it doesn't run meanwhile. Once it waits for
/// something else, it shows again that the last run was complete.
fn tell_what_lacks(
    status: &mut KratosSessionPolicyStatus,
    condition: &ReadyCondition,
    generation: i64,
    now: Timestamp,
) {
    let ready = condition::find(&status.conditions, READY).filter(|ready| ready.status == "True");
    let Some(ready) = ready.filter(|_| condition.reason.state() == State::Retrying) else { return };
    let told_before = ready.reason == Reason::InstanceNotReady.as_str();
    let told = match condition.reason {
        Reason::InstanceNotReady => condition.clone(),
        _ if told_before => ReadyCondition::new(Reason::Reconciled, "the last run came to its end, see status.lastRun"),
        _ => return,
    };
    condition::set(&mut status.conditions, READY, true, &told, generation, now);
}

/// The status of a suspended policy: no session was read.
pub fn suspended(subject: Subject<'_>, now: Timestamp) -> KratosSessionPolicyStatus {
    let mut status = subject.current.cloned().unwrap_or_default();
    let condition =
        ReadyCondition::new(Reason::Suspended, "spec.suspend is true: sessions are neither looked at nor changed");
    observe_generation(&mut status, subject, condition.reason);
    condition::suspend(&mut status.conditions, &condition, subject.generation, now);
    status
}

/// Notes whether the policy runs less often than its spec says.
pub fn note_interval(status: &mut KratosSessionPolicyStatus, handling: Handling, generation: i64, now: Timestamp) {
    let Some(asks_for) = handling.asks_for else { return condition::clear(&mut status.conditions, INTERVAL_LIMITED) };
    let message = format!(
        "spec.interval is {asks_for:?}; outside of the KratosInstance's namespace a policy runs every \
         {SHORTEST_ELSEWHERE:?}, give or take a tenth, and at once when its spec changes"
    );
    let condition = ReadyCondition::new(Reason::IntervalLimited, message);
    condition::set(&mut status.conditions, INTERVAL_LIMITED, true, &condition, generation, now);
}

/// Notes the observed generation and the served request. While it is retried, a request isn't served.
fn observe_generation(status: &mut KratosSessionPolicyStatus, subject: Subject<'_>, reason: Reason) {
    status.observed_generation = Some(subject.generation);
    if reason.state() != State::Retrying
        && let Some(requested_at) = subject.requested_at
    {
        status.last_handled_reconcile_at = Some(requested_at.to_owned());
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
