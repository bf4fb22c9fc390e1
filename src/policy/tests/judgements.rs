//! What the rules say of one session.

use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{now, parse, rule_match, scope, see, session, spec};
use crate::kratos::Session;
use crate::policy::desired;
use crate::policy::judge::{Judgement, Mask, RuleMatch, judge};
use crate::policy::reachable::{Reachability, Reachable};

/// Holds, unknown, holds if the identity has a second factor.
fn said(rule: &Value, changes: Value) -> (bool, bool, bool) {
    let mut rule = rule.clone();
    let named = json!({"name": "r", "action": rule.get("action").cloned().unwrap_or_else(|| "Revoke".into())});
    json_patch::merge(&mut rule, &named);
    let RuleMatch { holds, unknown, if_enrolled, .. } = rule_match(&parse(&json!([rule])).unwrap(), changes);
    (holds == 1, unknown == 1, if_enrolled == 1)
}

const NO: (bool, bool, bool) = (false, false, false);
const YES: (bool, bool, bool) = (true, false, false);
const UNKNOWN: (bool, bool, bool) = (false, true, false);
const IF_ENROLLED: (bool, bool, bool) = (false, false, true);

fn timeless() -> Value {
    json!({"issued_at": null, "authenticated_at": null, "expires_at": null, "authentication_methods": []})
}

#[rstest]
#[case::young(json!({"maxAge": "2h"}), json!({}), NO)]
#[case::old(json!({"maxAge": "30m"}), json!({}), YES)]
#[case::exactly_as_old(json!({"maxAge": "1h"}), json!({}), NO)]
#[case::a_later_factor_makes_it_no_younger(json!({"maxAge": "30m"}), json!({"authenticated_at": "2026-11-24T11:59:00Z"}), YES)]
#[case::of_an_unknown_age(json!({"maxAge": "30m"}), timeless(), UNKNOWN)]
#[case::one_factor(json!({"minimumAssurance": "AAL2", "unenrolled": "Revoke"}), json!({}), YES)]
#[case::two_factors(json!({"minimumAssurance": "AAL2", "unenrolled": "Revoke"}), json!({"authenticator_assurance_level": "aal2"}), NO)]
#[case::three_factors(json!({"minimumAssurance": "AAL2"}), json!({"authenticator_assurance_level": "aal3"}), NO)]
#[case::no_factor(json!({"minimumAssurance": "AAL1"}), json!({"authenticator_assurance_level": "aal0"}), YES)]
#[case::one_that_suffices(json!({"minimumAssurance": "AAL1"}), json!({}), NO)]
#[case::of_those_who_have_two(json!({"minimumAssurance": "AAL2"}), json!({}), IF_ENROLLED)]
#[case::within_the_grace_period(json!({"minimumAssurance": "AAL2", "gracePeriod": "2h"}), json!({}), NO)]
#[case::after_it(json!({"minimumAssurance": "AAL2", "gracePeriod": "30m"}), json!({}), IF_ENROLLED)]
#[case::of_an_unknown_level(json!({"minimumAssurance": "AAL2"}), json!({"authenticator_assurance_level": ""}), UNKNOWN)]
#[case::from_inside(json!({"allowedNetworks": ["203.0.113.0/24"]}), json!({}), NO)]
#[case::from_outside(json!({"allowedNetworks": ["198.51.100.0/24"]}), json!({}), YES)]
#[case::from_nowhere(json!({"allowedNetworks": ["203.0.113.0/24"]}), json!({"devices": null}), UNKNOWN)]
#[case::by_expression(json!({"expression": "session.devices.exists(d, d.user_agent.contains('curl'))"}), json!({}), YES)]
#[case::by_another(json!({"expression": "identity.traits.department == 'sales'"}), json!({}), NO)]
#[case::by_time(json!({"expression": "now - timestamp(session.issued_at) > duration('59m')"}), json!({}), YES)]
#[case::by_the_method(json!({"expression": "session.authentication_methods.all(m, m.method == 'password')"}), json!({}), YES)]
#[case::one_that_fails(json!({"expression": "identity.traits.phone == '1'"}), json!({}), UNKNOWN)]
#[case::one_of_another_type(json!({"expression": "identity.traits.email"}), json!({}), UNKNOWN)]
#[case::a_device_without_a_name(json!({"expression": "session.devices.exists(d, d.user_agent.contains('curl'))"}), json!({"devices": [{"id": "d", "user_agent": null}]}), NO)]
#[case::all_must_hold(json!({"maxAge": "2h", "expression": "true"}), json!({}), NO)]
#[case::and_do(json!({"maxAge": "30m", "expression": "true"}), json!({}), YES)]
#[case::one_that_doesnt_decides(json!({"maxAge": "2h", "expression": "identity.traits.phone == '1'"}), json!({}), NO)]
#[case::one_that_isnt_known_decides_otherwise(json!({"maxAge": "30m", "expression": "identity.traits.phone == '1'"}), json!({}), UNKNOWN)]
#[case::ends_soon(json!({"expiresWithin": "48h", "maxAge": "720h", "action": "Extend"}), json!({}), YES)]
#[case::ends_late(json!({"expiresWithin": "1h", "maxAge": "720h", "action": "Extend"}), json!({}), NO)]
#[case::has_ended(json!({"expiresWithin": "48h", "maxAge": "720h", "action": "Extend"}), json!({"expires_at": "2026-11-24T11:59:59Z"}), NO)]
#[case::isnt_active(json!({"expiresWithin": "48h", "maxAge": "720h", "action": "Extend"}), json!({"active": false}), NO)]
#[case::is_too_old_to_go_on(json!({"expiresWithin": "48h", "maxAge": "30m", "action": "Extend"}), json!({}), NO)]
#[case::of_unknown_age_doesnt_go_on(json!({"expiresWithin": "48h", "maxAge": "30m", "action": "Extend"}), timeless(), UNKNOWN)]
fn a_rule_holds_or_doesnt_or_nobody_can_tell(
    #[case] rule: Value,
    #[case] changes: Value,
    #[case] expected: (bool, bool, bool),
) {
    assert_eq!(said(&rule, changes), expected);
}

