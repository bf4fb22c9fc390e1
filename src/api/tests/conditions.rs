//! From a reason to conditions, and what kstatus computes from them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use rstest::rstest;

use crate::api::condition::{self, READY, RECONCILING, STALLED, State};
use crate::api::{ReadyCondition, Reason};

const DONE: [Reason; 11] = [
    Reason::Reconciled,
    Reason::Observed,
    Reason::DriftObserved,
    Reason::IntervalLimited,
    Reason::Suspended,
    Reason::StaleIdentifiers,
    Reason::RecoveryIssued,
    Reason::RecoveryExpired,
    Reason::RecoveryDisabled,
    Reason::RecoverySecretGone,
    Reason::IdentityInactive,
];
const RETRYING: [Reason; 6] = [
    Reason::KratosUnavailable,
    Reason::Throttled,
    Reason::SecretNotReady,
    Reason::InstanceNotReady,
    Reason::Progressing,
    Reason::Forbidden,
];
const STALLING: [Reason; 13] = [
    Reason::InvalidSpec,
    Reason::TraitsRejected,
    Reason::SchemaNotFound,
    Reason::NotPermitted,
    Reason::ClusterMismatch,
    Reason::IdentityConflict,
    Reason::AdoptionRefused,
    Reason::Replaced,
    Reason::UnsupportedByServer,
    Reason::KratosRejected,
    Reason::RevocationsHeld,
    Reason::DeletionHeld,
    Reason::IdentitiesMissing,
];

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition(reason: Reason) -> ReadyCondition {
    ReadyCondition::new(reason, format!("because {reason:?}"))
}

fn summary(before: &[Condition], condition: &ReadyCondition, generation: i64, now: i64) -> Vec<Condition> {
    let mut conditions = before.to_vec();
    condition::summarize(&mut conditions, condition, generation, at(now));
    conditions
}

/// Ready, Reconciling and Stalled.
fn summed(conditions: &[Condition]) -> [Option<&str>; 3] {
    [READY, RECONCILING, STALLED].map(|type_| condition::find(conditions, type_).map(|found| found.status.as_str()))
}

/// What kstatus computes; the first match wins.
fn kstatus(generation: i64, observed: Option<i64>, conditions: &[Condition]) -> &'static str {
    let is = |type_, status| condition::find(conditions, type_).is_some_and(|found| found.status == status);
    if observed.is_some_and(|observed| observed != generation) || is(RECONCILING, "True") {
        "InProgress"
    } else if is(STALLED, "True") {
        "Failed"
    } else if is(READY, "False") || is(READY, "Unknown") {
        "InProgress"
    } else {
        "Current"
    }
}

/// The names of the variants, read from the source, so that none is missing.
fn variants() -> Vec<&'static str> {
    let source = include_str!("../condition.rs");
    let (_, body) = source.split_once("pub enum Reason {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.is_empty());
    lines.map(|line| line.trim_end_matches(',')).collect()
}

#[test]
fn every_reason_is_in_exactly_one_state_and_is_called_what_it_is() {
    let mut told: Vec<_> = DONE.iter().chain(&RETRYING).chain(&STALLING).map(|reason| format!("{reason:?}")).collect();
    told.sort();
    let mut variants = variants();
    variants.sort_unstable();
    assert_eq!(told, variants);
    for (reasons, state) in [(&DONE[..], State::Done), (&RETRYING, State::Retrying), (&STALLING, State::Stalled)] {
        for reason in reasons {
            assert_eq!((reason.state(), reason.as_str()), (state, format!("{reason:?}").as_str()));
        }
    }
}

#[test]
fn a_first_look_tells_tools_what_to_do() {
    let rows = [
        (&DONE[..], [Some("True"), None, None], "Current"),
        (&RETRYING, [Some("False"), Some("True"), None], "InProgress"),
        (&STALLING, [Some("False"), None, Some("True")], "Failed"),
    ];
    for (reasons, expected, health) in rows {
        for reason in reasons {
            let conditions = summary(&[], &condition(*reason), 1, 100);
            assert_eq!(summed(&conditions), expected, "{reason:?}");
            assert_eq!(kstatus(1, Some(1), &conditions), health, "{reason:?}");
            assert_eq!(kstatus(2, Some(1), &conditions), "InProgress", "{reason:?}, and a newer spec");
            for found in &conditions {
                assert_eq!((found.reason.as_str(), &found.message), (reason.as_str(), &format!("because {reason:?}")));
                assert_eq!((found.observed_generation, found.last_transition_time.0), (Some(1), at(100)));
            }
        }
    }
}

#[test]
fn what_nobody_has_looked_at_is_in_progress_by_the_default_of_its_status() {
    assert_eq!(kstatus(1, Some(-1), &[]), "InProgress");
    assert_eq!(kstatus(1, None, &[]), "Current", "which is why there must be a default");
}

