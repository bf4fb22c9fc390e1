//! From the result of a run to its status.

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;

use super::now;
use crate::api::condition::{READY, RECONCILING, STALLED, SUSPENDED, find, is_true};
use crate::api::session_policy::{KratosSessionPolicyStatus, RevokeAll};
use crate::api::{ReadyCondition, Reason};
use crate::policy::action::{self, Ended};
use crate::policy::judge::Mask;
use crate::policy::status::{self, OfRule, Outcome, Run, Subject};
use crate::policy::tally::{Candidate, Plan};

fn subject(current: Option<&KratosSessionPolicyStatus>) -> Subject<'_> {
    Subject { generation: 3, requested_at: Some("now"), current }
}

fn run() -> Run {
    let rules = vec![OfRule { name: "too-old".to_owned(), matched: 2, failed: 1 }];
    let identities = vec![(Uuid::from_u128(7), 6)];
    Run { started_at: now(), sessions: 9, matched: 5, revoked: 4, extended: 3, failed: 2, rules, identities }
}

fn outcome(reason: Reason, run: Option<Run>) -> Outcome {
    Outcome { condition: ReadyCondition::new(reason, "so it is"), run, revoke_all: None }
}

#[test]
fn a_run_is_told_in_counts() {
    let next = status::next(subject(None), outcome(Reason::Reconciled, Some(run())), now());
    let told = serde_json::to_value(&next).unwrap();
    assert_eq!(
        told["lastRun"],
        json!({"startedAt": "2026-11-24T12:00:00Z", "sessions": 9, "matched": 5, "revoked": 4, "extended": 3, "failed": 2})
    );
    assert_eq!(told["rules"], json!([{"name": "too-old", "matched": 2, "failed": 1}]));
    assert_eq!(told["identities"], json!([{"id": "00000000-0000-0000-0000-000000000007", "sessions": 6}]));
    assert_eq!(told["revokedTotal"], 4);
    assert_eq!((&told["observedGeneration"], &told["lastHandledReconcileAt"]), (&json!(3), &json!("now")));
    assert!(is_true(&next.conditions, READY));
}

#[test]
fn what_was_ended_adds_up_and_a_look_without_a_run_adds_nothing() {
    let mut status = status::next(subject(None), outcome(Reason::Reconciled, Some(run())), now());
    for (ended, is_run, total) in [(3, true, 7), (5, false, 7), (0, true, 7), (1, true, 8)] {
        let run = is_run.then(|| Run { revoked: ended, identities: Vec::new(), ..run() });
        status = status::next(subject(Some(&status)), outcome(Reason::Reconciled, run), now());
        assert_eq!(status.revoked_total, Some(total), "{ended}");
    }
    assert_eq!(status.identities, [], "those of an earlier run");
    let told = serde_json::to_value(&status).unwrap();
    assert!(told["identities"].is_null(), "an empty list isn't shown: {told}");
    let suspended = status::suspended(subject(Some(&status)), now());
    assert_eq!(suspended.revoked_total, Some(8));
}

#[test]
fn schemas_that_are_not_served_are_said_beside_what_was_done() {
    let done = ReadyCondition::new(Reason::Reconciled, "the rules were applied");
    assert_eq!(status::with_unserved(done.clone(), &[]), done);
    let told = status::with_unserved(done, &["employe".to_owned(), "x".repeat(500)]);
    assert_eq!(told.reason, Reason::Reconciled, "it keeps nothing from being done");
    let said = "the rules were applied; spec.identities.schemaIDs: Kratos serves no identity schema employe, xxx";
    assert!(told.message.starts_with(said) && told.message.chars().count() < 230, "{}", told.message);
}

#[test]
fn what_couldnt_be_judged_is_said_by_rule() {
    let rules = json!([{"name": "old", "maxAge": "1h", "action": "Revoke"}, {"name": "odd", "maxAge": "2h", "action": "Revoke"}]);
    let plan = Plan { sessions: 3, failed: 2, failed_by_rule: vec![0, 2], ..Plan::default() };
    let condition = status::condition(&plan, &super::parse(&rules).unwrap(), false, false);
    assert!(condition.message.contains("were left alone (by rule: odd 2): "), "{}", condition.message);
}

#[test]
fn what_didnt_come_to_a_run_leaves_what_is_known_of_the_last_one() {
    let before = status::next(subject(None), outcome(Reason::Reconciled, Some(run())), now());
    let later = status::next(subject(Some(&before)), outcome(Reason::KratosUnavailable, None), now());
    assert_eq!((&later.last_run, &later.rules), (&before.last_run, &before.rules));
    assert!(is_true(&later.conditions, READY) && is_true(&later.conditions, RECONCILING));
    let first = status::next(subject(None), outcome(Reason::KratosUnavailable, None), now());
    assert_eq!(first.last_handled_reconcile_at, None, "it isn't served yet");
    assert!(!is_true(&first.conditions, READY));
}

