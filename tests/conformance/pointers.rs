//! `patch_identity`: which pointers reach what, and which keys are safe. Each test is a table of one start, some
//! operations, and what is there afterwards (`None`: refused, nothing changed).

use kratos_operator::kratos::{Class, CreateIdentity, PatchOperation};
use serde_json::{Value, json};

use crate::fixtures::{add, kratos, plain, read, remove, replace};

/// What becomes of `metadata_admin` that starts as `start`.
async fn metadata(start: Value, patch: PatchOperation) -> Option<Value> {
    let (_, client) = kratos().await;
    let create = CreateIdentity {
        metadata_admin: Some(start.clone()),
        ..plain(json!({}))
    };
    let id = client.create_identity(&create).await.unwrap().id;
    let outcome = client.patch_identity(&id, &[patch]).await;
    let after = read(&client, &id).await.metadata_admin;
    match outcome {
        Ok(answer) => {
            assert_eq!(
                answer.metadata_admin, after,
                "the answer to a patch has metadata_admin"
            );
            Some(after)
        }
        Err(error) => {
            assert_eq!(
                (error.class(), error.status()),
                (Class::Rejected, Some(400))
            );
            assert!(error.is_patch_inapplicable(), "{error}");
            assert_eq!(after, start);
            None
        }
    }
}

/// What becomes of traits that start as `start`.
async fn traits(start: Value, patch: PatchOperation) -> Option<Value> {
    let (_, client) = kratos().await;
    let id = client
        .create_identity(&plain(start.clone()))
        .await
        .unwrap()
        .id;
    let outcome = client.patch_identity(&id, &[patch]).await;
    let after = read(&client, &id).await.traits;
    if outcome.is_err() {
        assert_eq!(after, start);
    }
    outcome.ok().map(|_| after)
}

#[tokio::test]
async fn parents_are_created_where_there_is_nothing() {
    for start in [json!(null), json!({})] {
        for make in [add, replace] {
            assert_eq!(
                metadata(start.clone(), make("/metadata_admin/a", json!(1))).await,
                Some(json!({"a": 1}))
            );
            assert_eq!(
                metadata(start.clone(), make("/metadata_admin/a/b/c", json!(1))).await,
                Some(json!({"a": {"b": {"c": 1}}}))
            );
        }
    }
    for make in [add, replace] {
        assert_eq!(
            traits(json!({}), make("/traits/a/b", json!(1))).await,
            Some(json!({"a": {"b": 1}}))
        );
    }
}

#[tokio::test]
async fn the_neighbours_are_left_alone() {
    let start = json!({"a": {"x": 1}, "b": [1, 2]});
    for make in [add, replace] {
        assert_eq!(
            metadata(start.clone(), make("/metadata_admin/a/y", json!(2))).await,
            Some(json!({"a": {"x": 1, "y": 2}, "b": [1, 2]}))
        );
    }
    assert_eq!(
        metadata(start.clone(), remove("/metadata_admin/a/x")).await,
        Some(json!({"a": {}, "b": [1, 2]}))
    );
}

#[tokio::test]
async fn a_null_parent_within_is_replaced() {
    for make in [add, replace] {
        let outcome = metadata(json!({"a": null}), make("/metadata_admin/a/b", json!(1))).await;
        println!("null parent within: {outcome:?}");
    }
}

#[tokio::test]
async fn a_text_or_number_has_no_members() {
    for start in [json!("text"), json!(5), json!(true)] {
        for make in [add, replace] {
            println!(
                "scalar {start}: {:?}",
                metadata(start.clone(), make("/metadata_admin/a", json!(1))).await
            );
        }
        println!(
            "scalar whole {start}: {:?}",
            metadata(start.clone(), replace("/metadata_admin", json!({"a": 1}))).await
        );
    }
    for make in [add, replace] {
        println!(
            "array: {:?}",
            metadata(json!([1, 2]), make("/metadata_admin/a", json!(1))).await
        );
        println!(
            "array 0: {:?}",
            metadata(json!([1, 2]), make("/metadata_admin/0", json!(9))).await
        );
    }
}

#[tokio::test]
async fn odd_keys() {
    let keys = [
        ("a/b", "a~1b"),
        ("a~b", "a~0b"),
        ("~1", "~01"),
        ("", ""),
        ("7", "7"),
        ("-1", "-1"),
        ("-", "-"),
        ("007", "007"),
        ("+7", "+7"),
        ("größe", "größe"),
        ("名前", "名前"),
        ("a b", "a b"),
        ("a\"b\\c", "a\"b\\c"),
        ("kratos-operator.dev", "kratos-operator.dev"),
        ("a<b>&c", "a<b>&c"),
    ];
    for (key, escaped) in keys {
        for (name, make) in [
            ("add", add as fn(&str, Value) -> PatchOperation),
            ("replace", replace),
        ] {
            for (what, start) in [
                ("absent", json!({"z": 0})),
                ("present", json!({"z": 0, key: 0})),
            ] {
                let expected = Some(json!({"z": 0, key: 1}));
                let m = metadata(
                    start.clone(),
                    make(&format!("/metadata_admin/{escaped}"), json!(1)),
                )
                .await;
                let t = traits(start.clone(), make(&format!("/traits/{escaped}"), json!(1))).await;
                println!(
                    "{name} {key:?} {what}: metadata {} traits {}",
                    show(&m, &expected),
                    show(&t, &expected)
                );
            }
            let expected = Some(json!({key: {"in": 1}}));
            let m = metadata(
                json!({}),
                make(&format!("/metadata_admin/{escaped}/in"), json!(1)),
            )
            .await;
            let p = metadata(
                json!({key: {}}),
                make(&format!("/metadata_admin/{escaped}/in"), json!(1)),
            )
            .await;
            println!(
                "{name} below {key:?}: absent {} present {}",
                show(&m, &expected),
                show(&p, &expected)
            );
        }
        let expected = Some(json!({"z": 0}));
        let m = metadata(
            json!({"z": 0, key: 0}),
            remove(&format!("/metadata_admin/{escaped}")),
        )
        .await;
        let t = traits(
            json!({"z": 0, key: 0}),
            remove(&format!("/traits/{escaped}")),
        )
        .await;
        println!(
            "remove {key:?}: metadata {} traits {}",
            show(&m, &expected),
            show(&t, &expected)
        );
    }
}

fn show(seen: &Option<Value>, expected: &Option<Value>) -> String {
    if seen == expected {
        "ok".into()
    } else {
        format!("{seen:?}")
    }
}
