//! Each field of an identity's manifest: set, changed, removed, and changed by somebody else. What the manifest names
//! is kept as it says, what it doesn't name is left alone, and nothing is written where nothing differs.

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::State;
use serde_json::{Map, Value, json};

use crate::scene::{Scene, id_of, message_of, reason_of};

fn plain(traits: Value) -> Value {
    let mut spec = json!({"schemaID": "plain"});
    spec["traits"] = traits;
    spec
}

#[tokio::test]
async fn traits_are_set_changed_and_removed_at_any_depth() {
    let scene = Scene::settled().await;
    let traits = json!({
        "name": {"first": "Ada", "middle": {"second": "King"}},
        "tags": ["a", {"b": [1, 2]}],
        "languages": [],
        "nothing": {},
        "score": 1.5,
        "agreed": true,
    });
    scene.identity("ada", plain(traits.clone())).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, traits);

    let traits = json!({"name": {"first": "Augusta"}, "tags": ["a"], "languages": ["en"], "score": 2, "agreed": false});
    scene.identity("ada", plain(traits.clone())).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, traits, "with the parent that became empty gone too");

    scene.identity("ada", json!({"schemaID": "plain"})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({}));
    assert_eq!(scene.kratos_writes(), 3, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn an_empty_object_says_that_nothing_is_named() {
    // Server-side apply makes null of an object whose last key left the manifest.
    let scene = Scene::settled().await;
    let all =
        |value: Value| json!({"schemaID": "plain", "traits": value, "metadataPublic": value, "metadataAdmin": value});
    scene.identity("ada", all(json!({"label": "a"}))).await;
    scene.ready("ada").await;
    scene.identity("ada", all(json!({}))).await;
    let ada = scene.ready("ada").await;
    let identity = scene.in_kratos(&ada).await;
    assert_eq!(identity.traits, json!({}));
    assert_eq!(identity.metadata_public, json!({}));
    assert_eq!(identity.metadata_admin.read().unwrap().as_object().map(Map::len), Some(1), "the mark alone");
}

/// Server-side apply makes a null of an object whose last key left the manifest, wherever it stands.
#[tokio::test]
async fn an_object_that_is_emptied_under_server_side_apply_names_nothing_any_more() {
    let scene = Scene::settled().await;
    let spec = |name: Value| json!({"schemaID": "customer", "traits": {"email": "ada@emptied.example", "name": name}});
    scene.identity("ada", spec(json!({"first": "Ada"}))).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["name"], json!({"first": "Ada"}));
    scene.identity("ada", spec(json!({}))).await;
    let ada = scene.ready("ada").await;
    let stored = &ada.spec.traits.members().expect("they are flat")["name"];
    assert!(stored.is_null(), "the server stores what this is about: {stored}");
    let there = scene.in_kratos(&ada).await.traits.read().unwrap().clone();
    assert_eq!(there, json!({"email": "ada@emptied.example", "name": {}}));
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "and stays so");
}

#[tokio::test]
async fn keys_of_any_kind_are_set_changed_and_removed() {
    let scene = Scene::settled().await;
    let keys = ["a/b", "~", "~1", "m~0n", "0", "42", "-", "ключ", "鍵", "🔑", "with space", "dotted.key", "", "\"'\\"];
    let with = |number: usize| -> Map<String, Value> {
        keys.iter().map(|key| ((*key).to_owned(), json!({"inner/0": number, "7": [number]}))).collect()
    };
    for number in [1, 2] {
        scene.identity("keys", plain(json!({"label": "keys", "deep": with(number)}))).await;
        let resource = scene.ready("keys").await;
        assert_eq!(scene.in_kratos(&resource).await.traits.read().unwrap()["deep"], Value::Object(with(number)));
    }
    let left = json!({"label": "keys", "deep": {"0": {"7": [2]}}});
    scene.identity("keys", plain(left.clone())).await;
    let resource = scene.ready("keys").await;
    assert_eq!(scene.in_kratos(&resource).await.traits, left);
    assert_eq!(scene.kratos_writes(), 3);
}

#[tokio::test]
async fn keys_of_digits_at_the_top_are_set_changed_and_removed() {
    let scene = Scene::settled().await;
    for traits in [json!({"0": "a", "1": "b"}), json!({"0": "c", "1": "b"}), json!({"1": "b"}), json!({"01": "x"})] {
        scene.identity("digits", plain(traits.clone())).await;
        let resource = scene.ready("digits").await;
        assert_eq!(scene.in_kratos(&resource).await.traits, traits);
    }
}

