//! What means the same has one digest, and what doesn't has another.

use std::hash::{DefaultHasher, Hasher};

use rstest::rstest;
use serde_json::{Value, json};

use crate::identity::json;

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    json::digest(value, &mut hasher);
    hasher.finish()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[rstest]
#[case::order_of_keys(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#, r#"{"b": {"d": 3, "c": 2}, "a": 1}"#)]
#[case::notation_of_numbers("1", "1.0")]
#[case::exponents("1e2", "100")]
#[case::negative_nought("-0.0", "0")]
#[case::beyond_doubles("9007199254740993", "9007199254740992")]
#[case::within_arrays("[1, {\"a\": 2}]", "[1.0, {\"a\": 2.0}]")]
fn documents_of_one_meaning_are_the_same(#[case] left: &str, #[case] right: &str) {
    let (left, right) = (parse(left), parse(right));
    assert!(json::same(&left, &right) && json::same(&right, &left));
    assert_eq!(digest(&left), digest(&right));
}

#[rstest]
#[case::order_of_elements(json!([1, 2]), json!([2, 1]))]
#[case::nesting(json!([[1], 2]), json!([1, [2]]))]
#[case::a_key_more(json!({"a": 1}), json!({"a": 1, "b": null}))]
#[case::a_null_and_nothing(json!({"a": null}), json!({}))]
#[case::another_key(json!({"a": 1}), json!({"b": 1}))]
#[case::swapped_values(json!({"a": 1, "b": 2}), json!({"a": 2, "b": 1}))]
#[case::a_text_and_a_number(json!("1"), json!(1))]
#[case::a_flag_and_a_number(json!(true), json!(1))]
#[case::a_flag_and_null(json!(false), json!(null))]
#[case::an_empty_object_and_an_empty_array(json!({}), json!([]))]
#[case::an_empty_text_and_null(json!(""), json!(null))]
#[case::case_of_letters(json!("Ada"), json!("ada"))]
#[case::texts_that_join_to_the_same(json!(["ab", "c"]), json!(["a", "bc"]))]
#[case::numbers(json!(1), json!(1.5))]
fn documents_of_different_meaning_are_not(#[case] left: Value, #[case] right: Value) {
    assert!(!json::same(&left, &right) && !json::same(&right, &left));
    assert_ne!(digest(&left), digest(&right));
}
