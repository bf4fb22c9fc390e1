//! Every message of a `KratosSessionPolicy`, with the worst that people can write into it.

use serde_json::{Value, json};

use super::{now, parse, scope, spec};
use crate::api::condition::{INTERVAL_LIMITED, SUSPENDED, find};
use crate::api::messages::{VALUE, faults, hold, hostile};
use crate::api::session_policy::KratosSessionPolicyStatus;
use crate::api::{ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::policy::unreadable;
use crate::engine::policy::{inputs, observe, reach, revoke_all};
use crate::policy::desired::{self, PolicyScope, handling};
use crate::policy::status::{self, Subject};
use crate::policy::tally::Plan;

fn refused(rules: &Value) -> ReadyCondition {
    parse(rules).expect_err("it is refused")
}

fn expression(text: &str) -> ReadyCondition {
    refused(&json!([{"name": hostile(), "expression": text, "action": "Revoke"}]))
}

fn of_rules() -> Vec<(&'static str, ReadyCondition)> {
    let name = hostile();
    let elsewhere = PolicyScope {
        instance: NamespacedName::new(name.clone(), name.as_str()),
        beside_instance: false,
        trusts_addresses: false,
    };
    let from_elsewhere = |rules: &Value| desired::parse(&spec(rules), &elsewhere).expect_err("it isn't permitted");
    let extend = json!([{"name": name, "expiresWithin": "1h", "maxAge": "2h", "action": "Extend"}]);
    let networks = json!([{"name": name, "allowedNetworks": [VALUE], "action": "Revoke"}]);
    vec![
        ("no CEL", expression(&format!("session.id == '{VALUE}' &&"))),
        ("too long", expression(&"a".repeat(5000))),
        ("too deep", expression(&"(".repeat(400))),
        ("too many parts", expression(&format!("[{}1] == []", "1,".repeat(2020)))),
        ("too many loops", expression("[1].all(a, [1].all(b, [1].all(c, true)))")),
        ("no such variable", expression(&format!("{} == 1", "v".repeat(3000)))),
        ("no such field", expression(&format!("session.{} == 1", "f".repeat(3000)))),
        ("no such function", expression(&format!("{}(session)", "g".repeat(3000)))),
        ("not supported", expression("session.id.matches(session.id)")),
        ("no regular expression", expression("session.id.matches('(')")),
        ("no truth", expression("1")),
        ("no network", refused(&networks)),
        ("no condition", refused(&json!([{"name": name, "action": "Revoke"}]))),
        ("addresses that nobody vouches for", from_elsewhere(&networks)),
        ("extending from elsewhere", from_elsewhere(&extend)),
    ]
}

fn of_runs() -> Vec<(&'static str, ReadyCondition)> {
    let rules = json!([{"name": hostile(), "expression": "identity.traits.a", "action": "Revoke"}]);
    let desired = parse(&rules).expect("it may be true or false");
    let plain = parse(&json!([])).expect("nothing to refuse");
    let condition = |plan: &Plan, only_observes, nobody| status::condition(plan, &plain, only_observes, nobody);
    let odd = {
        let mut results = crate::policy::expression_results::ExpressionResults::default();
        results.note(crate::policy::expression_results::Which::Rule(0), Err(crate::rules::Problem::NotBool));
        Plan { sessions: 9, failed: 9, results, ..Plan::default() }
    };
    let unjudged = Plan { sessions: 9_999_999, failed: 9_999_999, failed_by_rule: vec![9_999_999], ..Plan::default() };
    vec![
        ("done", condition(&Plan { sessions: 3, ..Plan::default() }, false, false)),
        ("nobody", condition(&Plan::default(), false, true)),
        ("no session", condition(&Plan::default(), false, false)),
        ("held", condition(&Plan { named: 9_999_999, ..Plan::default() }, false, false)),
        ("observed", condition(&Plan { sessions: 3, ..Plan::default() }, true, false)),
        ("no truth after all", status::condition(&odd, &desired, false, false)),
        (
            "not judged",
            ReadyCondition::new(Reason::Reconciled, second(&status::condition(&unjudged, &desired, false, false))),
        ),
        ("schemas that aren't served", {
            let told = status::with_unserved(ReadyCondition::new(Reason::Reconciled, "done"), &[hostile(), hostile()]);
            ReadyCondition::new(Reason::Reconciled, second(&told))
        }),
    ]
}

/// Messages of modules that aren't pure.
fn of_others() -> Vec<(&'static str, ReadyCondition)> {
    let name = hostile();
    vec![
        ("a field that can't be read", unreadable::condition(&name)),
        ("an instance that goes", inputs::leaving(&NamespacedName::new(name.clone(), name.as_str()))),
        ("not listed yet", reach::unlisted()),
        ("changed meanwhile", revoke_all::changed()),
        ("no end of sessions", revoke_all::unending()),
        ("an expression that takes too much", observe::exhausting()),
    ]
}

/// What follows the first sentence of a message that has two.
fn second(condition: &ReadyCondition) -> String {
    condition.message.split_once("; ").expect("there are two").1.to_owned()
}

fn of_conditions() -> Vec<(&'static str, ReadyCondition)> {
    let subject = Subject { generation: 1, requested_at: None, current: None };
    let mut status: KratosSessionPolicyStatus = status::suspended(subject, now());
    let mut often = spec(&json!([]));
    often.interval = Some("1.000000001s".parse().expect("a duration"));
    status::note_interval(&mut status, handling(&often, false), 1, now());
    let message = |type_: &str| find(&status.conditions, type_).expect("it is there").message.clone();
    vec![
        ("suspended", ReadyCondition::new(Reason::Suspended, message(SUSPENDED))),
        ("not so often", ReadyCondition::new(Reason::IntervalLimited, message(INTERVAL_LIMITED))),
    ]
}

#[test]
fn every_message_is_short_and_of_use_and_shows_no_value() {
    let table = [of_rules(), of_runs(), of_conditions(), of_others()].concat();
    let reasons = [
        Reason::InvalidSpec,
        Reason::NotPermitted,
        Reason::RevocationsHeld,
        Reason::Reconciled,
        Reason::Observed,
        Reason::Suspended,
        Reason::IntervalLimited,
        Reason::InstanceNotReady,
        Reason::Progressing,
    ];
    hold(&table, &reasons);
    assert!(faults(&standing_alone()).is_empty());
}

/// A selection that names nobody.
fn standing_alone() -> ReadyCondition {
    let mut nobody = spec(&json!([{"name": "r", "maxAge": "1h", "action": "Revoke"}]));
    nobody.identities = serde_json::from_value(json!({})).expect("nobody");
    desired::parse(&nobody, &scope()).expect_err("it is refused")
}