#[tokio::test]
async fn big_numbers_and_nulls_do_not_flap() {
    let scene = Scene::settled().await;
    let traits = json!({
        "label": "numbers", "big": 9_007_199_254_740_993_i64, "bigger": i64::MAX, "whole": 1.0, "tiny": 1e-7, "large": 1e21,
        "null": null, "deep": {"null": null}, "list": [null],
    });
    scene.identity("numbers", plain(traits)).await;
    let resource = scene.ready("numbers").await;
    let there = scene.in_kratos(&resource).await.traits.read().unwrap().clone();
    assert_eq!((&there["null"], &there["list"]), (&Value::Null, &json!([null])));
    assert!(there.as_object().is_some_and(|traits| traits.contains_key("null")), "null is a value: {there}");
    assert_eq!(there["bigger"].as_f64(), json!(i64::MAX).as_f64());
    scene.count_from_now();
    scene.request_reconcile("numbers").await;
    assert_eq!(scene.kratos_writes(), 0, "what a server makes of a number is no difference");
}

#[tokio::test]
async fn a_leaf_may_become_an_object_and_an_object_a_leaf() {
    let scene = Scene::settled().await;
    for traits in [json!({"a": 1}), json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": 2}}), json!({"a": [1]})] {
        scene.identity("shape", plain(traits.clone())).await;
        let resource = scene.ready("shape").await;
        assert_eq!(scene.in_kratos(&resource).await.traits, traits);
    }
}

#[tokio::test]
async fn merge_corrects_what_is_owned_and_keeps_what_is_the_users() {
    let scene = Scene::settled().await;
    scene.identity("ada", plain(json!({"label": "ours", "name": {"first": "Ada"}}))).await;
    let ada = scene.ready("ada").await;
    for (path, value) in [
        ("/traits/label", json!("theirs")),
        ("/traits/own", json!({"a": 1})),
        ("/traits/name", json!({"last": "Lovelace"})),
    ] {
        scene.change_in_kratos(&ada, path, value).await;
    }
    scene.request_reconcile("ada").await;
    let expected = json!({"label": "ours", "own": {"a": 1}, "name": {"first": "Ada", "last": "Lovelace"}});
    assert_eq!(scene.in_kratos(&ada).await.traits, expected);

    // A key that leaves the manifest goes; what the user put beside it stays.
    scene.identity("ada", plain(json!({"label": "ours"}))).await;
    scene.ready("ada").await;
    let expected = json!({"label": "ours", "own": {"a": 1}, "name": {"last": "Lovelace"}});
    assert_eq!(scene.in_kratos(&ada).await.traits, expected);
}

#[tokio::test]
async fn exact_removes_what_the_manifest_does_not_name() {
    let scene = Scene::settled().await;
    let spec = |policy: &str| json!({"schemaID": "plain", "traitsPolicy": policy, "traits": {"label": "x"}});
    scene.identity("ada", spec("Merge")).await;
    let ada = scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/traits/extra", json!({"a": [1]})).await;
    scene.identity("ada", spec("Exact")).await;
    scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"label": "x"}));

    scene.change_in_kratos(&ada, "/traits/again", json!(1)).await;
    scene.request_reconcile("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"label": "x"}));
    let told = scene.event(&ada, "DriftCorrected").await;
    assert!(told.ends_with(": /traits"), "the key is a person's: {told}");

    scene.identity("ada", spec("Merge")).await;
    scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/traits/kept", json!(1)).await;
    scene.request_reconcile("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"label": "x", "kept": 1}));
}

#[tokio::test]
async fn create_only_leaves_traits_to_the_user_from_then_on() {
    let scene = Scene::settled().await;
    let spec = |label: &str, policy: &str| json!({"schemaID": "plain", "traitsPolicy": policy, "traits": {"label": label}, "metadataPublic": {"for": label}});
    scene.identity("ada", spec("given", "CreateOnly")).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"label": "given"}));
    scene.change_in_kratos(&ada, "/traits/label", json!("the user's")).await;
    scene.request_reconcile("ada").await;
    scene.identity("ada", spec("changed", "CreateOnly")).await;
    scene.ready("ada").await;
    let identity = scene.in_kratos(&ada).await;
    assert_eq!(identity.traits, json!({"label": "the user's"}));
    assert_eq!(identity.metadata_public, json!({"for": "changed"}));

    // Owned from the switch on, and given back by the next one: left as it is, not removed.
    scene.identity("ada", spec("ours", "Merge")).await;
    scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"label": "ours"}));
    scene.identity("ada", spec("ignored", "CreateOnly")).await;
    scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"label": "ours"}));
}

