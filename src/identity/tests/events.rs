//! The events of a plan: a reason for each action and each change that matters to people, and never a value.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, desired, identity, mark_json, marked, now, present};
use crate::api::recorded_event::RecordedEvent;
use crate::identity::desired as desires;
use crate::identity::digest_key::DigestKey;
use crate::identity::events::{Drift, of_change, of_creation};
use crate::identity::plan::{Observed, Present, Step, plan};
use crate::identity::secrets::Secrets;
use crate::kratos::Identity;

/// What must not show.
const MARKER: &str = "S3CRET";

fn told_of(
    spec: &Value,
    there: Identity,
    change: impl FnOnce(&mut Present),
    drift: Option<&Drift>,
) -> Vec<RecordedEvent> {
    let Observed::Present(mut present) = present(there) else { panic!("it is there") };
    change(&mut present);
    let plan = plan(&claimant(), &desired(spec), &Observed::Present(present.clone()), now());
    of_change(&plan, &present, drift, None)
}

fn reasons(told: &[RecordedEvent]) -> Vec<&str> {
    told.iter().map(|event| event.reason.as_str()).collect()
}

fn ada(state: &str) -> Identity {
    marked(&json!({"state": state, "traits": {"mail": "m"}}), &["/traits/mail"])
}

#[rstest]
#[case::nothing(json!({}), "active", &[])]
#[case::a_trait(json!({"traits": {"mail": MARKER}}), "active", &["IdentityChanged"])]
#[case::deactivated(json!({"state": "Inactive"}), "active", &["IdentityDeactivated"])]
#[case::activated(json!({"state": "Active"}), "inactive", &["IdentityActivated"])]
#[case::both(json!({"state": "Inactive", "metadataPublic": {"plan": MARKER}}), "active", &["IdentityDeactivated", "IdentityChanged"])]
#[case::sessions(json!({"actions": {"revokeSessions": {"token": "1"}}}), "active", &["SessionsEnded"])]
#[case::second_factors(json!({"actions": {"resetSecondFactors": {"token": "1"}}}), "active", &["SecondFactorsReset"])]
#[case::rewritten(json!({"actions": {"rewrite": {"token": "1"}}}), "active", &["IdentityRewritten"])]
#[case::two_actions(
    json!({"actions": {"revokeSessions": {"token": "1"}, "resetSecondFactors": {"token": "1"}}}), "active",
    &["SecondFactorsReset", "SessionsEnded"]
)]
fn each_action_and_each_change_has_a_reason_of_its_own(
    #[case] spec: Value,
    #[case] state: &str,
    #[case] expected: &[&str],
) {
    let mut whole = json!({"traits": {"mail": "m"}});
    json_patch::merge(&mut whole, &spec);
    let told = told_of(&whole, ada(state), |_| (), None);
    assert_eq!(reasons(&told), expected);
    assert!(told.iter().all(|told| !told.note.contains(MARKER) && !told.is_warning), "{told:?}");
}

#[test]
fn what_changed_is_named_by_its_places_and_bounded() {
    let spec = json!({"traits": {"mail": MARKER, "name": {"first": MARKER}}, "metadataPublic": {"a\u{1b}[2J": MARKER}});
    let told = told_of(&spec, ada("active"), |_| (), None);
    let [changed] = told.as_slice() else { panic!("{told:?}") };
    for place in ["/traits/mail", "/traits/name", "/metadata_public"] {
        assert!(changed.note.contains(place), "{place}: {}", changed.note);
    }
    assert!(!changed.note.contains('\u{1b}'), "{}", changed.note);

    let many: serde_json::Map<_, _> = (0..900).map(|n| (format!("{n}{}", "k".repeat(300)), json!(MARKER))).collect();
    let told = told_of(&json!({ "traits": many }), ada("active"), |_| (), None);
    assert!(told[0].note.chars().count() < 500 && told[0].note.contains(" more"), "{}", told[0].note);
}

