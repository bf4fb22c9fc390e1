//! An instance's rules: refused as a whole where one can't be asked, and what a refusal says.

use serde_json::json;

use crate::api::instance::AdmissionRule;
use crate::api::{ReadyCondition, Reason};
use crate::instance::rules::{Facts, parse};

fn rule(expression: &str, message: Option<&str>) -> AdmissionRule {
    AdmissionRule { expression: expression.into(), message: message.map(Into::into) }
}

fn asked(rules: &[AdmissionRule]) -> Result<(), ReadyCondition> {
    let facts = Facts {
        identity: json!({"traits": {"email": "ada@secret.example"}}),
        identifiers: vec!["ada@secret.example".into()],
        namespace: json!({"name": "team-a", "labels": {"tier": "gold"}}),
        adopts: true,
    };
    parse(rules).expect("they can be asked").ensure(&facts)
}

#[test]
fn all_rules_must_hold() {
    let holds = rule("namespace.name == 'team-a' && namespace.labels.tier == 'gold' && adopts", None);
    assert_eq!(asked(&[]), Ok(()));
    assert_eq!(asked(std::slice::from_ref(&holds)), Ok(()));
    let refused = asked(&[holds, rule("!adopts", Some("nothing is adopted"))]).unwrap_err();
    assert_eq!(refused.reason, Reason::NotPermitted);
    assert!(refused.message.contains("rule 2: nothing is adopted"), "{}", refused.message);
}

#[test]
fn a_rule_that_gives_no_answer_refuses_without_a_value() {
    for (expression, why) in [
        ("identity.traits.phone == ''", "fails"),
        ("identity.traits.email", "something else"),
        ("identity.traits.email.matches('z') ? true : 1 / 0 == 0", "fails"),
    ] {
        let refused = asked(&[rule(expression, None)]).unwrap_err();
        assert_eq!(refused.reason, Reason::NotPermitted);
        assert!(refused.message.contains("rule 1") && refused.message.contains(why), "{}", refused.message);
        assert!(!refused.message.contains("secret.example"), "{}", refused.message);
    }
}

#[test]
fn an_identity_that_is_too_large_is_refused() {
    let facts = Facts {
        identity: json!({"traits": "a".repeat(300_000)}),
        identifiers: Vec::new(),
        namespace: json!({}),
        adopts: false,
    };
    let refused = parse(&[rule("true", None)]).unwrap().ensure(&facts).unwrap_err();
    assert!(refused.message.contains("too large"), "{}", refused.message);
}

#[test]
fn a_rule_says_where_it_is_no_rule() {
    for (expression, said) in [
        ("identity.", "rule 1 isn't valid CEL at column 10"),
        ("identity.emial == ''", "rule 1 looks at identity.emial, a field that doesn't exist"),
        ("identity.verifiable_addresses.all(a, a.verifed)", "identity.verifiable_addresses[].verifed"),
        ("namespace.label.tier == 'gold'", "namespace.label, a field"),
    ] {
        let invalid = parse(&[rule(expression, None)]).unwrap_err();
        assert!(invalid.message.contains(said), "{}", invalid.message);
        assert!(invalid.message.chars().count() <= 200, "{}", invalid.message);
    }
    let free = "identity.traits.a.b == 1 && has(identity.metadata_admin.c) && namespace.labels.d == '' \
                && identity.credentials.oidc.all(l, l.provider == 'p' && has(l.use_auto_link)) \
                && has(identity.credentials.password.use_password_migration_hook) && !has(identity.credentials.totp) \
                && (!has(identity.recovery_addresses) || identity.recovery_addresses == [])";
    assert!(parse(&[rule(free, None)]).is_ok());
}

#[test]
fn a_rule_that_cant_be_asked_makes_them_all_invalid() {
    for expression in ["identity.", "spec.traits == 1", &"(".repeat(3000), "frobnicate(identity)", "size(identifiers)"]
    {
        let invalid = parse(&[rule("true", None), rule(expression, None)]).unwrap_err();
        assert_eq!(invalid.reason, Reason::InvalidSpec);
        assert!(invalid.message.contains("rule 2"), "{}", invalid.message);
    }
}
