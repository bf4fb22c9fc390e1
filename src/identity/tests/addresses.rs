//! Addresses that a manifest says are verified.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{claimant, desired, identity, marked, now, present};
use crate::api::Reason;
use crate::identity::addresses::{operations, resolve};
use crate::identity::desired::Desired;
use crate::identity::plan::{Observed, Step, plan};
use crate::identity::schema::shape::Shape;

/// A manifest with two addresses, of which these are verified.
fn wanted(verified: &[&str]) -> Result<Desired, (Reason, String)> {
    let traits = json!({"email": " Ada@A.Example", "phone": "+49176", "other": "eve@a.example"});
    let schema = json!({"properties": {"traits": {"properties": {
        "email": {"ory.sh/kratos": {"verification": {"via": "email"}}},
        "phone": {"ory.sh/kratos": {"verification": {"via": "sms"}}},
        "other": {"ory.sh/kratos": {"recovery": {"via": "email"}}},
    }}}});
    let mut desired = desired(&json!({"traits": traits, "verifiedAddresses": verified}));
    match resolve(&mut desired.verified_addresses, &Shape::of(&schema), &traits) {
        Ok(()) => Ok(desired),
        Err(condition) => Err((condition.reason, condition.message)),
    }
}

#[test]
fn addresses_are_given_as_verified_at_creation_by_the_way_they_are_reached() {
    let desired = wanted(&["ADA@a.example ", "+49176"]).unwrap();
    let steps = plan(&claimant(), &desired, &Observed::Absent, now()).steps;
    let [Step::Create(create)] = &steps[..] else { panic!("{steps:?}") };
    let expected = json!([
        {"value": "ada@a.example", "via": "email", "verified": true, "status": "completed"},
        {"value": "+49176", "via": "sms", "verified": true, "status": "completed"},
    ]);
    assert_eq!(serde_json::to_value(&create.verifiable_addresses).unwrap(), expected);
}

#[rstest]
#[case::of_nobody(&["+49176", "nobody@a.example"], 1)]
#[case::not_to_be_verified(&["eve@a.example"], 0)]
fn an_address_that_is_not_among_them_is_refused_by_its_position(#[case] verified: &[&str], #[case] position: usize) {
    let (reason, message) = wanted(verified).unwrap_err();
    assert_eq!(reason, Reason::InvalidSpec);
    assert!(message.contains(&format!("verifiedAddresses[{position}]")), "{message}");
    assert!(!message.contains("a.example"), "{message}");
}

fn address(value: &str, verified: bool) -> Value {
    json!({"id": format!("id-of-{value}"), "value": value, "via": "email", "verified": verified, "status": "sent"})
}

#[test]
fn one_that_is_unverified_is_replaced_as_a_whole() {
    let desired = wanted(&["ada@a.example"]).unwrap();
    let there = json!([address("eve@a.example", false), address("ada@a.example", false)]);
    let identity = identity(&json!({"verifiable_addresses": there}));
    let operations = operations(&identity, &desired.verified_addresses);
    let expected = json!([{"op": "replace", "path": "/verifiable_addresses/1", "value": {
        "id": "id-of-ada@a.example", "value": "ada@a.example", "via": "email", "verified": true, "status": "completed",
    }}]);
    assert_eq!(serde_json::to_value(operations).unwrap(), expected);
}

#[rstest]
#[case::unverified(json!([address("ada@a.example", false)]), false, true)]
#[case::verified(json!([address("ada@a.example", true)]), false, false)]
#[case::brought_by_a_change(json!([]), true, true)]
#[case::replaced_by_its_user(json!([address("new@a.example", false)]), false, false)]
fn it_is_verified_where_it_is_there_or_may_come(#[case] there: Value, #[case] traits_change: bool, #[case] due: bool) {
    let mut desired = wanted(&["ada@a.example"]).unwrap();
    let traits = Value::Object(desired.traits.clone());
    if !traits_change {
        desired.traits_policy = crate::api::identity::TraitsPolicy::CreateOnly;
    }
    let held = if traits_change { json!({}) } else { traits };
    let observed = present(marked(&json!({"traits": held, "verifiable_addresses": there}), &[]));
    let plan = plan(&claimant(), &desired, &observed, now());
    let verifies = |step: &Step| matches!(step, Step::VerifyAddresses { id, .. } if id == "id-of-ada");
    assert_eq!(plan.steps.iter().any(verifies), due, "{:?}", plan.steps);
    assert_eq!(plan.changes.contains(&"/verifiable_addresses".to_owned()), due);
}
