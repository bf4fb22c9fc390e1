//! What holds of any documents: patches lead where they should, merging settles, and leaves alone what isn't owned.

use std::hash::{DefaultHasher, Hasher};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::builders::patched;
use crate::identity::json::{self, Null};
use crate::identity::pointer;

const ROOT: &str = "/traits";

/// Few keys, so that documents meet; among them those that pointers and Kratos stumble over.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("a/b"), Just("~"), Just("~1"), Just(""), Just("0"), Just("-"), Just("ключ")]
        .prop_map(str::to_owned)
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(json!(1)), Just(json!(1.0)), Just(json!(-0.0)), Just(json!(0))],
        prop_oneof![Just(json!(9_007_199_254_740_993_u64)), Just(json!(9_007_199_254_740_992_u64))],
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,2}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(key(), inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Map<String, Value>> {
    btree_map(key(), value(), 0..5).prop_map(|members| members.into_iter().collect())
}

fn null() -> impl Strategy<Value = Null> {
    prop_oneof![Just(Null::Value), Just(Null::Absent)]
}

/// The same document in other words: every number as a double.
fn reworded(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(reworded).collect(),
        Value::Object(members) => members.iter().rev().map(|(key, value)| (key.clone(), reworded(value))).collect(),
        other => other.clone(),
    }
}

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    json::digest(value, &mut hasher);
    hasher.finish()
}

fn apply(before: &Value, after: &Value) -> Value {
    let mut operations = Vec::new();
    json::diff(ROOT, before, after, &mut operations);
    patched(&json!({ "traits": before }), &operations)["traits"].take()
}

proptest! {
    #[test]
    fn the_patch_from_one_document_to_another_leads_there(before in document(), after in document()) {
        let (before, after) = (Value::Object(before), Value::Object(after));
        prop_assert!(json::same(&apply(&before, &after), &after));
    }

    #[test]
    fn nothing_differs_from_itself(document in value()) {
        let mut operations = Vec::new();
        json::diff(ROOT, &document, &document, &mut operations);
        prop_assert_eq!(operations, vec![]);
    }

    #[test]
    fn the_same_document_in_other_words_is_the_same_and_has_the_same_digest(document in value()) {
        let other = reworded(&document);
        prop_assert!(json::same(&document, &other));
        prop_assert_eq!(digest(&document), digest(&other));
    }

    #[test]
    fn documents_of_one_digest_are_the_same(left in value(), right in value()) {
        prop_assert_eq!(json::same(&left, &right), digest(&left) == digest(&right));
    }

    #[test]
    fn merging_again_changes_nothing(there in document(), old in document(), new in document(), null in null()) {
        let owned = json::leaves(ROOT, &old);
        let once = json::merge(ROOT, &Value::Object(there), &new, &owned, null);
        let twice = json::merge(ROOT, &once, &new, &json::leaves(ROOT, &new), null);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn every_leaf_of_the_manifest_is_there_afterwards(there in document(), old in document(), new in document()) {
        let merged = json::merge(ROOT, &Value::Object(there), &new, &json::leaves(ROOT, &old), Null::Value);
        let (merged, new_root) = (json!({ "traits": merged }), json!({ "traits": new.clone() }));
        for path in json::leaves(ROOT, &new) {
            let (is, wanted) = (merged.pointer(&path), new_root.pointer(&path));
            let is_open = wanted == Some(&json!({})) && is.is_some_and(Value::is_object);
            prop_assert!(is_open || is.zip(wanted).is_some_and(|(is, wanted)| json::same(is, wanted)), "{}", path);
        }
    }

    #[test]
    fn what_is_not_owned_is_not_touched(there in document(), old in document(), new in document(), null in null()) {
        let merged = json::merge(ROOT, &Value::Object(there.clone()), &new, &json::leaves(ROOT, &old), null);
        let (merged, before) = (json!({ "traits": merged }), json!({ "traits": there.clone() }));
        let mut owned = json::leaves(ROOT, &old);
        owned.extend(json::leaves(ROOT, &new));
        for path in json::leaves(ROOT, &there) {
            // An empty object that is there may be filled; it's still no loss to anyone.
            let meets = |owned: &String| pointer::is_within(&path, owned) || pointer::is_within(owned, &path);
            if !owned.iter().any(meets) {
                prop_assert_eq!(merged.pointer(&path), before.pointer(&path), "{}", path);
            }
        }
    }
}
