//! `patch_identity`: which pointers reach what, and which keys are safe. Each line is one start, one operation, and
//! what is there afterwards (`None`: refused, and nothing changed).
//!
//! What follows for whoever plans a patch: `add` always, never `replace`; and never a pointer whose parent isn't an
//! object that is there, since the parents that Kratos makes up are arrays where the next key is digits, and can't
//! have `/` or `~` in their names.

use kratos_operator::kratos::{Class, CreateIdentity, PatchOperation};
use serde_json::{Value, json};

use crate::fixtures::{add, kratos, plain, read, remove, replace};

type Make = fn(&str, Value) -> PatchOperation;

const ADD_AND_REPLACE: [Make; 2] = [add, replace];

/// What becomes of `metadata_admin` that starts as `start`.
async fn metadata(start: &Value, patch: PatchOperation) -> Option<Value> {
    let (_, client) = kratos().await;
    let create = CreateIdentity { metadata_admin: Some(start.clone()), ..plain(json!({})) };
    let id = client.create_identity(&create).await.unwrap().id;
    let outcome = client.patch_identity(&id, &[patch]).await;
    let after = read(&client, &id).await.metadata_admin;
    match outcome {
        Ok(answer) => {
            assert_eq!(answer.metadata_admin, after, "the answer to a patch has metadata_admin");
            Some(after.read().unwrap().clone())
        }
        Err(error) => {
            assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
            assert!(error.is_patch_inapplicable(), "{error}");
            assert_eq!(after, *start);
            None
        }
    }
}

/// What becomes of traits that start as `start`.
async fn traits(start: &Value, patch: PatchOperation) -> Option<Value> {
    let (_, client) = kratos().await;
    let id = client.create_identity(&plain(start.clone())).await.unwrap().id;
    let outcome = client.patch_identity(&id, &[patch]).await;
    let after = read(&client, &id).await.traits;
    if outcome.is_err() {
        assert_eq!(after, *start);
    }
    outcome.ok().map(|_| after.read().unwrap().clone())
}

#[tokio::test]
async fn parents_are_made_where_there_is_nothing_or_null() {
    for make in ADD_AND_REPLACE {
        for start in [json!(null), json!({})] {
            let seen = metadata(&start, make("/metadata_admin/a", json!(1))).await;
            assert_eq!(seen, Some(json!({"a": 1})));
            let seen = metadata(&start, make("/metadata_admin/a/b/c", json!(1))).await;
            assert_eq!(seen, Some(json!({"a": {"b": {"c": 1}}})));
        }
        let seen = metadata(&json!({"a": null}), make("/metadata_admin/a/b", json!(1))).await;
        assert_eq!(seen, Some(json!({"a": {"b": 1}})));
        let seen = traits(&json!({}), make("/traits/a/b", json!(1))).await;
        assert_eq!(seen, Some(json!({"a": {"b": 1}})));
    }
}

#[tokio::test]
async fn a_parent_made_for_a_key_of_digits_is_an_array_full_of_nulls() {
    let (absent, null) = (json!({}), json!(null));
    let in_a = "/metadata_admin/a/2";
    assert_eq!(metadata(&absent, add(in_a, json!(1))).await, Some(json!({"a": [null, null, 1]})));
    assert_eq!(metadata(&null, add("/metadata_admin/2", json!(1))).await, Some(json!([null, null, 1])));
    assert_eq!(metadata(&absent, add("/metadata_admin/a/-", json!(1))).await, Some(json!({"a": [1]})));
    assert_eq!(traits(&absent, add("/traits/a/2", json!(1))).await, Some(json!({"a": [null, null, 1]})));
    assert_eq!(metadata(&absent, replace(in_a, json!(1))).await, None);
    assert_eq!(metadata(&null, replace("/metadata_admin/2", json!(1))).await, None);
    // The parent's own value, given as a whole, is what it takes.
    let whole = add("/metadata_admin/a", json!({"2": 1}));
    assert_eq!(metadata(&absent, whole.clone()).await, Some(json!({"a": {"2": 1}})));
    assert_eq!(metadata(&null, whole).await, Some(json!({"a": {"2": 1}})));
}

