//! Whose key is it? Three-way merging, as a table.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{object, patched, strings};
use crate::identity::json::{self, Null};

const ROOT: &str = "/traits";

/// (what is there, what was owned before, what the manifest says) → what is wanted.
#[rstest]
#[case::a_new_key_is_added(json!({}), &[], json!({"mail": "a"}), json!({"mail": "a"}))]
#[case::the_users_keys_stay(json!({"nick": "x"}), &[], json!({"mail": "a"}), json!({"mail": "a", "nick": "x"}))]
#[case::a_changed_key_is_set(json!({"mail": "b"}), &["/traits/mail"], json!({"mail": "a"}), json!({"mail": "a"}))]
#[case::a_key_is_taken_over_that_was_the_users(json!({"mail": "b"}), &[], json!({"mail": "a"}), json!({"mail": "a"}))]
#[case::a_key_that_left_is_removed(json!({"mail": "a", "age": 1}), &["/traits/mail", "/traits/age"], json!({"mail": "a"}), json!({"mail": "a"}))]
#[case::a_key_that_left_and_is_gone_already(json!({"nick": "x"}), &["/traits/age"], json!({}), json!({"nick": "x"}))]
#[case::a_key_that_left_though_the_user_changed_it(json!({"age": 2}), &["/traits/age"], json!({}), json!({}))]
#[case::the_last_key_takes_its_object_along(json!({"name": {"first": "f"}}), &["/traits/name/first"], json!({}), json!({}))]
#[case::and_that_ones_parents(json!({"a": {"b": {"c": 1}}}), &["/traits/a/b/c"], json!({}), json!({}))]
#[case::but_no_object_with_a_users_key(json!({"a": {"b": {"c": 1}, "u": 0}}), &["/traits/a/b/c"], json!({}), json!({"a": {"u": 0}}))]
#[case::nor_an_object_that_was_empty_before(json!({"name": {}}), &["/traits/name/first"], json!({}), json!({"name": {}}))]
#[case::nor_a_users_own_empty_object(json!({"own": {}, "age": 1}), &["/traits/age"], json!({}), json!({"own": {}}))]
#[case::a_leaf_becomes_an_object(json!({"name": "n"}), &["/traits/name"], json!({"name": {"first": "f"}}), json!({"name": {"first": "f"}}))]
#[case::an_object_becomes_a_leaf(json!({"name": {"first": "f"}}), &["/traits/name/first"], json!({"name": "n"}), json!({"name": "n"}))]
#[case::an_object_becomes_an_empty_one(json!({"name": {"first": "f", "nick": "x"}}), &["/traits/name/first"], json!({"name": {}}), json!({"name": {"nick": "x"}}))]
#[case::an_object_of_ours_alone_becomes_empty(json!({"name": {"first": "f"}}), &["/traits/name/first"], json!({"name": {}}), json!({"name": {}}))]
#[case::an_empty_object_becomes_a_full_one(json!({"name": {}}), &["/traits/name"], json!({"name": {"first": "f"}}), json!({"name": {"first": "f"}}))]
#[case::an_empty_object_is_a_leaf(json!({}), &[], json!({"name": {}}), json!({"name": {}}))]
#[case::and_says_nothing_of_what_is_in_it(json!({"name": {"nick": "x"}}), &["/traits/name"], json!({"name": {}}), json!({"name": {"nick": "x"}}))]
#[case::an_empty_object_that_left_is_removed(json!({"name": {}}), &["/traits/name"], json!({}), json!({}))]
#[case::unless_a_user_filled_it(json!({"name": {"nick": "x"}}), &["/traits/name"], json!({}), json!({"name": {"nick": "x"}}))]
#[case::a_key_moves_to_another_object(json!({"a": {"k": 1}}), &["/traits/a/k"], json!({"b": {"k": 1}}), json!({"b": {"k": 1}}))]
#[case::an_array_is_a_leaf(json!({"tags": ["x", "y"]}), &["/traits/tags"], json!({"tags": ["y"]}), json!({"tags": ["y"]}))]
#[case::objects_in_arrays_are_not_merged(json!({"t": [{"a": 1, "b": 2}]}), &[], json!({"t": [{"a": 1}]}), json!({"t": [{"a": 1}]}))]
#[case::nothing_is_there(Value::Null, &[], json!({"mail": "a"}), json!({"mail": "a"}))]
#[case::a_sibling_whose_name_goes_on(json!({"name": 1, "names": 2}), &["/traits/name"], json!({}), json!({"names": 2}))]
#[case::a_path_of_another_document(json!({"plan": "x"}), &["/metadata_public/plan"], json!({}), json!({"plan": "x"}))]
#[case::keys_with_slashes(json!({"a/b": 1, "a": {"b": 2}}), &["/traits/a~1b"], json!({}), json!({"a": {"b": 2}}))]
#[case::keys_with_tildes(json!({"a~b": 1, "~1": 2}), &["/traits/a~0b"], json!({"~1": 3}), json!({"~1": 3}))]
#[case::an_empty_key(json!({"": 1, "u": 2}), &["/traits/"], json!({}), json!({"u": 2}))]
#[case::keys_of_digits(json!({"0": "a", "1": "b"}), &["/traits/0"], json!({"1": "c"}), json!({"1": "c"}))]
#[case::keys_of_any_script(json!({"имя": 1, "名前": 2}), &["/traits/имя"], json!({"名前": 3}), json!({"名前": 3}))]
#[case::one_and_one_point_nought_are_the_same(json!({"n": 1.0}), &[], json!({"n": 1}), json!({"n": 1.0}))]
#[case::integers_beyond_doubles(json!({"n": 9_007_199_254_740_992_u64}), &[], json!({"n": 9_007_199_254_740_993_u64}), json!({"n": 9_007_199_254_740_992_u64}))]
fn a_manifest_merges_with_what_is_there(
    #[case] there: Value,
    #[case] owned: &[&str],
    #[case] wanted: Value,
    #[case] expected: Value,
) {
    for null in [Null::Value, Null::Absent] {
        let merged = json::merge(ROOT, &there, &object(wanted.clone()), &strings(owned), null);
        assert_eq!(merged, expected, "{null:?}");
    }
}

