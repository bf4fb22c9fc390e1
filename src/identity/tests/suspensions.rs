//! The status of a suspended identity: readiness stays as it was, and nothing is waited for.

use super::statuses::{at, has, outcome, reconciled, subject};
use crate::api::Reason;
use crate::api::condition::{self, READY, RECONCILING, STALLED, SUSPENDED};
use crate::identity::status::{self, Observation, RecoveryObservation, Subject};

#[test]
fn a_suspended_resource_says_so_and_leaves_readiness_as_it_was() {
    let mut retrying =
        status::next(subject(3, Some(&reconciled(3))), outcome(Reason::Throttled, Observation::Unknown), at(200));
    retrying.last_handled_reconcile_at = None;
    let subject = Subject { generation: 4, requested_at: Some("asked-now"), current: Some(&retrying) };
    let suspended = status::suspended(subject, RecoveryObservation::Unknown, at(300));
    assert_eq!((has(&suspended, SUSPENDED), has(&suspended, RECONCILING)), (Some(true), None));
    let reason = condition::find(&suspended.conditions, SUSPENDED).map(|found| found.reason.as_str());
    assert_eq!(reason, Some("Suspended"));
    let [was, ready] = [&retrying, &suspended].map(|status| condition::find(&status.conditions, READY).expect("so"));
    assert_eq!((&ready.status, &ready.last_transition_time), (&was.status, &was.last_transition_time));
    assert_eq!((ready.reason.as_str(), ready.observed_generation), ("Suspended", Some(4)));
    assert_eq!(suspended.observed_generation, Some(4));
    assert_eq!(suspended.last_handled_reconcile_at.as_deref(), Some("asked-now"));
    assert_eq!(suspended.identity_id.as_deref(), Some("id-of-ada"));
    assert_eq!(
        status::suspended(Subject { current: Some(&suspended), ..subject }, RecoveryObservation::Unknown, at(400)),
        suspended
    );
}

#[test]
fn of_a_resource_that_was_suspended_from_the_start_nothing_is_said_that_one_would_wait_for() {
    let suspended = status::suspended(subject(1, None), RecoveryObservation::Unknown, at(100));
    assert_eq!((has(&suspended, READY), has(&suspended, SUSPENDED)), (None, Some(true)));
}

#[test]
fn a_resource_that_is_resumed_is_suspended_no_more() {
    let suspended = status::suspended(subject(4, Some(&reconciled(3))), RecoveryObservation::Unknown, at(300));
    for reason in [Reason::Reconciled, Reason::KratosUnavailable, Reason::InvalidSpec] {
        let resumed = status::next(subject(5, Some(&suspended)), outcome(reason, Observation::Unknown), at(400));
        assert_eq!(has(&resumed, SUSPENDED), None, "{reason:?}");
    }
}

#[test]
fn a_stalled_resource_that_is_suspended_stays_stalled() {
    let stalled = status::next(subject(3, None), outcome(Reason::TraitsRejected, Observation::Unknown), at(100));
    let suspended = status::suspended(subject(4, Some(&stalled)), RecoveryObservation::Unknown, at(200));
    assert_eq!((has(&suspended, STALLED), has(&suspended, READY)), (Some(true), Some(false)));
}
