//! Identity schemas: where login identifiers are, and what can be said of traits that don't fit without quoting them.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use crate::identity::schema::shape::Shape;
use crate::identity::schema::{
    self, hides_identifiers, hides_ways_in, identifiers, may_have_identifiers, verifiable_addresses, ways_in,
};

fn schema(traits: &Value) -> Value {
    json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"traits": traits}})
}

fn login() -> Value {
    json!({"type": "string", "ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}})
}

/// What is said of traits that the manifest has all of.
fn violations(schema: &Value, traits: &Value) -> Vec<String> {
    schema::violations((schema, &Shape::of(schema)), traits, traits.as_object().expect("traits"))
}

fn explain(schema_id: &str, schema: Option<&Value>, traits: &Value) -> String {
    let shape = schema.map(Shape::of);
    schema::explain(schema_id, schema.zip(shape.as_ref()), traits, traits.as_object().expect("traits"))
}

/// The login identifiers of traits, by a schema.
fn found(schema: &Value, traits: &Value) -> Vec<String> {
    identifiers(&[Arc::new(Shape::of(schema))], traits)
}

#[rstest]
#[case::a_property(json!({"properties": {"mail": login(), "age": {"type": "integer"}}}), json!({"mail": "m", "age": "3"}), &["m"])]
#[case::a_nested_one(json!({"properties": {"contact": {"properties": {"mail": login()}}}}), json!({"contact": {"mail": "m"}, "mail": "x"}), &["m"])]
#[case::elements_of_an_array(json!({"properties": {"mails": {"items": login()}}}), json!({"mails": ["m", "n"]}), &["m", "n"])]
#[case::a_property_of_elements(json!({"properties": {"mails": {"items": {"properties": {"value": login()}}}}}), json!({"mails": [{"value": "m"}, {"other": "x"}]}), &["m"])]
#[case::in_all_of(json!({"allOf": [{"properties": {"mail": login()}}, {"properties": {"phone": login()}}]}), json!({"mail": "m", "phone": "p"}), &["m", "p"])]
#[case::in_any_of(json!({"properties": {"login": {"anyOf": [{"type": "null"}, login()]}}}), json!({"login": "l"}), &["l"])]
#[case::in_one_of(json!({"oneOf": [{"properties": {"mail": login()}}]}), json!({"mail": "m"}), &["m"])]
#[case::of_any_kind(json!({"properties": {"key": {"ory.sh/kratos": {"credentials": {"webauthn": {"identifier": true}}}}}}), json!({"key": "k"}), &["k"])]
#[case::a_code(json!({"properties": {"mail": {"ory.sh/kratos": {"credentials": {"code": {"identifier": true, "via": "email"}}}}}}), json!({"mail": "p"}), &["p"])]
#[case::a_code_by_sms(json!({"properties": {"phone": {"ory.sh/kratos": {"credentials": {"code": {"identifier": true, "via": "sms"}}}}}}), json!({"phone": "+1 (415) 555-2671"}), &["+14155552671"])]
#[case::in_two_ways(json!({"properties": {"phone": {"ory.sh/kratos": {"credentials": {"password": {"identifier": true}, "code": {"identifier": true, "via": "sms"}}}}}}), json!({"phone": "+1 (415) 555-2671"}), &["+1 (415) 555-2671", "+14155552671"])]
#[case::a_code_that_logs_nobody_in(json!({"properties": {"phone": {"ory.sh/kratos": {"credentials": {"code": {"via": "sms"}}}}}}), json!({"phone": "p"}), &[])]
#[case::one_that_is_said_not_to_be(json!({"properties": {"mail": {"ory.sh/kratos": {"credentials": {"password": {"identifier": false}}}}}}), json!({"mail": "m"}), &[])]
#[case::one_for_verification_alone(json!({"properties": {"mail": {"ory.sh/kratos": {"verification": {"via": "email"}}}}}), json!({"mail": "m"}), &[])]
#[case::a_key_with_a_slash(json!({"properties": {"a/b": login()}}), json!({"a/b": "m"}), &["m"])]
#[case::a_key_named_star(json!({"properties": {"*": login()}}), json!({"*": "m", "other": "x"}), &["m"])]
#[case::none(json!({"properties": {}}), json!({"mail": "m"}), &[])]
#[case::nothing_of_use(json!(true), json!({"mail": "m"}), &[])]
fn login_identifiers_are_found_wherever_they_are_declared(
    #[case] schema_of_traits: Value,
    #[case] traits: Value,
    #[case] expected: &[&str],
) {
    assert_eq!(found(&schema(&schema_of_traits), &traits), expected);
}

#[rstest]
#[case::outside_of_the_traits(json!({"properties": {"mail": login()}}), &[])]
#[case::where_the_whole_refers_to_its_definition(json!({"$ref": "#/definitions/whole", "definitions": {"whole": {"properties": {"traits": {"properties": {"mail": login()}}}}}}), &["m"])]
#[case::where_the_whole_is_of_several(json!({"allOf": [{"properties": {"traits": {"properties": {"mail": login()}}}}]}), &["m"])]
fn traits_are_where_the_whole_schema_says(#[case] schema: Value, #[case] expected: &[&str]) {
    assert_eq!(found(&schema, &json!({"mail": "m"})), expected);
}

#[test]
fn no_depth_is_left_out() {
    let deep = (0..200).fold(login(), |inner, _| json!({"properties": {"a": inner}}));
    let traits = (0..200).fold(json!("m"), |inner, _| json!({"a": inner}));
    assert_eq!(found(&schema(&deep), &traits), ["m"]);
}

#[rstest]
#[case::as_kratos_normalises_them(json!({"mail": "  Ada@A.Example "}), &["ada@a.example"])]
#[case::each_once_and_in_order(json!({"mail": "b@a.example", "phone": "+49", "login": "B@a.example"}), &["+49", "b@a.example"])]
#[case::a_number(json!({"mail": 7}), &["7"])]
#[case::what_is_no_text(json!({"mail": ["a"]}), &[])]
#[case::what_is_blank(json!({"mail": "  "}), &[])]
#[case::an_object(json!({"mail": {"mail": "m"}}), &[])]
#[case::no_traits_at_all(json!(null), &[])]
fn identifiers_are_read_out_of_traits(#[case] traits: Value, #[case] expected: &[&str]) {
    let schema = schema(&json!({"properties": {"mail": login(), "phone": login(), "login": login()}}));
    assert_eq!(found(&schema, &traits), expected);
}

#[test]
fn identifiers_of_several_schemas_are_all_of_them() {
    let by = |key: &str| Arc::new(Shape::of(&schema(&json!({"properties": {key: login()}}))));
    assert_eq!(identifiers(&[by("mail"), by("phone")], &json!({"mail": "m", "phone": "p", "x": "x"})), ["m", "p"]);
}

#[test]
fn addresses_to_be_verified_are_found_with_how_they_are_reached() {
    let reached = |via: &str| json!({"ory.sh/kratos": {"verification": {"via": via}}});
    let schema =
        schema(&json!({"properties": {"mail": reached("email"), "phones": {"items": reached("sms")}, "x": login()}}));
    let traits = json!({"mail": " Ada@a.example", "phones": ["+49"], "x": "x"});
    let mut found = verifiable_addresses(&Shape::of(&schema), &traits);
    found.sort();
    assert_eq!(found, [("+49".to_owned(), "sms".to_owned()), ("ada@a.example".to_owned(), "email".to_owned())]);
}

/// Every value that must not show, and every key that holds it.
const MARKER: &str = "S3CRET";

fn strict() -> Value {
    schema(&json!({
        "type": "object",
        "required": ["mail"],
        "additionalProperties": false,
        "properties": {
            "mail": {"type": "string", "minLength": 60, "pattern": "^[0-9]+$"},
            "age": {"type": "integer", "maximum": 5},
            "plan": {"enum": ["gold", "silver"]},
            "kind": {"const": "person"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "uniqueItems": true, "maxItems": 1},
            "name": {"type": "object", "required": ["first"], "properties": {"first": {"not": {"type": "string"}}}},
            "site": {"type": "string", "format": "uri"},
            "either": {"oneOf": [{"type": "integer"}, {"type": "boolean"}]},
        },
    }))
}

#[rstest]
#[case::fitting(json!({"mail": "1".repeat(60)}), &[])]
#[case::missing(json!({}), &["/traits/mail is required"])]
#[case::too_short_and_of_another_form(json!({"mail": MARKER}), &["/traits/mail (minLength: 60)", "/traits/mail (pattern)"])]
#[case::of_another_type(json!({"mail": "1".repeat(60), "age": MARKER}), &["/traits/age (type: integer)"])]
#[case::too_large(json!({"mail": "1".repeat(60), "age": 777_123}), &["/traits/age (maximum: 5)"])]
#[case::none_of_those_listed(json!({"mail": "1".repeat(60), "plan": MARKER}), &["/traits/plan (enum)"])]
#[case::not_the_one(json!({"mail": "1".repeat(60), "kind": MARKER}), &["/traits/kind (const)"])]
#[case::elements(json!({"mail": "1".repeat(60), "tags": [MARKER]}), &["/traits/tags/0 (maxLength: 2)"])]
#[case::too_many_and_twice(json!({"mail": "1".repeat(60), "tags": ["a", "a"]}), &["/traits/tags (maxItems: 1)", "/traits/tags (uniqueItems)"])]
#[case::missing_within(json!({"mail": "1".repeat(60), "name": {}}), &["/traits/name/first is required"])]
#[case::forbidden(json!({"mail": "1".repeat(60), "name": {"first": MARKER}}), &["/traits/name/first (not)"])]
#[case::of_another_format(json!({"mail": "1".repeat(60), "site": MARKER}), &["/traits/site (format: uri)"])]
#[case::neither(json!({"mail": "1".repeat(60), "either": MARKER}), &["/traits/either (oneOf)"])]
#[case::one_too_many(json!({"mail": "1".repeat(60), "nick": MARKER}), &["/traits/nick isn't in the schema"])]
#[case::misspelt(json!({"emial": MARKER}), &["/traits/emial isn't in the schema", "/traits/mail is required"])]
fn what_does_not_fit_is_named_by_place_key_and_keyword(#[case] traits: Value, #[case] expected: &[&str]) {
    let mut found = violations(&strict(), &traits);
    found.sort();
    assert_eq!(found, expected);
    let message = explain("customer", Some(&strict()), &traits);
    assert!(!message.contains(MARKER) && !message.contains("777123"), "{message}");
    assert!(message.contains("customer"), "{message}");
    assert!(expected.iter().all(|line| message.contains(line)), "{message}");
}

#[test]
fn keys_that_only_kratos_has_are_not_named_but_the_place_above_them() {
    let contact = json!({"type": "object", "required": ["via"], "additionalProperties": {"type": "string"}});
    let schema = schema(&json!({
        "properties": {"mail": {}, "contacts": {"additionalProperties": contact}}, "additionalProperties": false,
    }));
    let manifest = json!({"mail": "m", "emial": "m", "contacts": {"office": {}}});
    let mut traits = manifest.clone();
    traits[MARKER] = json!("m");
    traits["contacts"][MARKER] = json!({MARKER: 5});
    let manifest = manifest.as_object().expect("traits");
    let mut found = schema::violations((&schema, &Shape::of(&schema)), &traits, manifest);
    found.sort();
    let expected = [
        "/traits (additionalProperties)",
        "/traits/contacts (required)",
        "/traits/contacts (type: string)",
        "/traits/contacts/office/via is required",
        "/traits/emial isn't in the schema",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_message_names_what_fits_and_counts_the_rest() {
    let properties: serde_json::Map<_, _> = (0..9).map(|n| (format!("p{n}"), json!({"type": "integer"}))).collect();
    let traits: serde_json::Map<_, _> = (0..9).map(|n| (format!("p{n}"), json!(MARKER))).collect();
    let message = explain("customer", Some(&schema(&json!({"properties": properties}))), &Value::Object(traits));
    assert_eq!(message.matches("(type: integer)").count(), 4, "{message}");
    assert!(message.contains(" and 5 more") && !message.contains(MARKER), "{message}");
    assert!(message.chars().count() <= 200 && message.ends_with("correct them in the manifest"), "{message}");
}

#[test]
fn keys_and_ids_that_somebody_chose_are_bounded_and_shown_without_controls() {
    let traits = json!({"a\n\u{1b}[31mb": MARKER, "k".repeat(5000): MARKER, "mail": "1".repeat(60)});
    let message = explain(&"s".repeat(5000), Some(&strict()), &traits);
    assert!(message.chars().count() <= 200, "{message}");
    assert!(message.contains(" isn't in the schema") && !message.contains(char::is_control), "{message}");
    assert!(message.ends_with("correct them in the manifest"), "{message}");
    let many: serde_json::Map<_, _> = (0..5000).map(|n| (format!("k{n}"), json!(MARKER))).collect();
    assert!(explain("customer", Some(&strict()), &many.into()).chars().count() <= 200);
}

#[rstest]
#[case::the_schema_is_not_known(None)]
#[case::it_finds_nothing(Some(schema(&json!({}))))]
#[case::it_would_have_to_be_fetched(Some(schema(&json!({"$ref": "http://127.0.0.1:9/nothing.json"}))))]
#[case::it_is_none(Some(json!({"properties": {"traits": {"type": 7}}})))]
fn without_a_finding_the_message_says_where_to_look(#[case] schema: Option<Value>) {
    let message = explain("customer", schema.as_ref(), &json!({"mail": MARKER}));
    assert!(message.contains("customer") && message.contains("log") && !message.contains(MARKER), "{message}");
}

/// A whole schema whose traits are defined elsewhere in it.
fn by_reference() -> Value {
    json!({
        "definitions": {"person": {"properties": {"mail": login(), "friend": {"$ref": "#/definitions/person"}}}},
        "properties": {"traits": {"$ref": "#/definitions/person"}},
    })
}

#[test]
fn identifiers_behind_references_are_found_at_any_depth() {
    let friend = (0..40).fold(json!({"mail": "last"}), |friend, _| json!({"mail": "x", "friend": friend}));
    assert_eq!(found(&by_reference(), &json!({"mail": "first", "friend": friend})), ["first", "last", "x"]);
}

#[rstest]
#[case::plainly(schema(&json!({"properties": {"mail": login()}})), true)]
#[case::by_reference(by_reference(), true)]
#[case::on_a_condition(schema(&json!({"if": {}, "then": {"properties": {"mail": login()}}})), true)]
#[case::in_another_document(schema(&json!({"$ref": "https://example.com/person.json"})), true)]
#[case::nowhere(schema(&json!({"properties": {"label": {"type": "string"}}})), false)]
#[case::for_verification_alone(schema(&json!({"properties": {"mail": {"ory.sh/kratos": {"verification": {"via": "email"}}}}})), false)]
fn a_schema_may_have_identifiers(#[case] schema: Value, #[case] expected: bool) {
    assert_eq!(may_have_identifiers(&schema), expected);
}

fn recovered() -> Value {
    json!({"type": "string", "ory.sh/kratos": {"recovery": {"via": "email"}}})
}

fn verified() -> Value {
    json!({"type": "string", "ory.sh/kratos": {"verification": {"via": "sms"}}})
}

#[test]
fn what_leads_into_an_account_is_found_where_it_stands() {
    let properties = json!({"mail": login(), "phone": verified(), "backup": {"items": recovered()}, "deep": {"properties": {"mail": login()}}});
    let schema = schema(&json!({ "properties": properties }));
    let traits = json!({"mail": " A@a.example", "phone": 7, "backup": ["b", "c"], "deep": {"mail": "d"}, "age": "e"});
    let shape = Shape::of(&schema);
    let expected = [
        ("/backup/0", json!("b")),
        ("/backup/1", json!("c")),
        ("/deep/mail", json!("d")),
        ("/mail", json!(" A@a.example")),
        ("/phone", json!(7)),
    ];
    let found: Vec<_> = ways_in(&shape, &traits).into_iter().map(|(path, value)| (path, value.clone())).collect();
    assert_eq!(found, expected.map(|(path, value)| (path.to_owned(), value)));
    assert!(!(shape.is_cut() || hides_ways_in(&schema)));
}

#[rstest]
#[case::on_a_condition(json!({"if": {}, "then": {"properties": {"mail": recovered()}}}), true)]
#[case::by_a_pattern(json!({"patternProperties": {"^mail": verified()}}), true)]
#[case::in_each_of_many_places(json!({"items": [login()]}), true)]
#[case::in_another_document(json!({"$ref": "https://example.com/person.json"}), true)]
#[case::nowhere(json!({"if": {}, "then": {"properties": {"mail": {"type": "string"}}}}), false)]
#[case::in_a_property_named_like_a_keyword(json!({"properties": {"if": recovered()}}), false)]
fn a_way_in_hides(#[case] traits: Value, #[case] expected: bool) {
    assert_eq!(hides_ways_in(&schema(&traits)), expected);
}

#[rstest]
#[case::by_a_reference_to_it(json!({"$ref": "#/definitions/mail"}), true)]
#[case::by_a_reference_to_a_reference(json!({"$ref": "#/definitions/alias"}), true)]
#[case::by_a_reference_to_nothing(json!({"$ref": "#/definitions/none"}), true)]
#[case::but_not_by_one_to_something_else(json!({"$ref": "#/definitions/label"}), false)]
fn an_identifier_hides_behind_a_pattern(#[case] pattern: Value, #[case] expected: bool) {
    let schema = json!({
        "definitions": {"mail": login(), "alias": {"$ref": "#/definitions/mail"}, "label": {"type": "string"}},
        "properties": {"traits": {"patternProperties": {".": pattern}}},
    });
    assert_eq!((hides_identifiers(&schema), hides_ways_in(&schema)), (expected, expected));
}
