//! Who has a second factor, by what Kratos shows in lists.

use rstest::rstest;
use serde_json::{Value, json};

use crate::kratos::Identity;
use crate::policy::enrolment::is_enrolled;

#[rstest]
#[case::nothing(json!({}), false)]
#[case::a_password(json!({"password": {"identifiers": ["ada@example.com"]}}), false)]
#[case::a_code(json!({"code": {"identifiers": ["ada@example.com"]}}), false)]
#[case::totp(json!({"password": {}, "totp": {"identifiers": ["id"]}}), true)]
#[case::lookup_secrets(json!({"lookup_secret": {}}), true)]
#[case::a_key(json!({"webauthn": {"config": {"credentials": [{"is_passwordless": false}]}}}), true)]
#[case::a_passwordless_key(json!({"webauthn": {"config": {"credentials": [{"is_passwordless": true}]}}}), false)]
#[case::an_empty_entry(json!({"webauthn": {"config": {"credentials": null, "user_handle": ""}}}), false)]
#[case::an_entry_without_content(json!({"webauthn": {"identifiers": ["ada@example.com"]}}), false)]
fn a_second_factor_is_seen_without_its_secret(#[case] credentials: Value, #[case] expected: bool) {
    let identity: Identity = serde_json::from_value(json!({"id": "ada", "credentials": credentials})).unwrap();
    assert_eq!(is_enrolled(&identity), Some(expected));
}

#[test]
fn keys_that_cannot_be_read_say_nothing() {
    let text = r#"{"id": "1", "credentials": {"webauthn": {"config": {"credentials": [1e400]}}}}"#;
    assert_eq!(is_enrolled(&serde_json::from_str(text).unwrap()), None);
}
