//! What follows when expressions give something else than a boolean.

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::{now, parse, session};
use crate::api::Reason;
use crate::policy::judge::{Mask, examine};
use crate::policy::status;
use crate::policy::tally::{Plan, Tally};
use crate::policy::{desired, tests::scope, tests::spec};

fn run(desired: &desired::Desired, departments: &[Value], at: Timestamp) -> Plan {
    let mut tally = Tally::new(desired);
    for department in departments {
        let session = session(json!({"identity": {"traits": {"department": department}}}));
        let (judgement, results) = examine(desired, None, Mask::MAX, &session, at);
        tally.note(results);
        tally.add(&judgement);
    }
    tally.finish()
}

#[rstest]
#[case::for_everybody(json!(["ops", "sales"]), Some(2))]
#[case::for_everybody_who_could_be_asked(json!(["ops", null]), Some(2))]
#[case::for_somebody_alone(json!([true, false, "ops"]), None)]
#[case::for_nobody(json!([true, false]), None)]
#[case::nobody_could_be_asked(json!([]), None)]
fn an_expression_that_never_gives_a_truth_is_an_invalid_spec(
    #[case] departments: Value,
    #[case] failed: Option<usize>,
) {
    let rules = json!([
        {"name": "odd", "expression": "identity.traits.department", "action": "Revoke"},
        {"name": "old", "maxAge": "1m", "action": "Revoke"},
    ]);
    let desired = parse(&rules).unwrap();
    let departments = departments.as_array().unwrap();
    let plan = run(&desired, departments, now());
    assert_eq!(plan.by_rule[1], departments.len(), "the other rule goes on");
    let condition = status::condition(&plan, &desired, false, false);
    assert_eq!((condition.reason == Reason::InvalidSpec), failed.is_some(), "{}", condition.message);
    if let Some(failed) = failed {
        assert_eq!(plan.failed, failed);
        assert!(
            condition.message.starts_with("the expression of rule odd: gives something else"),
            "{}",
            condition.message
        );
    }
}

#[test]
fn one_that_selects_is_named_too() {
    let mut spec = spec(&json!([{"name": "old", "maxAge": "1m", "action": "Revoke"}]));
    spec.identities = serde_json::from_value(json!({"expression": "identity.traits.department"})).unwrap();
    let desired = desired::parse(&spec, &scope()).unwrap();
    let plan = run(&desired, &[json!("ops")], now());
    assert_eq!((plan.sessions, plan.failed, plan.named), (1, 1, 0));
    let condition = status::condition(&plan, &desired, false, false);
    assert!(condition.message.starts_with("spec.identities.expression: gives"), "{}", condition.message);
    assert_eq!(condition.reason, Reason::InvalidSpec);
}

#[test]
fn what_plainly_gives_no_truth_is_refused_beforehand() {
    let condition = parse(&json!([{"name": "odd", "expression": "size('a')", "action": "Revoke"}])).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(
        condition.message.contains("rule odd: the expression gives something else than true or false"),
        "{}",
        condition.message
    );
}