#[tokio::test]
async fn a_parent_with_an_escape_in_its_name_is_not_made_but_is_found() {
    for make in ADD_AND_REPLACE {
        for (key, escaped) in [("a/b", "a~1b"), ("a~b", "a~0b")] {
            let patch = || make(&format!("/metadata_admin/{escaped}/in"), json!(1));
            assert_eq!(metadata(&json!({}), patch()).await, None);
            assert_eq!(metadata(&json!({key: {}}), patch()).await, Some(json!({key: {"in": 1}})));
        }
    }
}

#[tokio::test]
async fn the_neighbours_are_left_alone() {
    let start = json!({"a": {"x": 1}, "b": [1, 2]});
    for make in ADD_AND_REPLACE {
        let seen = metadata(&start, make("/metadata_admin/a/y", json!(2))).await;
        assert_eq!(seen, Some(json!({"a": {"x": 1, "y": 2}, "b": [1, 2]})));
    }
    let seen = metadata(&start, remove("/metadata_admin/a/x")).await;
    assert_eq!(seen, Some(json!({"a": {}, "b": [1, 2]})));
    assert_eq!(metadata(&start, remove("/metadata_admin/a/y")).await, None);
    assert_eq!(metadata(&start, remove("/metadata_admin/c/y")).await, None);
}

#[tokio::test]
async fn a_text_has_no_members_but_can_be_replaced_as_a_whole() {
    for start in [json!("text"), json!(true)] {
        for make in ADD_AND_REPLACE {
            assert_eq!(metadata(&start, make("/metadata_admin/a", json!(1))).await, None);
            let seen = metadata(&start, make("/metadata_admin", json!({"a": 1}))).await;
            assert_eq!(seen, Some(json!({"a": 1})));
        }
    }
}

#[tokio::test]
async fn an_array_has_elements_and_no_members() {
    let start = json!([1, 2]);
    for make in ADD_AND_REPLACE {
        assert_eq!(metadata(&start, make("/metadata_admin/a", json!(9))).await, None);
    }
    for (patch, expected) in [
        (add("/metadata_admin/0", json!(9)), Some(json!([9, 1, 2]))),
        (add("/metadata_admin/-", json!(9)), Some(json!([1, 2, 9]))),
        (add("/metadata_admin/5", json!(9)), None),
        (replace("/metadata_admin/0", json!(9)), Some(json!([9, 2]))),
        (remove("/metadata_admin/0"), Some(json!([2]))),
    ] {
        assert_eq!(metadata(&start, patch).await, expected);
    }
}

#[tokio::test]
async fn any_key_can_be_added_set_and_removed_and_only_digits_not_replaced_where_absent() {
    let keys = [
        ("plain", "plain", true),
        ("a/b", "a~1b", true),
        ("a~b", "a~0b", true),
        ("~1", "~01", true),
        ("", "", true),
        ("größe", "größe", true),
        ("名前", "名前", true),
        ("a b", "a b", true),
        ("a\"b\\c", "a\"b\\c", true),
        ("a<b>&c", "a<b>&c", true),
        ("kratos-operator.dev", "kratos-operator.dev", true),
        ("7", "7", false),
        ("007", "007", false),
        ("+7", "+7", false),
        ("-1", "-1", false),
        ("-", "-", false),
    ];
    for (key, escaped, replaces_what_is_absent) in keys {
        let (absent, present, set) = (json!({"z": 0}), json!({"z": 0, key: 0}), json!({"z": 0, key: 1}));
        let (admin, trait_) = (format!("/metadata_admin/{escaped}"), format!("/traits/{escaped}"));
        for start in [&absent, &present] {
            assert_eq!(metadata(start, add(&admin, json!(1))).await.as_ref(), Some(&set), "{key}");
            assert_eq!(traits(start, add(&trait_, json!(1))).await.as_ref(), Some(&set), "{key}");
            let replaces = replaces_what_is_absent || start == &present;
            let expected = replaces.then_some(&set);
            assert_eq!(metadata(start, replace(&admin, json!(1))).await.as_ref(), expected, "{key}");
            assert_eq!(traits(start, replace(&trait_, json!(1))).await.as_ref(), expected, "{key}");
        }
        assert_eq!(metadata(&present, remove(&admin)).await.as_ref(), Some(&absent), "{key}");
        assert_eq!(traits(&present, remove(&trait_)).await.as_ref(), Some(&absent), "{key}");
        assert_eq!(metadata(&absent, remove(&admin)).await, None, "{key}");
    }
}
