//! Answers with unreadable parts are read item by item, field by field.

use rstest::rstest;
use serde_json::json;

use super::super::types::Items;
use super::super::{Cause, Identity, Member, Session, State};

fn identity(text: &str) -> Identity {
    serde_json::from_str(text).unwrap()
}

/// Objects nested to this depth.
fn deep(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

#[rstest]
#[case::number(r#"{"b": {"x": [1, 1e400]}, "a": 1}"#.to_owned(), Cause::Number, &["b", "x", "1"])]
#[case::surrogate(r#"{"a": 1, "b": {"x": "\ud800"}}"#.to_owned(), Cause::Text, &["b", "x"])]
#[case::surrogate_before_text(r#"{"a": 1, "b": "\ud800x"}"#.to_owned(), Cause::Text, &["b"])]
#[case::low_surrogate(r#"{"a": 1, "b": "\udc00"}"#.to_owned(), Cause::Text, &["b"])]
#[case::in_a_key(r#"{"a": 1, "b": {"\ud800": 2}}"#.to_owned(), Cause::Text, &["b"])]
fn what_cannot_be_read_is_opaque_and_says_why_and_where(
    #[case] content: String,
    #[case] cause: Cause,
    #[case] place: &[&str],
) {
    for field in ["traits", "metadata_public", "metadata_admin"] {
        let found = identity(&format!(r#"{{"id": "1", "state": "inactive", "schema_id": "s", "{field}": {content}}}"#));
        assert_eq!((found.state, found.schema_id.as_str()), (State::Inactive, "s"));
        let (root, opaque) = found.readable().unwrap_err();
        assert_eq!((root, opaque.cause()), (format!("/{field}").as_str(), cause));
        assert_eq!(opaque.place(), place);
        let whole = [&found.traits, &found.metadata_public, &found.metadata_admin];
        let content = whole.into_iter().find(|content| content.opaque().is_some()).unwrap();
        assert_eq!(content.member("a"), Member::Value(&json!(1)), "what stands beside it");
        assert_eq!((content.member("b"), content.member("c")), (Member::Unreadable, Member::Absent));
        assert!(content.is_object() && !content.is_null());
        assert_ne!(*content, json!({"a": 1}), "it isn't taken for what can be read of it");
        assert!(serde_json::to_string(content).is_err());
    }
}

#[test]
fn depth_is_counted_from_the_content_on_and_the_deepest_are_skipped_without_a_stack() {
    let there = identity(&format!(r#"{{"id": "1", "traits": {}}}"#, deep(127)));
    assert!(there.readable().is_ok());
    for levels in [128, 1000, 1_000_000] {
        let there = identity(&format!(r#"{{"id": "1", "traits": {}, "metadata_admin": {{"m": 1}}}}"#, deep(levels)));
        let (_, opaque) = there.readable().unwrap_err();
        assert_eq!((opaque.cause(), opaque.place().len()), (Cause::Depth, 127));
        assert_eq!(there.metadata_admin.member("m"), Member::Value(&json!(1)));
    }
}

#[test]
fn no_key_is_special_to_whoever_reads_it() {
    let text = r#"{"id": "1", "traits": {"$serde_json::private::RawValue": "{\"a\":1}"}}"#;
    let found = identity(text);
    assert_eq!(found.traits.member("$serde_json::private::RawValue"), Member::Value(&json!(r#"{"a":1}"#)));
    assert_eq!(found.traits.member("a"), Member::Absent);
}

#[test]
fn equal_texts_have_equal_digests_and_others_have_not() {
    let digest =
        |text: &str| identity(&format!(r#"{{"id": "1", "traits": {text}}}"#)).traits.opaque().unwrap().digest();
    assert_eq!(digest("1e400"), digest("1e400"));
    assert_ne!(digest("1e400"), digest("1e401"));
    let not_an_object = identity(r#"{"id": "1", "metadata_admin": [1e400]}"#);
    assert!(!not_an_object.metadata_admin.is_object() && !not_an_object.metadata_admin.is_null());
}

#[test]
fn an_odd_field_costs_that_field_and_an_odd_item_costs_no_other() {
    let text = r#"[
        {"id": "1", "state": 7, "schema_id": "s", "external_id": {"x": 1e400}, "recovery_addresses": [{"value": "a"}]},
        {"id": "\ud800", "schema_id": "t"},
        {"schema_id": "t"},
        {"id": "2", "credentials": {"password": {"identifiers": ["a"], "config": {"x": 1e400}}}, "traits": {"x": "\udfff"}}
    ]"#;
    let Items { read, unreadable } = serde_json::from_str::<Items<Identity>>(text).unwrap();
    assert_eq!((read.len(), unreadable), (2, 2));
    assert_eq!((read[0].id.as_str(), read[0].schema_id.as_str(), read[0].recovery_addresses.len()), ("1", "s", 1));
    let password = &read[1].credentials["password"];
    assert_eq!((password.identifiers.as_slice(), password.config.is_null()), (&["a".to_owned()][..], false));
}

#[rstest]
#[case::no_object("[1]")]
#[case::no_id_at_all(r#"[{"name": "x"}, {"name": "y"}]"#)]
#[case::no_list(r#"{"id": "1"}"#)]
#[case::a_broken_one(r#"[{"id": "1"}, {"#)]
fn a_list_that_is_none_of_kratos_is_still_refused(#[case] text: &str) {
    assert!(serde_json::from_str::<Items<Identity>>(text).is_err());
}

#[test]
fn a_session_keeps_what_can_be_read_of_whose_it_is() {
    let text = r#"{"id": "s", "active": true, "devices": 1, "identity": {"id": "i", "traits": {"x": 1e400}}}"#;
    let session: Session = serde_json::from_str(text).unwrap();
    assert!(session.active && session.devices.is_empty());
    let identity = session.identity.unwrap();
    assert_eq!(identity.id, "i");
    assert!(identity.traits.opaque().is_some());
}

#[rstest]
#[case::alone(&b"{\"id\":\"1\",\"traits\":{\"a\":1,\"b\":\"\xff\"}}"[..])]
#[case::after_a_high_surrogate(&b"{\"id\":\"1\",\"traits\":{\"a\":1,\"b\":\"\\ud83d\xff\"}}"[..])]
#[case::before_a_low_one(&b"{\"id\":\"1\",\"traits\":{\"a\":1,\"b\":\"\xff\\ude00\"}}"[..])]
#[case::several(&b"{\"id\":\"1\",\"traits\":{\"a\":1,\"b\":\"x\xc3\xff\xf0\x9fy\"}}"[..])]
fn bytes_that_are_no_text_spoil_what_they_are_in_alone(#[case] body: &[u8]) {
    let found = identity(&super::super::transport::text(body));
    let opaque = found.traits.opaque().expect("it isn't read as something else");
    assert_eq!((opaque.cause(), opaque.place()), (Cause::Text, &["b".to_owned()][..]));
    assert_eq!(found.traits.member("a"), Member::Value(&json!(1)));
}