#[tokio::test]
async fn metadata_is_merged_key_by_key_and_null_says_absent() {
    let scene = Scene::settled().await;
    let spec = |metadata: Value| json!({"schemaID": "plain", "traits": {"label": "m"}, "metadataPublic": metadata, "metadataAdmin": metadata});
    scene.identity("ada", spec(json!({"plan": "gold", "quota": {"disk": 1, "0": 2}, "unset": null}))).await;
    let ada = scene.ready("ada").await;
    let without_mark = |mut admin: Value| {
        assert!(admin.as_object_mut().unwrap().remove("kratos-operator.dev").is_some(), "the mark is there");
        admin
    };
    let both = async |expected: Value| {
        let identity = scene.in_kratos(&ada).await;
        assert_eq!(identity.metadata_public, expected);
        assert_eq!(without_mark(identity.metadata_admin.read().unwrap().clone()), expected);
    };
    both(json!({"plan": "gold", "quota": {"disk": 1, "0": 2}})).await;

    for root in ["/metadata_public", "/metadata_admin"] {
        scene.change_in_kratos(&ada, &format!("{root}/theirs"), json!({"a": 1})).await;
        scene.change_in_kratos(&ada, &format!("{root}/unset"), json!("set")).await;
        scene.change_in_kratos(&ada, &format!("{root}/plan"), json!("silver")).await;
    }
    scene.request_reconcile("ada").await;
    both(json!({"plan": "gold", "quota": {"disk": 1, "0": 2}, "theirs": {"a": 1}})).await;

    scene.identity("ada", spec(json!({"plan": "iron"}))).await;
    scene.ready("ada").await;
    both(json!({"plan": "iron", "theirs": {"a": 1}})).await;

    scene.identity("ada", plain(json!({"label": "m"}))).await;
    scene.ready("ada").await;
    both(json!({"theirs": {"a": 1}})).await;
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0);
}

#[tokio::test]
async fn metadata_that_is_wiped_as_a_whole_comes_back() {
    let scene = Scene::settled().await;
    let spec = json!({"schemaID": "plain", "traits": {}, "metadataPublic": {"plan": "gold"}, "metadataAdmin": {"a": {"b": 1}}});
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    let before = scene.in_kratos(&ada).await;
    for wiped in [json!(null), json!({})] {
        scene.change_in_kratos(&ada, "/metadata_public", wiped.clone()).await;
        scene.change_in_kratos(&ada, "/metadata_admin", wiped).await;
        scene.request_reconcile("ada").await;
        let after = scene.in_kratos(&ada).await;
        assert_eq!(
            (after.metadata_public, after.metadata_admin),
            (before.metadata_public.clone(), before.metadata_admin.clone())
        );
    }
}

