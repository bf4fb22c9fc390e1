//! The engine against the real Kratos, with no control plane at all: what it needs of a cluster it has in memory. Nothing in
//! here tests events, queues or writes to Kubernetes; the operator's tests do.

#[path = "../testenv/mod.rs"]
mod testenv;

mod place;

use kratos_operator::api::Reason;
use kratos_operator::kratos::{CreateIdentity, State, VerifiedAddressImport};
use serde_json::json;

use crate::place::{PASSWORD, Scene, email};

#[tokio::test]
async fn what_a_manifest_says_is_made_and_changed_and_deleted() {
    let scene = Scene::new().await;
    let (before, after) = (email("ada"), email("ada.new"));
    scene
        .apply("ada", json!({"schemaID": "customer", "traits": {"email": before}, "metadataPublic": {"plan": "gold"}}));
    assert_eq!(scene.reconcile("ada").await.expect("it is made"), Reason::Reconciled);
    let id = scene.id_of("ada");
    let identity = scene.read(&id).await.expect("it is there");
    assert_eq!(identity.traits, json!({"email": before}));
    assert_eq!(identity.metadata_public, json!({"plan": "gold"}));
    assert_eq!(scene.happened("ada"), ["IdentityCreated"]);

    scene.apply("ada", json!({"schemaID": "customer", "traits": {"email": after}, "state": "Inactive"}));
    assert_eq!(scene.reconcile("ada").await.expect("it is changed"), Reason::Reconciled);
    assert_eq!(scene.id_of("ada"), id, "it is the same identity");
    let identity = scene.read(&id).await.expect("it is there");
    assert_eq!(identity.traits, json!({"email": after}));
    assert_eq!(identity.state, State::Inactive);
    assert_ne!(identity.metadata_public, json!({"plan": "gold"}), "what was owned is removed");

    scene.delete("ada").await;
    assert!(scene.read(&id).await.is_none());
}

#[tokio::test]
async fn of_two_that_want_the_same_identifier_the_second_is_refused_and_nothing_of_the_first_is_touched() {
    let scene = Scene::new().await;
    let wanted = json!({"schemaID": "customer", "traits": {"email": email("shared")}});
    scene.apply("first", wanted.clone());
    assert_eq!(scene.reconcile("first").await.expect("it is made"), Reason::Reconciled);
    let before = scene.read(&scene.id_of("first")).await;
    scene.apply("second", wanted);
    assert_eq!(scene.reconcile("second").await.expect_err("somebody has it"), Reason::IdentityConflict);
    assert_eq!(scene.read(&scene.id_of("first")).await, before);
    // Once it is gone there is nobody in the way.
    scene.delete("first").await;
    assert_eq!(scene.reconcile("second").await.expect("it is made"), Reason::Reconciled);
}

#[tokio::test]
async fn who_is_there_already_is_taken_over_where_the_manifest_says_so_and_stays_when_the_resource_goes() {
    let scene = Scene::new().await;
    let email = email("grace");
    let create = CreateIdentity {
        schema_id: "customer".to_owned(),
        traits: json!({"email": email}),
        // By an identifier only those are adopted whose address is verified: anybody may have registered another one.
        verifiable_addresses: vec![VerifiedAddressImport::verified_email(email.as_str())],
        ..CreateIdentity::default()
    };
    let there = scene.kratos().create_identity(&create).await.expect("an identity");
    scene.apply("grace", json!({"schemaID": "customer", "traits": {"email": email}}));
    assert_eq!(scene.reconcile("grace").await.expect_err("it is nobody's"), Reason::IdentityConflict);
    let adoption = json!({"policy": "IfUnowned", "identifier": email});
    scene.apply("grace", json!({"schemaID": "customer", "traits": {"email": email}, "adoption": adoption}));
    assert_eq!(scene.reconcile("grace").await.expect("it is taken over"), Reason::Reconciled);
    assert_eq!(scene.id_of("grace"), there.id);
    scene.delete("grace").await;
    assert!(scene.read(&there.id).await.is_some());
}

#[tokio::test]
async fn a_policy_ends_the_sessions_of_those_whom_it_selects() {
    let scene = Scene::new().await;
    let (ada, bob) = (email("ada"), email("bob"));
    for (name, email, team) in [("ada", &ada, "ops"), ("bob", &bob, "sales")] {
        scene.add_password(name);
        let password = json!({"secretKeyRef": {"name": name, "key": "password"}});
        let spec = json!({"schemaID": "customer", "traits": {"email": email}, "credentials": {"password": password}});
        scene.apply_with(name, spec, &[("team", team)]);
        assert_eq!(scene.reconcile(name).await.expect("it is made"), Reason::Reconciled);
    }
    let ada = scene.log_in(&ada, PASSWORD).await;
    let bob = scene.log_in(&bob, PASSWORD).await;
    let selected = json!({"selector": {"matchLabels": {"team": "ops"}}});
    let everything = json!([{"name": "everything", "expression": "true", "action": "Revoke"}]);
    let condition = scene.run(json!({"identities": selected, "rules": everything})).await;
    assert_eq!(condition.expect("it runs"), Reason::Reconciled);
    assert!(!scene.is_logged_in(&ada).await, "ada's are ended");
    assert!(scene.is_logged_in(&bob).await, "bob's aren't");
}
