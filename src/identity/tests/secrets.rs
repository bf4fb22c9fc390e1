//! What a Secret's key gives, what is waited for, what is of no use; and that no content shows.

use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::json;

use super::builders::now;
use crate::api::Reason;
use crate::api::identity::KratosIdentitySpec;
use crate::api::instance::KeyRef;
use crate::engine::failure::ReconcileError;
use crate::identity::desired;
use crate::identity::secrets::{Entry, Secrets};

fn reference() -> KeyRef {
    KeyRef { name: "ada".into(), key: "password".into() }
}

fn secrets(entry: Entry) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert(&reference(), entry);
    secrets
}

#[rstest]
#[case::as_it_is("s3cret", "s3cret")]
#[case::without_what_echo_adds("s3cret\n", "s3cret")]
#[case::without_what_an_editor_adds("s3cret\r\n", "s3cret")]
#[case::but_one_only(" s3cret \n\n", " s3cret \n")]
fn a_value_is_text_without_one_line_break_at_its_end(#[case] there: &str, #[case] expected: &str) {
    let secrets = secrets(Entry::Value(there.as_bytes().to_vec()));
    assert_eq!(secrets.text(&reference()).unwrap().expose_secret(), expected);
    assert!(!format!("{secrets:?}").contains("s3cret"));
}

#[rstest]
#[case::bytes(b"\xff\xfe s3cret".to_vec(), "UTF-8")]
#[case::nothing(Vec::new(), "empty")]
#[case::a_line_break(b"\n".to_vec(), "empty")]
#[case::a_mebibyte(vec![b'a'; 1024 * 1024], "longer")]
fn a_value_of_no_use_needs_someone_and_is_not_shown(#[case] value: Vec<u8>, #[case] what: &str) {
    let condition = secrets(Entry::Value(value)).text(&reference()).map(drop).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    for word in ["Secret ada", "key password", what, "correct the Secret"] {
        assert!(condition.message.contains(word), "{}", condition.message);
    }
    assert!(!condition.message.contains("s3cret") && !condition.message.contains("aaaa"), "{}", condition.message);
    assert!(matches!(ReconcileError::from(condition), ReconcileError::Refused(_)));
}

#[test]
fn a_value_that_is_not_there_yet_is_waited_for() {
    let missing = secrets(Entry::NotReady("the Secret doesn't exist")).text(&reference()).map(drop).unwrap_err();
    let unread = Secrets::default().text(&reference()).map(drop).unwrap_err();
    for condition in [missing, unread] {
        assert_eq!(condition.reason, Reason::SecretNotReady);
        assert!(condition.message.contains("Secret ada, key password"), "{}", condition.message);
        assert!(matches!(ReconcileError::from(condition), ReconcileError::Retry { .. }));
    }
}

#[test]
fn a_spec_names_each_key_that_it_refers_to_once() {
    let key = |key: &str| json!({"name": "ada", "key": key});
    let spec: KratosIdentitySpec = serde_json::from_value(json!({
        "schemaID": "customer",
        "credentials": {"password": {"secretKeyRef": key("password")}},
        "traitsFrom": [
            {"path": "/email", "secretKeyRef": key("email")},
            {"path": "/nickname", "secretKeyRef": key("email")},
        ],
    }))
    .unwrap();
    let found: Vec<_> = desired::secret_references(&spec).into_iter().map(|reference| reference.key).collect();
    assert_eq!(found, ["email", "password"]);
    let plain: KratosIdentitySpec = serde_json::from_value(json!({"schemaID": "customer"})).unwrap();
    assert_eq!(desired::secret_references(&plain), []);
    assert!(desired::parse(&plain, &Secrets::default(), now()).is_ok());
}