#[rstest]
#[case::a_null_is_a_trait(Null::Value, json!({}), json!({"nick": null}), json!({"nick": null}))]
#[case::and_replaces_another_value(Null::Value, json!({"nick": 1}), json!({"nick": null}), json!({"nick": null}))]
#[case::in_metadata_it_removes(Null::Absent, json!({"nick": 1, "u": 2}), json!({"nick": null}), json!({"u": 2}))]
#[case::and_adds_nothing(Null::Absent, json!({"u": 2}), json!({"nick": null}), json!({"u": 2}))]
#[case::within_an_object_too(Null::Absent, json!({"a": {"b": 1, "u": 2}}), json!({"a": {"b": null}}), json!({"a": {"u": 2}}))]
#[case::within_a_new_object(Null::Absent, json!({}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}}))]
#[case::but_not_within_an_array(Null::Absent, json!({}), json!({"a": [null]}), json!({"a": [null]}))]
fn a_null_means_absent_in_metadata_alone(
    #[case] null: Null,
    #[case] there: Value,
    #[case] wanted: Value,
    #[case] expected: Value,
) {
    assert_eq!(json::merge(ROOT, &there, &object(wanted), &[], null), expected);
}

#[rstest]
#[case(json!({"name": {"first": "f", "last": "l"}, "age": 1}), &["/traits/age", "/traits/name/first", "/traits/name/last"])]
#[case(json!({"tags": [{"a": 1}], "none": {}, "null": null}), &["/traits/none", "/traits/null", "/traits/tags"])]
#[case(json!({"a/b": {"~": 1}, "": {"": 2}}), &["/traits//", "/traits/a~1b/~0"])]
#[case(json!({}), &[])]
fn a_manifest_owns_its_leaves(#[case] wanted: Value, #[case] expected: &[&str]) {
    let mut leaves = json::leaves(ROOT, &object(wanted));
    leaves.sort();
    assert_eq!(leaves, expected);
}

#[rstest]
#[case::nothing_differs(json!({"a": 1, "b": [1]}), json!({"b": [1.0], "a": 1.0}), json!([]))]
#[case::a_member_is_set_by_add(json!({"a": 1}), json!({"a": 2}), json!([{"op": "add", "path": "/traits/a", "value": 2}]))]
#[case::a_key_of_digits_too(json!({"0": 1}), json!({"0": 2}), json!([{"op": "add", "path": "/traits/0", "value": 2}]))]
#[case::only_the_leaf_is_named(json!({"n": {"f": 1, "l": 2}}), json!({"n": {"f": 1, "l": 3}}), json!([{"op": "add", "path": "/traits/n/l", "value": 3}]))]
#[case::a_new_object_is_added_whole(json!({}), json!({"n": {"f": 1}}), json!([{"op": "add", "path": "/traits/n", "value": {"f": 1}}]))]
#[case::a_member_goes(json!({"a~b/c": 1}), json!({}), json!([{"op": "remove", "path": "/traits/a~0b~1c"}]))]
#[case::removals_come_first(json!({"z": 1}), json!({"a": 1}), json!([{"op": "remove", "path": "/traits/z"}, {"op": "add", "path": "/traits/a", "value": 1}]))]
#[case::an_array_is_set_whole(json!({"t": [1, 2]}), json!({"t": [1]}), json!([{"op": "add", "path": "/traits/t", "value": [1]}]))]
#[case::a_null_is_no_absence(json!({"t": null}), json!({}), json!([{"op": "remove", "path": "/traits/t"}]))]
#[case::what_was_no_object_is_set_whole(Value::Null, json!({"a": 1}), json!([{"op": "add", "path": "/traits", "value": {"a": 1}}]))]
fn a_difference_is_named_by_its_leaves(#[case] before: Value, #[case] after: Value, #[case] expected: Value) {
    let mut operations = Vec::new();
    json::diff(ROOT, &before, &after, &mut operations);
    assert_eq!(serde_json::to_value(&operations).unwrap(), expected);
    let result = patched(&json!({ "traits": before }), &operations);
    assert!(json::same(&result["traits"], &after), "{result}");
}