#[tokio::test]
async fn inactive_ends_sessions_and_active_does_not_bring_them_back() {
    let scene = Scene::settled().await;
    let spec = json!({"schemaID": "customer", "traits": {"email": "ada@state.example"}, "state": "Active"});
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@state.example").await;

    scene.patch("ada", json!({"spec": {"state": "Inactive"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);
    assert!(!scene.is_logged_in(&token).await);
    assert_eq!(scene.kratos.login("ada@state.example", "correct-horse-battery-4711").await.unwrap(), None);
    // Security staff may undo it in Kratos: the manifest says otherwise.
    scene.change_in_kratos(&ada, "/state", json!("active")).await;
    scene.request_reconcile("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);

    scene.patch("ada", json!({"spec": {"state": "Active"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Active);
    assert!(!scene.is_logged_in(&token).await, "the session was ended for good");
    assert!(scene.kratos.login("ada@state.example", "correct-horse-battery-4711").await.unwrap().is_some());
}

#[tokio::test]
async fn a_state_that_is_not_named_is_left_to_security_staff() {
    let scene = Scene::settled().await;
    scene.identity("ada", plain(json!({"label": "a"}))).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Active);
    scene.change_in_kratos(&ada, "/state", json!("inactive")).await;
    scene.patch("ada", json!({"spec": {"traits": {"label": "b"}}})).await;
    let ada = scene.ready("ada").await;
    let identity = scene.in_kratos(&ada).await;
    assert_eq!((identity.state, &identity.traits.read().unwrap()["label"]), (State::Inactive, &json!("b")));
    let shown = serde_json::to_value(ada.status.and_then(|status| status.state)).unwrap();
    assert_eq!(shown, json!("Inactive"), "seen all the same");

    // A state that leaves the manifest stays as it was.
    scene.patch("ada", json!({"spec": {"state": "Active"}})).await;
    scene.ready("ada").await;
    scene.patch("ada", json!({"spec": {"state": null}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Active);
}

#[tokio::test]
async fn schema_and_traits_change_together_in_one_request() {
    let scene = Scene::settled().await;
    let spec =
        json!({"schemaID": "customer", "traits": {"email": "ada@move.example", "age": 36, "username": "ada-moves"}});
    scene.identity("ada", spec).await;
    let before = scene.ready("ada").await;
    scene.count_from_now();
    let spec = json!({"schemaID": "employee", "traits": {"email": "ada@move.example", "department": "ops"}});
    scene.identity("ada", spec).await;
    let after = scene.ready("ada").await;
    let identity = scene.in_kratos(&after).await;
    assert_eq!(id_of(&before), identity.id);
    assert_eq!(identity.schema_id, "employee");
    assert_eq!(identity.traits, json!({"email": "ada@move.example", "department": "ops"}));
    assert_eq!(after.status.and_then(|status| status.schema_id).as_deref(), Some("employee"));
    assert_eq!((scene.kratos_writes(), scene.kratos_requests()), (1, 2), "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let scene = Scene::settled().await;
    let spec = json!({"schemaID": "customer", "traits": {"email": "Ada@Nothing-new.example", "name": {"first": "Ada"}}, "state": "Active"});
    scene.identity("ada", spec.clone()).await;
    scene.ready("ada").await;
    scene.count_from_now();
    // Said otherwise, meant the same: a new generation, so its status is written and nothing else.
    let mut other = spec.clone();
    other["deletion"] = json!({"policy": "Delete"});
    scene.identity("ada", other).await;
    scene.ready("ada").await;
    assert_eq!((scene.kratos_writes(), scene.kratos_requests()), (0, 1), "{:?}", scene.proxy.counts());
    assert_eq!(scene.kubernetes_writes(), ["PATCH kratosidentities/status"]);

    // The same manifest applied again isn't even reconciled.
    scene.count_from_now();
    let mut other = spec;
    other["deletion"] = json!({"policy": "Delete"});
    scene.identity("ada", other).await;
    scene.settle_again("beside").await;
    assert_eq!(scene.proxy.counts(), [("POST /admin/identities".to_owned(), 1)].into());
    assert_eq!(scene.kubernetes_writes().len(), 2, "those of the other one");
}

#[tokio::test]
async fn a_login_identifier_that_kratos_keeps_although_it_left_the_traits_is_said() {
    let scene = Scene::settled().await;
    let email = format!("ada@{}.example", scene.namespace);
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": email}})).await;
    let ada = scene.ready("ada").await;
    scene.give_password(&ada, "correct-horse-battery-4711").await;
    scene.identity("ada", json!({"schemaID": "plain", "traits": {"label": "ada"}})).await;
    let told = |identity: &KratosIdentity| {
        let told = reason_of(identity, "StaleIdentifiers", "True");
        told.filter(|_| reason_of(identity, "Ready", "True").is_some())
    };
    let ada = scene.until("ada", "it is said that an identifier is stale", told).await;
    assert!(message_of(&ada, "StaleIdentifiers").contains("1 login identifier"), "{ada:?}");
    scene.shows_nowhere(&ada, &email).await;
    let token = scene.kratos.login(&email, "correct-horse-battery-4711").await.expect("Kratos answers");
    assert!(token.is_some(), "what is said is true");
    let asked = scene.request_reconcile("ada").await;
    assert!(told(&asked).is_some(), "it is as true at the next look");
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": format!("new-{email}")}})).await;
    let ada = scene.until("ada", "it is stale no more", |identity| {
        let is_settled = reason_of(identity, "Ready", "True").is_some();
        (is_settled && reason_of(identity, "StaleIdentifiers", "True").is_none()).then_some(())
    });
    ada.await;
    let token = scene.kratos.login(&email, "correct-horse-battery-4711").await.expect("Kratos answers");
    assert!(token.is_none());
}