#[test]
fn addresses_show_only_where_they_are_trusted() {
    let rules = json!([{"name": "r", "expression": "session.devices[0].ip_address != ''", "action": "Revoke"}]);
    let untrusting = desired::PolicyScope { trusts_addresses: false, ..scope() };
    assert_eq!(rule_match(&parse(&rules).unwrap(), json!({})).holds, 1);
    let rule_match = rule_match(&desired::parse(&spec(&rules), &untrusting).unwrap(), json!({}));
    assert_eq!((rule_match.holds, rule_match.unknown), (0, 1));
}

#[test]
fn a_slow_expression_ends_and_says_so() {
    let slow = "session.devices.all(a, session.devices.all(b, a == b || a != b))";
    let rules = json!([{"name": "r", "expression": slow, "action": "Revoke"}]);
    let devices: Vec<_> = (0..1000).map(|number| json!({"id": "d", "user_agent": format!("agent {number}")})).collect();
    let rule_match = rule_match(&parse(&rules).unwrap(), json!({ "devices": devices }));
    assert_eq!((rule_match.holds, rule_match.unknown, rule_match.is_exhausting), (0, 1, true));
}

#[rstest]
#[case::of_that_schema(json!({"schemaIDs": ["customer", "employee"]}), "judged")]
#[case::of_another(json!({"schemaIDs": ["customer"]}), "elsewhere")]
#[case::by_expression(json!({"expression": "identity.traits.department == 'ops'"}), "judged")]
#[case::by_another(json!({"expression": "identity.state == 'inactive'"}), "elsewhere")]
#[case::by_one_that_fails(json!({"expression": "identity.traits.phone == '1'"}), "unknown")]
#[case::by_both(json!({"schemaIDs": ["employee"], "expression": "identity.state == 'inactive'"}), "elsewhere")]
#[case::all_of_that_schema(json!({"all": true, "schemaIDs": ["customer"]}), "elsewhere")]
fn all_that_selects_identities_must_hold(#[case] identities: Value, #[case] expected: &str) {
    let mut spec = spec(&json!([{"name": "r", "maxAge": "1m", "action": "Revoke"}]));
    spec.identities = serde_json::from_value(identities).unwrap();
    let judgement = see(&desired::parse(&spec, &scope()).unwrap(), json!({}));
    let found = match judgement {
        Judgement::OutOfReach => "elsewhere",
        Judgement::Unknown => "unknown",
        Judgement::Judged(_) => "judged",
    };
    assert_eq!(found, expected);
}