#[rstest]
#[case::it_stays_ready_while_retrying(Reason::Reconciled, Reason::KratosUnavailable, 1, [Some("True"), Some("True"), None], "InProgress")]
#[case::not_for_a_new_spec(Reason::Reconciled, Reason::KratosUnavailable, 2, [Some("False"), Some("True"), None], "InProgress")]
#[case::not_what_was_stalled(Reason::TraitsRejected, Reason::KratosUnavailable, 1, [Some("False"), Some("True"), None], "InProgress")]
#[case::not_what_stalls(Reason::Reconciled, Reason::TraitsRejected, 1, [Some("False"), None, Some("True")], "Failed")]
#[case::retrying_ends_well(Reason::KratosUnavailable, Reason::Reconciled, 1, [Some("True"), None, None], "Current")]
#[case::or_badly(Reason::KratosUnavailable, Reason::KratosRejected, 1, [Some("False"), None, Some("True")], "Failed")]
#[case::what_stalled_is_mended(Reason::TraitsRejected, Reason::Reconciled, 2, [Some("True"), None, None], "Current")]
fn one_state_follows_another(
    #[case] before: Reason,
    #[case] after: Reason,
    #[case] generation: i64,
    #[case] expected: [Option<&str>; 3],
    #[case] health: &str,
) {
    let before = summary(&[], &condition(before), 1, 100);
    let after = summary(&before, &condition(after), generation, 200);
    assert_eq!(summed(&after), expected);
    assert_eq!(kstatus(generation, Some(generation), &after), health);
}

#[test]
fn ready_keeps_its_own_reason_while_something_is_retried() {
    let before = summary(&[], &condition(Reason::Reconciled), 1, 100);
    let after = summary(&before, &condition(Reason::Throttled), 1, 200);
    assert_eq!(condition::find(&after, READY), condition::find(&before, READY));
}

#[test]
fn a_condition_is_dated_by_its_last_flip() {
    let since = |conditions: &[Condition], type_| condition::find(conditions, type_).unwrap().last_transition_time.0;
    let first = summary(&[], &condition(Reason::KratosUnavailable), 1, 100);
    let second = summary(&first, &condition(Reason::Throttled), 2, 200);
    assert_eq!((since(&second, READY), since(&second, RECONCILING)), (at(100), at(100)), "no flip, another reason");
    let third = summary(&second, &condition(Reason::TraitsRejected), 2, 300);
    assert_eq!((since(&third, READY), since(&third, STALLED)), (at(100), at(300)));
    let fourth = summary(&third, &condition(Reason::Reconciled), 3, 400);
    assert_eq!(since(&fourth, READY), at(400));
    assert_eq!(summary(&fourth, &condition(Reason::Reconciled), 3, 500), fourth);
}

#[test]
fn a_message_that_varies_between_tries_is_no_news() {
    let told = |reason, message: &str| ReadyCondition::new(reason, message);
    let first = summary(&[], &told(Reason::KratosUnavailable, "no answer within 3 s"), 1, 100);
    let again = summary(&first, &told(Reason::KratosUnavailable, "the connection was lost"), 1, 200);
    assert_eq!(again, first);
    let message = |conditions: &[Condition]| condition::find(conditions, RECONCILING).unwrap().message.clone();
    let other_reason = summary(&first, &told(Reason::Throttled, "later"), 1, 200);
    assert_eq!(message(&other_reason), "later");
    let other_spec = summary(&first, &told(Reason::KratosUnavailable, "the connection was lost"), 2, 200);
    assert_eq!(message(&other_spec), "the connection was lost");
    for reason in [Reason::SecretNotReady, Reason::InstanceNotReady] {
        let lacking = summary(&[], &told(reason, "this one lacks"), 1, 100);
        let other = summary(&lacking, &told(reason, "that one lacks"), 1, 200);
        assert_eq!(message(&other), "that one lacks", "which is another one");
    }
    let stalled = summary(&first, &told(Reason::KratosRejected, "one"), 1, 200);
    let stalled = summary(&stalled, &told(Reason::KratosRejected, "two"), 1, 300);
    assert_eq!(condition::find(&stalled, STALLED).unwrap().message, "two", "what someone must act on is up to date");
}

#[test]
fn other_conditions_are_left_alone() {
    let mut conditions = Vec::new();
    condition::set(&mut conditions, "Drifted", true, &condition(Reason::DriftObserved), 1, at(50));
    let before = conditions.clone();
    for reason in DONE.iter().chain(&RETRYING).chain(&STALLING) {
        let after = summary(&before, &condition(*reason), 1, 100);
        assert_eq!(condition::find(&after, "Drifted"), before.first());
    }
    condition::clear(&mut conditions, "Drifted");
    assert_eq!(conditions, []);
}

#[test]
fn a_message_is_cut_between_characters_and_once() {
    let cut = |text: &str| condition::shortened(text, 10);
    assert_eq!((cut("ten bytes!").as_str(), cut("eleven byte").as_str()), ("ten bytes!", "eleven …"));
    assert_eq!(cut("äöüäöüäöü"), "äöü…");
    assert_eq!(cut(&cut("äöüäöüäöü")), cut("äöüäöüäöü"));
    let mut conditions = Vec::new();
    let long = ReadyCondition::new(Reason::InvalidSpec, "x".repeat(100_000));
    condition::summarize(&mut conditions, &long, 1, Timestamp::UNIX_EPOCH);
    assert!(conditions.iter().all(|condition| condition.message.len() == condition::LONGEST_MESSAGE));
}

/// Metrics have a series for each of them from the start.
#[test]
fn whoever_is_retried_or_stalled_can_be_so_for_each_of_these_reasons() {
    let of_others = [Reason::DriftObserved, Reason::IntervalLimited, Reason::StaleIdentifiers];
    for reason in RETRYING.into_iter().chain(STALLING) {
        assert!(condition::OF_READY.contains(&reason), "{reason:?}");
    }
    assert!(of_others.iter().all(|reason| !condition::OF_READY.contains(reason)));
}
