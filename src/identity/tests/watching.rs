//! What a listing notices in credentials.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{desired, identity};
use crate::base::namespaced_name::NamespacedName;
use crate::identity::absent_credentials::Contents;
use crate::identity::credential_watch::CredentialWatch;
use crate::instance::managed::Managed;
use crate::kratos::Identity;

fn with(credentials: &Value) -> Identity {
    identity(&json!({ "id": "00000000-0000-4000-8000-00000000000a", "credentials": credentials }))
}

fn spec() -> Value {
    json!({"credentials": {
        "oidc": [{"provider": "google", "subject": "g1"}], "absent": ["TOTP", "WebAuthn", "LookupSecret", "Password"],
    }})
}

/// As the reconcile left it.
fn settled() -> Value {
    json!({
        "oidc": {"identifiers": ["google:g1"]}, "password": {"updated_at": "2026-12-24T18:00:00Z"},
        "webauthn": {"identifiers": ["id"], "config": {"credentials": [{"is_passwordless": true}]}},
    })
}

#[rstest]
#[case::as_it_was(json!({}), false)]
#[case::a_second_factor(json!({"totp": {"identifiers": ["id"]}}), true)]
#[case::codes(json!({"lookup_secret": {"identifiers": ["id"]}}), true)]
#[case::an_empty_entry(json!({"lookup_secret": {"identifiers": []}}), false)]
#[case::a_key(json!({"webauthn": {"config": {"credentials": [{"is_passwordless": false}]}}}), true)]
#[case::a_password_may_be_there(json!({"password": {"updated_at": "2026-12-24T19:00:00Z"}}), true)]
#[case::a_link_is_gone(json!({"oidc": {"identifiers": []}}), true)]
#[case::a_link_of_theirs(json!({"oidc": {"identifiers": ["google:g1", "gitlab:theirs"]}}), false)]
#[case::a_link_that_is_not_ruled_out(json!({"saml": {"identifiers": ["okta:o1"]}}), false)]
fn what_differs_from_the_manifest_is_off(#[case] changes: Value, #[case] expected: bool) {
    let watch = CredentialWatch::new(&desired(&spec()), &with(&settled()));
    let mut now = settled();
    json_patch::merge(&mut now, &changes);
    assert_eq!(watch.is_off(&with(&now)), expected);
}

#[test]
fn who_only_looks_is_told_once() {
    let key = json!({"is_passwordless": false});
    let there = json!({"totp": {"identifiers": ["id"]}, "webauthn": {"config": {"credentials": [key]}}});
    let contents = Contents { second_factor_key: true, ..Contents::default() };
    // As it is read, without contents.
    let read = with(&json!({"totp": {"identifiers": ["id"]}, "webauthn": {}}));
    let watch = CredentialWatch::new(&desired(&spec()), &read).leaving(&read, Some(contents));
    assert!(!watch.is_off(&with(&there)));
    assert!(watch.is_off(&with(&json!({"totp": {"identifiers": ["id"]}}))), "and once more when it changes");
}

#[test]
fn a_manifest_that_says_nothing_needs_no_credentials_in_the_listing() {
    let (managed, now) = (Managed::default(), Instant::now());
    let key = NamespacedName::new("team-a", "ada");
    let there = with(&json!({"totp": {"identifiers": ["id"]}}));
    let watch = |spec: &Value| managed.watch(&there.id, CredentialWatch::new(&desired(spec), &there));
    let later = now + Duration::from_secs(1);
    managed.note(&key, &there, now);
    assert!(!managed.watches());
    watch(&json!({}));
    assert!(!managed.watches());
    assert_eq!(managed.changed(&there, later, true), None);
    watch(&json!({"credentials": {"absent": ["TOTP"]}}));
    assert!(managed.watches());
    assert_eq!(managed.changed(&there, later, false), None, "a page without credentials says nothing of them");
    assert_eq!(managed.changed(&there, now, true), None, "nor does one that is older than the look");
    assert_eq!(managed.changed(&there, later, true), Some(key.key_hash()));
    managed.note(&key, &there, later);
    assert!(managed.watches(), "a look that came in between forgets nothing");
}