#[test]
fn a_session_out_of_reach_is_anothers_whatever_the_rules_say() {
    let desired = parse(&json!([{"name": "r", "maxAge": "1m", "action": "Revoke"}])).unwrap();
    let reached = |reach: &[u128], changes: Value| {
        let reach = Reachable::new(reach.iter().map(|id| (Uuid::from_u128(*id), Reachability::Admitted)));
        matches!(judge(&desired, Some(&reach), Mask::MAX, &session(changes), now()), Judgement::Judged(_))
    };
    assert!(reached(&[3, 7, 9], json!({})));
    assert!(!reached(&[3, 9], json!({})));
    assert!(!reached(&[], json!({})));
    assert!(!reached(&[3, 7, 9], json!({"identity": null})), "nobody knows whose it is");
}

#[test]
fn a_session_that_cant_be_ranked_is_never_beyond_the_newest() {
    let desired = parse(&json!([{"name": "r", "maxConcurrent": 1, "action": "Revoke"}])).unwrap();
    for changes in [timeless(), json!({"identity": null})] {
        let rule_match = rule_match(&desired, changes);
        assert_eq!((rule_match.holds, rule_match.unknown), (0, 1));
    }
}

#[rstest]
#[case::at_it("identity.traits.department == 'ops'", false)]
#[case::at_all_of_it("identity == null", false)]
#[case::elsewhere("identity.schema_id == 'employee' && identity.metadata_public == null", true)]
#[case::at_the_session_alone("session.active", true)]
fn a_rule_that_looks_at_what_cannot_be_read_cannot_be_told(#[case] expression: &str, #[case] is_told: bool) {
    let desired = parse(&json!([{"name": "r", "expression": expression, "action": "Revoke"}])).unwrap();
    let mut session = session(json!({}));
    session.identity.as_mut().unwrap().traits = serde_json::from_str(r#"{"department": "ops", "x": 1e400}"#).unwrap();
    let Judgement::Judged(rule_match) = judge(&desired, None, Mask::MAX, &session, now()) else {
        panic!("it is judged")
    };
    assert_eq!((rule_match.holds == 1, rule_match.unknown == 1), (is_told, !is_told));
}

#[test]
fn a_session_without_an_id_counts_as_failed_where_all_are_within_reach_and_nowhere_else() {
    let desired = parse(&json!([{"name": "r", "maxAge": "1m", "action": "Revoke"}])).unwrap();
    let judge = |reach| judge(&desired, reach, Mask::MAX, &Session::default(), now());
    assert_eq!(judge(None), Judgement::Unknown);
    assert_eq!(judge(Some(&Reachable::new([(Uuid::from_u128(7), Reachability::Admitted)]))), Judgement::OutOfReach);
}

#[test]
fn of_whom_the_instances_rules_dont_admit_expressions_are_asked_nothing() {
    let rules = json!([
        {"name": "old", "maxAge": "30m", "action": "Revoke"},
        {"name": "all", "expression": "true", "action": "Revoke"},
        {"name": "ops", "expression": "identity.traits.department == 'ops'", "action": "Revoke"},
        {"name": "failing", "maxAge": "30m", "expression": "identity.traits.phone == '1'", "action": "Revoke"},
        {"name": "few", "maxConcurrent": 1, "action": "Revoke"},
    ]);
    let within = |how| Reachable::new([(Uuid::from_u128(3), Reachability::Admitted), (Uuid::from_u128(7), how)]);
    let sight_of = |how: Reachability, identities: Value| {
        let mut spec = spec(&rules);
        spec.identities = serde_json::from_value(identities).unwrap();
        let desired = desired::parse(&spec, &scope()).unwrap();
        judge(&desired, Some(&within(how)), Mask::MAX, &session(json!({})), now())
    };
    let judgement = |identities| sight_of(Reachability::NotAdmitted, identities);
    let judged = |judgement| match judgement {
        Judgement::Judged(rule_match) => (rule_match.holds, rule_match.unknown, rule_match.if_enrolled),
        other => panic!("it is within reach: {other:?}"),
    };
    assert_eq!(judged(judgement(json!({"all": true}))), (0b10001, 0, 0));
    // Where it is unknown whether they are admitted, the result of expressions counts as failed.
    assert_eq!(judged(sight_of(Reachability::Unknown, json!({"all": true}))), (0b10001, 0b01110, 0));
    assert_eq!(sight_of(Reachability::Unknown, json!({"expression": "true"})), Judgement::Unknown);
    assert!(matches!(judgement(json!({"schemaIDs": ["employee"]})), Judgement::Judged(_)), "its schema is no trait");
    for expression in ["true", "identity.traits.department == 'ops'", "identity.traits.phone == '1'"] {
        assert_eq!(
            judgement(json!({"expression": expression})),
            Judgement::OutOfReach,
            "{expression}: not even counted"
        );
    }
}
