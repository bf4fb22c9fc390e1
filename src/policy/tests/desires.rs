//! From a policy's spec to the validated type, and to what must be read along with sessions.

use rstest::rstest;
use serde_json::{Value, json};

use super::{parse, scope, spec};
use crate::api::Reason;
use crate::api::definitions::filled;
use crate::policy::desired::{self, Needs, PolicyScope};

#[rstest]
#[case::no_cel(json!([{"name": "r", "expression": "session.", "action": "Revoke"}]), "rule r: the expression isn't valid CEL at column 9; correct it")]
#[case::an_unknown_field(json!([{"name": "r", "expression": "session.age > 1", "action": "Revoke"}]), "looks at session.age, a field that doesn't exist")]
#[case::an_unknown_field_within(json!([{"name": "r", "expression": "session.devices.exists(d, d.agent == '')", "action": "Revoke"}]), "session.devices[].agent")]
#[case::an_unknown_variable(json!([{"name": "r", "expression": "person == 1", "action": "Revoke"}]), "names the variable \"person\"")]
#[case::a_deep_one(json!([{"name": "r", "expression": "(".repeat(500) + "true" + &")".repeat(500), "action": "Revoke"}]), "nested too deeply")]
#[case::no_network(json!([{"name": "r", "allowedNetworks": ["203.0.113.0/24", "999.0.0.0/8"], "action": "Revoke"}]), "allowedNetworks[1]")]
#[case::no_condition(json!([{"name": "r", "action": "Revoke"}]), "rule r lacks its conditions")]
#[case::no_end(json!([{"name": "r", "action": "Extend", "expiresWithin": "1h"}]), "rule r lacks its conditions")]
fn what_the_api_server_cant_see_is_refused(#[case] rules: Value, #[case] words: &str) {
    let condition = parse(&rules).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(words), "{}", condition.message);
}

#[test]
fn what_the_definition_fills_in_is_what_an_absent_field_stands_for() {
    let spec = json!({"identities": {"all": true}});
    let filled = filled("KratosSessionPolicy", &spec);
    assert_eq!((&filled["mode"], &filled["interval"]), (&json!("Enforce"), &json!("5m")));
    let of = |spec: Value| desired::handling(&serde_json::from_value(spec).unwrap(), false);
    assert_eq!(of(spec), of(filled));
}

#[rstest]
#[case::nobody(json!({}), "names nobody")]
#[case::an_expression(json!({"expression": "session.active"}), "identities.expression names the variable")]
#[case::a_selector(json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}), "identities.selector")]
fn identities_that_cant_be_told_are_refused(#[case] identities: Value, #[case] words: &str) {
    let mut spec = spec(&json!([{"name": "r", "maxAge": "1h", "action": "Revoke"}]));
    spec.identities = serde_json::from_value(identities).unwrap();
    let condition = desired::parse(&spec, &scope()).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(words), "{}", condition.message);
}

#[rstest]
#[case::extending_from_elsewhere(
    json!([{"name": "r", "expiresWithin": "1h", "maxAge": "2h", "action": "Extend"}]),
    PolicyScope { beside_instance: false, ..scope() },
    "beside the KratosInstance"
)]
#[case::addresses_that_nobody_vouches_for(
    json!([{"name": "r", "allowedNetworks": ["203.0.113.0/24"], "action": "Revoke"}]),
    PolicyScope { trusts_addresses: false, ..scope() },
    "trustClientAddress"
)]
fn what_the_instance_doesnt_allow_isnt_permitted(
    #[case] rules: Value,
    #[case] scope: PolicyScope,
    #[case] words: &str,
) {
    let condition = desired::parse(&spec(&rules), &scope).unwrap_err();
    assert_eq!(condition.reason, Reason::NotPermitted);
    assert!(condition.message.contains(words), "{}", condition.message);
    assert!(desired::parse(&spec(&rules), &super::scope()).is_ok(), "elsewhere it is fine");
}

#[rstest]
#[case::age(json!({"maxAge": "1h"}), false, false)]
#[case::count(json!({"maxConcurrent": 1}), true, false)]
#[case::assurance(json!({"minimumAssurance": "AAL2"}), true, false)]
#[case::assurance_of_all(json!({"minimumAssurance": "AAL2", "unenrolled": "Revoke"}), false, false)]
#[case::the_first_factor(json!({"minimumAssurance": "AAL1"}), false, false)]
#[case::networks(json!({"allowedNetworks": ["203.0.113.0/24"]}), false, true)]
#[case::expression(json!({"expression": "now > timestamp(session.issued_at)"}), false, false)]
#[case::of_identities(json!({"expression": "identity.state == 'inactive'"}), true, false)]
#[case::of_devices(json!({"expression": "session.devices.exists(d, true)"}), false, true)]
#[case::of_everything(json!({"expression": "identity != session"}), true, true)]
fn only_what_a_rule_looks_at_comes_along(#[case] mut rule: Value, #[case] identity: bool, #[case] devices: bool) {
    json_patch::merge(&mut rule, &json!({"name": "r", "action": "Revoke"}));
    assert_eq!(parse(&json!([rule])).unwrap().needs(), Needs { identity, devices });
}

#[test]
fn selecting_identities_brings_them_along() {
    let mut spec = spec(&json!([{"name": "r", "maxAge": "1h", "action": "Revoke"}]));
    for identities in [json!({"schemaIDs": ["employee"]}), json!({"expression": "identity.state == 'active'"})] {
        spec.identities = serde_json::from_value(identities).unwrap();
        assert!(desired::parse(&spec, &scope()).unwrap().needs().identity);
    }
}

#[rstest]
#[case::a_short_one_elsewhere(json!("1s"), false, 30, Some(1))]
#[case::one_that_is_long_enough(json!("30s"), false, 30, None)]
#[case::a_short_one_beside_the_instance(json!("1s"), true, 1, None)]
#[case::none(json!(null), false, 300, None)]
fn elsewhere_there_is_a_shortest_interval(
    #[case] interval: Value,
    #[case] beside_instance: bool,
    #[case] expected: u64,
    #[case] asks_for: Option<u64>,
) {
    let mut spec = spec(&json!([]));
    spec.interval = serde_json::from_value(interval).unwrap();
    let handling = desired::handling(&spec, beside_instance);
    assert_eq!(handling.interval.as_secs(), expected);
    assert_eq!(handling.asks_for.map(|interval| interval.as_secs()), asks_for);
}