#[test]
fn a_policy_that_was_ready_says_at_once_that_its_instance_lacks_and_nothing_of_it_any_more_once_it_is_there() {
    let ready = |status: &KratosSessionPolicyStatus| {
        let ready = find(&status.conditions, READY).unwrap();
        (ready.status == "True", ready.reason.clone())
    };
    let mut status = status::next(subject(None), outcome(Reason::Reconciled, Some(run())), now());
    let outcomes = [
        (Reason::KratosUnavailable, "Reconciled"),
        (Reason::InstanceNotReady, "InstanceNotReady"),
        (Reason::KratosUnavailable, "Reconciled"),
        (Reason::InstanceNotReady, "InstanceNotReady"),
        (Reason::Reconciled, "Reconciled"),
    ];
    for (reason, told) in outcomes {
        status = status::next(subject(Some(&status)), outcome(reason, None), now());
        assert_eq!(ready(&status), (true, told.to_owned()), "{reason:?}");
    }
    let never = status::next(subject(None), outcome(Reason::InstanceNotReady, None), now());
    assert_eq!(ready(&never), (false, "InstanceNotReady".to_owned()));
}

#[test]
fn a_suspended_policy_says_so_and_keeps_the_rest() {
    let before = status::next(subject(None), outcome(Reason::Reconciled, Some(run())), now());
    let suspended = status::suspended(subject(Some(&before)), now());
    assert!(is_true(&suspended.conditions, SUSPENDED) && is_true(&suspended.conditions, READY));
    assert_eq!(suspended.last_run, before.last_run);
    let resumed = status::next(subject(Some(&suspended)), outcome(Reason::Reconciled, None), now());
    assert_eq!(find(&resumed.conditions, SUSPENDED), None);
    let never = status::suspended(subject(None), now());
    assert!(is_true(&never.conditions, SUSPENDED) && find(&never.conditions, READY).is_none());
}

/// A session to revoke.
fn candidate() -> Candidate {
    Candidate { session: Uuid::nil(), identity: Uuid::nil(), rules: Mask::default() }
}

#[rstest]
#[case::done(Plan { sessions: 3, ..Plan::default() }, false, false, Reason::Reconciled, "the rules were applied")]
#[case::observed(Plan { sessions: 3, ..Plan::default() }, true, false, Reason::Observed, "no session would be ended; mode Observe")]
#[case::observed_of_somebody(Plan { sessions: 3, named: 1, revoke: vec![candidate()], ..Plan::default() }, true, false, Reason::Observed, "1 session(s) would be ended (whose: status.identities); mode Observe")]
#[case::observed_and_extended(Plan { sessions: 3, extend: vec![Uuid::nil()], ..Plan::default() }, true, false, Reason::Observed, "no session would be ended, 1 extended; mode Observe")]
#[case::nobody(Plan::default(), false, true, Reason::Reconciled, "no identity within reach")]
#[case::no_session(Plan::default(), false, false, Reason::Reconciled, "have no session")]
#[case::held(Plan { named: 101, ..Plan::default() }, false, false, Reason::RevocationsHeld, "raise limit.maxRevocations to 101")]
#[case::would_be_held(Plan { sessions: 101, named: 101, ..Plan::default() }, true, false, Reason::Observed, "none would be revoked")]
#[case::unjudged(Plan { sessions: 3, failed: 2, ..Plan::default() }, false, false, Reason::Reconciled, "2 session(s) couldn't be judged")]
fn a_run_has_a_condition(
    #[case] plan: Plan,
    #[case] only_observes: bool,
    #[case] nobody: bool,
    #[case] reason: Reason,
    #[case] words: &str,
) {
    let condition = status::condition(&plan, &super::parse(&serde_json::json!([])).unwrap(), only_observes, nobody);
    assert_eq!(condition.reason, reason);
    assert!(condition.message.contains(words), "{}", condition.message);
    let next = status::next(subject(None), Outcome { condition, run: None, revoke_all: None }, now());
    assert_eq!(is_true(&next.conditions, STALLED), reason == Reason::RevocationsHeld);
}

#[test]
fn an_action_is_done_once_per_token_from_when_it_was_first_begun() {
    let wanted = |token: &str| RevokeAll { token: token.to_owned(), reason: None };
    let (one, two) = (wanted("one"), wanted("two"));
    let begun_at: Timestamp = "2026-11-24T11:59:59.123456Z".parse().unwrap();
    assert_eq!(action::pending(None, None), None);
    assert_eq!(action::pending(Some(&one), None), Some((&one, None)));
    let begun = action::status(&one, begun_at, None);
    let written = serde_json::from_value(serde_json::to_value(&begun).unwrap()).unwrap();
    assert_eq!(action::pending(Some(&one), Some(&written)), Some((&one, Some(begun_at))), "to the microsecond");
    let done = action::status(&one, begun_at, Some((now(), &Ended { ended: 7, ..Ended::default() })));
    assert_eq!(action::pending(Some(&one), Some(&done)), None);
    assert_eq!(action::pending(None, Some(&done)), None);
    assert_eq!(action::pending(Some(&two), Some(&done)), Some((&two, None)));
    assert!(done.message.unwrap().contains("ended 7"));
}