#[test]
fn drift_is_told_beside_the_action_and_the_state_that_came_with_it() {
    let drift = Drift::Changed(vec!["/state".to_owned()]);
    let spec = json!({"state": "Inactive", "traits": {"mail": "m"}, "actions": {"revokeSessions": {"token": "1"}}});
    let told = told_of(&spec, ada("active"), |_| (), Some(&drift));
    assert_eq!(reasons(&told), ["DriftCorrected", "IdentityDeactivated", "SessionsEnded"]);
    assert!(told[0].note.contains("/state"), "{}", told[0].note);
    assert_eq!(of_creation(Some(&Drift::Gone)).reason, "DriftCorrected");
    assert_eq!(of_creation(None).reason, "IdentityCreated");
}

#[test]
fn whatever_ended_the_sessions_says_so_once() {
    let there = || {
        let mut there = ada("active");
        super::builders::admin(&mut there)[GROUP]["sessionsPending"] = json!(true);
        there
    };
    let spec = json!({"traits": {"mail": "m"}});
    let pending = told_of(&spec, there(), |_| (), None);
    assert_eq!(reasons(&pending), ["SessionsEnded"], "a crash left that to be done");
    let drift = Drift::Changed(vec!["/credentials/totp".to_owned()]);
    let told = told_of(&spec, there(), |_| (), Some(&drift));
    assert_eq!(reasons(&told), ["DriftCorrected"]);
    assert!(told[0].note.ends_with("its sessions were ended"), "{}", told[0].note);
    let told = told_of(&json!({"state": "Inactive", "traits": {"mail": "m"}}), there(), |_| (), Some(&drift));
    assert_eq!(reasons(&told), ["DriftCorrected", "IdentityDeactivated"]);
    assert!(!told[0].note.contains("sessions") && told[1].note.contains("sessions"), "{told:?}");
}

#[test]
fn a_password_that_is_sent_is_no_secrets_where_the_migration_hook_is_asked() {
    let spec = json!({
        "schemaID": "customer", "traits": {"mail": "m"}, "credentials": {"password": {"format": "MigrationHook"}},
        "actions": {"setPassword": {"token": "1"}},
    });
    let secrets = Secrets::default().with_key(Arc::new(DigestKey::new("k1", vec![7; 32])));
    let desired = desires::parse(&serde_json::from_value(spec).unwrap(), &secrets, now()).expect("a spec");
    let Observed::Present(present) = present(ada("active")) else { panic!("it is there") };
    let plan = plan(&claimant(), &desired, &Observed::Present(present.clone()), now());
    let told = of_change(&plan, &present, None, None);
    assert_eq!(reasons(&told), ["PasswordSent"]);
    assert!(!told[0].note.contains("Secret") && told[0].note.contains("spec.credentials.password"), "{told:?}");
}

#[test]
fn one_that_comes_back_within_its_grace_period_is_told_as_that() {
    let mut there = identity(&json!({"state": "inactive", "traits": {"mail": "m"}}));
    let note = json!({"ownedPaths": ["/traits/mail"], "deleteAfter": "2027-01-01T00:00:00Z", "stateBefore": "active"});
    super::builders::admin(&mut there)[GROUP] = mark_json(&note);
    assert_eq!(reasons(&told_of(&json!({"traits": {"mail": "m"}}), there, |_| (), None)), ["IdentityRestored"]);
}

#[test]
fn sessions_that_a_crash_left_are_told_once_they_are_ended() {
    let spec = json!({"state": "Inactive", "traits": {"mail": "m"}});
    let told = told_of(&spec, ada("inactive"), |present| present.has_sessions = true, None);
    assert_eq!(reasons(&told), ["SessionsEnded"]);
}

#[test]
fn one_that_is_taken_over_says_from_whom_and_what_else_changes() {
    let Observed::Present(present) = present(ada("active")) else { panic!("it is there") };
    let desired = desired(&json!({"traits": {"mail": "other"}}));
    let plan = plan(&claimant(), &desired, &Observed::Present(present.clone()), now());
    let told = of_change(&plan, &present, None, Some("ada-old"));
    assert_eq!(reasons(&told), ["IdentityTakenOver", "IdentityChanged"]);
    assert!(told[0].note.contains("ada-old"), "{}", told[0].note);
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Patch { .. })), "something was written");
}
