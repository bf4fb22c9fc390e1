//! Traits from Secrets: where they go, and which pointers are refused.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::now;
use crate::api::Reason;
use crate::api::identity::KratosIdentitySpec;
use crate::api::instance::KeyRef;
use crate::identity::desired;
use crate::identity::secrets::{Entry, Secrets};

fn key(key: &str) -> KeyRef {
    KeyRef { name: "ada".into(), key: key.into() }
}

fn parsed(traits: &Value, paths: &[&str]) -> Result<Value, (Reason, String)> {
    let mut secrets = Secrets::default();
    secrets.insert(&key("first"), Entry::Value(b"Ada\n".to_vec()));
    secrets.insert(&key("last"), Entry::Value(b"42".to_vec()));
    let from = paths.iter().zip(["first", "last"]);
    let from: Vec<_> =
        from.map(|(path, key)| json!({"path": path, "secretKeyRef": {"name": "ada", "key": key}})).collect();
    let spec = json!({"schemaID": "customer", "traits": traits, "traitsFrom": from});
    let spec: KratosIdentitySpec = serde_json::from_value(spec).unwrap();
    match desired::parse(&spec, &secrets, now()) {
        Ok(desired) => {
            assert_eq!(desired.metadata_admin, serde_json::Map::new(), "nothing is set outside of the traits");
            Ok(Value::Object(desired.traits))
        }
        Err(condition) => Err((condition.reason, condition.message)),
    }
}

#[rstest]
#[case::at_the_top(json!({}), &["/first"], json!({"first": "Ada"}))]
#[case::deeper(json!({"name": {"x": 1}}), &["/name/first", "/a/b"], json!({"name": {"x": 1, "first": "Ada"}, "a": {"b": "42"}}))]
#[case::beside_each_other(json!({}), &["/name/first", "/name/last"], json!({"name": {"first": "Ada", "last": "42"}}))]
#[case::names_alike(json!({"names": 1}), &["/name"], json!({"names": 1, "name": "Ada"}))]
#[case::escaped(json!({}), &["/a~1b", "/~01"], json!({"a/b": "Ada", "~1": "42"}))]
#[case::outwards(json!({}), &["/../metadata_admin/kratos-operator.dev"],
    json!({"..": {"metadata_admin": {"kratos-operator.dev": "Ada"}}}))]
#[case::outwards_escaped(json!({}), &["/~1..~1metadata_admin"], json!({"/../metadata_admin": "Ada"}))]
fn a_value_goes_where_its_pointer_says_as_text(#[case] traits: Value, #[case] paths: &[&str], #[case] expected: Value) {
    assert_eq!(parsed(&traits, paths), Ok(expected));
}

#[rstest]
#[case::set_twice(json!({"first": "x"}), &["/first"], "/first")]
#[case::set_to_null(json!({"first": null}), &["/first"], "/first")]
#[case::set_below(json!({"name": {"first": "x"}}), &["/name"], "/name")]
#[case::through_a_text(json!({"name": "x"}), &["/name/first"], "/name/first")]
#[case::through_an_array(json!({"tags": ["x"]}), &["/tags/0"], "/tags/0")]
#[case::through_null(json!({"name": null}), &["/name/first"], "/name/first")]
#[case::through_another(json!({}), &["/name", "/name/first"], "/name/first")]
#[case::over_another(json!({}), &["/name/first", "/name"], "/name")]
fn a_pointer_that_meets_something_else_is_refused_by_its_name(
    #[case] traits: Value,
    #[case] paths: &[&str],
    #[case] named: &str,
) {
    let (reason, message) = parsed(&traits, paths).unwrap_err();
    assert_eq!(reason, Reason::InvalidSpec);
    assert!(message.contains(&format!("the path {named} ")), "{message}");
    assert!(!message.contains("Ada") && !message.contains("42"), "{message}");
}
