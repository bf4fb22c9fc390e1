//! Which namespaces an instance admits.

use rstest::rstest;
use serde_json::{Value, json};

use crate::instance::consent::admits;

fn selector(selector: &Value) -> Value {
    json!({"from": "Selector", "selector": selector})
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> Value {
    selector(&json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
}

/// Namespace `team-a` has the labels tier=gold and env=prod.
#[rstest]
#[case::nothing_said(json!(null), false)]
#[case::same(json!({"from": "Same"}), false)]
#[case::all(json!({"from": "All"}), true)]
#[case::labels_that_match(selector(&json!({"matchLabels": {"tier": "gold"}})), true)]
#[case::one_label_of_two(selector(&json!({"matchLabels": {"tier": "gold", "region": "eu"}})), false)]
#[case::both_labels(selector(&json!({"matchLabels": {"tier": "gold", "env": "prod"}})), true)]
#[case::another_value(selector(&json!({"matchLabels": {"tier": "silver"}})), false)]
#[case::one_of(requirement("tier", "In", &["silver", "gold"]), true)]
#[case::none_of_them(requirement("tier", "In", &["silver"]), false)]
#[case::not_one_of(requirement("tier", "NotIn", &["silver"]), true)]
#[case::not_one_of_and_it_is(requirement("tier", "NotIn", &["gold"]), false)]
#[case::not_one_of_where_it_is_missing(requirement("region", "NotIn", &["eu"]), true)]
#[case::there(requirement("tier", "Exists", &[]), true)]
#[case::there_but_it_is_not(requirement("region", "Exists", &[]), false)]
#[case::not_there(requirement("region", "DoesNotExist", &[]), true)]
#[case::not_there_but_it_is(requirement("tier", "DoesNotExist", &[]), false)]
#[case::both_kinds(selector(&json!({"matchLabels": {"env": "prod"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["silver"]}]})), false)]
#[case::an_empty_selector_is_everyone(selector(&json!({})), true)]
#[case::no_selector_is_nobody(json!({"from": "Selector"}), false)]
#[case::an_unknown_operator_is_nobody(requirement("tier", "Like", &["gold"]), false)]
#[case::a_selector_that_does_not_count(json!({"from": "Same", "selector": {"matchLabels": {"tier": "gold"}}}), false)]
fn a_namespace_is_admitted(#[case] allowed: Value, #[case] expected: bool) {
    let labels = [("tier".to_owned(), "gold".to_owned()), ("env".to_owned(), "prod".to_owned())].into();
    let allowed: Option<_> = serde_json::from_value(allowed).unwrap();
    assert_eq!(admits(allowed.as_ref(), "identity", "team-a", &labels), expected);
    assert!(admits(allowed.as_ref(), "team-a", "team-a", &labels), "its own namespace always is");
}

#[test]
fn a_namespace_without_labels_matches_what_asks_for_none() {
    let admitted = |allowed: Value| {
        let allowed: Option<_> = serde_json::from_value(allowed).unwrap();
        admits(allowed.as_ref(), "identity", "team-b", &[].into())
    };
    assert!(!admitted(selector(&json!({"matchLabels": {"tier": "gold"}}))));
    assert!(admitted(requirement("tier", "DoesNotExist", &[])));
}
