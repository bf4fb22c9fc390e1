//! A window of validity: what it makes of the state, when that changes, and how long to wait for it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{claimant, desired, identity, now};
use crate::identity::plan::{Observed, Step, plan};
use crate::identity::validity::{Phase, wait};
use crate::kratos::State;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[rstest]
#[case::before(json!({"notBefore": "2026-12-24T18:00:01Z"}), State::Inactive, Some("2026-12-24T18:00:01Z"))]
#[case::from_its_first_instant(json!({"notBefore": "2026-12-24T18:00:00Z"}), State::Active, None)]
#[case::until_its_end(json!({"notAfter": "2026-12-24T18:00:01Z"}), State::Active, Some("2026-12-24T18:00:01Z"))]
#[case::not_at_its_end(json!({"notAfter": "2026-12-24T18:00:00Z"}), State::Inactive, None)]
#[case::before_both(
    json!({"notBefore": "2027-01-01T00:00:00Z", "notAfter": "2028-01-01T00:00:00Z"}),
    State::Inactive, Some("2027-01-01T00:00:00Z"))]
#[case::within_both(
    json!({"notBefore": "2026-01-01T00:00:00Z", "notAfter": "2028-01-01T00:00:00Z"}),
    State::Active, Some("2028-01-01T00:00:00Z"))]
#[case::after_both(
    json!({"notBefore": "2025-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}), State::Inactive, None)]
#[case::in_another_zone(json!({"notBefore": "2026-12-24T19:00:00+01:00"}), State::Active, None)]
#[case::a_window_without_time(
    json!({"notBefore": "2028-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}), State::Inactive, None)]
fn a_window_owns_the_state(#[case] validity: Value, #[case] state: State, #[case] boundary: Option<&str>) {
    for spec in [json!({"validity": validity}), json!({"validity": validity, "state": "Active"})] {
        let desired = desired(&spec);
        assert_eq!(desired.state, Some(state));
        assert_eq!(desired.phase.and_then(Phase::boundary), boundary.map(time));
    }
    let desired = desired(&json!({"validity": validity, "state": "Inactive"}));
    assert_eq!((desired.state, desired.phase), (Some(State::Inactive), None), "inactive whatever the window says");
}

#[test]
fn a_person_is_told_of_the_window_in_words_that_stay() {
    let at = time("2026-12-01T00:00:00Z");
    let remarks =
        [Phase::Before(at), Phase::Within(Some(at)), Phase::Within(None), Phase::After(at)].map(Phase::message);
    assert_eq!(
        remarks.map(Option::unwrap_or_default),
        [
            "inactive until 2026-12-01T00:00:00Z, as spec.validity says",
            "active until 2026-12-01T00:00:00Z, as spec.validity says",
            "",
            "inactive since 2026-12-01T00:00:00Z, as spec.validity says",
        ]
    );
}

#[rstest]
#[case::a_moment("2026-12-24T18:00:00.0005Z", Duration::from_millis(1))]
#[case::seconds("2026-12-24T18:00:02Z", Duration::from_millis(2001))]
#[case::years("2126-12-24T18:00:02Z", Duration::from_millis(24 * 3_600_000 + 1))]
#[case::past("2026-12-24T17:00:00Z", Duration::from_millis(1))]
fn a_timer_is_never_early_and_never_too_long(#[case] until: &str, #[case] expected: Duration) {
    assert_eq!(wait(time(until), now()), expected);
}

#[test]
fn before_its_window_an_identity_is_created_inactive() {
    let desired = desired(&json!({"validity": {"notBefore": "2027-01-01T00:00:00Z"}}));
    let steps = plan(&claimant(), &desired, &Observed::Absent, now()).steps;
    assert!(matches!(&steps[..], [Step::Create(create)] if create.state == Some(State::Inactive)), "{steps:?}");
}

#[test]
fn after_its_window_an_active_identity_loses_its_sessions_for_good() {
    let desired = desired(&json!({"validity": {"notAfter": "2026-12-24T17:59:59Z"}}));
    let there = super::builders::present(super::builders::marked(&json!({}), &[]));
    let steps = plan(&claimant(), &desired, &there, now()).steps;
    let id = identity(&json!({})).id;
    assert!(
        matches!(&steps[..], [Step::Patch { .. }, Step::EndSessions { id: ended }, Step::ConfirmInactive { .. }]
        if *ended == id),
        "{steps:?}"
    );
}
