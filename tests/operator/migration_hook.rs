//! Passwords that another system still knows: the mark for Kratos' migration hook is sent once, and what a login puts in its
//! place stays.

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::CredentialType;
use serde_json::{Value, json};

use crate::actions::done;
use crate::scene::{Scene, id_of};

const PUT: &str = "PUT /admin/identities/{id}";
const OWN: &str = "chosen-by-ada-herself-4713";

fn email(scene: &Scene) -> String {
    format!("ada@{}.example", scene.namespace)
}

fn ada(scene: &Scene, credentials: &Value) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email(scene)}, "credentials": credentials})
}

fn migrated() -> Value {
    json!({"password": {"format": "MigrationHook"}})
}

/// Whether the hook is to be asked, and whether there is a hash.
async fn held(scene: &Scene, resource: &KratosIdentity) -> (bool, bool) {
    let found =
        scene.admin().get_identity(&id_of(resource), &[CredentialType::Password]).await.expect("Kratos answers");
    let config = found.expect("it is there").credentials.remove("password").unwrap_or_default().config;
    let config = config.read().unwrap().clone();
    let has_hash = config["hashed_password"].as_str().is_some_and(|hash| !hash.is_empty());
    (config["use_password_migration_hook"] == json!(true), has_hash)
}

#[tokio::test]
async fn it_is_sent_at_creation_and_by_the_action_and_what_a_login_makes_of_it_stays() {
    let scene = Scene::settled().await;
    scene.identity("ada", ada(&scene, &migrated())).await;
    let resource = scene.ready("ada").await;
    assert_eq!(held(&scene, &resource).await, (true, false));
    // As a login does it, once the other system knew the password.
    scene.give_password(&resource, OWN).await;
    assert_eq!(held(&scene, &resource).await, (false, true));
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    scene.patch("ada", json!({"spec": {"metadataPublic": {"plan": "gold"}}})).await;
    scene.ready("ada").await;
    assert_eq!(scene.proxy.count(PUT), 0, "{:?}", scene.proxy.counts());
    assert_eq!(held(&scene, &resource).await, (false, true));
    let session = scene.kratos.login(&email(&scene), OWN).await.unwrap().expect("the password holds");

    scene.patch("ada", json!({"spec": {"actions": {"setPassword": {"token": "again"}}}})).await;
    let resource = done(&scene, "ada", "setPassword", "again").await;
    assert_eq!(held(&scene, &resource).await, (true, false));
    assert!(!scene.is_logged_in(&session).await, "a changed way in ends the sessions");
    scene.give_password(&resource, OWN).await;
    scene.request_reconcile("ada").await;
    assert_eq!(held(&scene, &resource).await, (false, true), "once a token");
}

#[tokio::test]
async fn it_is_not_sent_to_who_has_a_password_and_a_password_given_later_takes_its_place() {
    let scene = Scene::settled().await;
    crate::passwords::put_secret(&scene, &[("password", crate::passwords::FIRST.as_bytes())]).await;
    let given = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
    scene.identity("ada", ada(&scene, &given)).await;
    let resource = scene.ready("ada").await;
    scene.identity("ada", ada(&scene, &migrated())).await;
    scene.ready("ada").await;
    assert_eq!(held(&scene, &resource).await, (false, true), "it would be erased");
    // Whose password the manifest never gave.
    let mut bob = ada(&scene, &migrated());
    bob["traits"]["email"] = json!(format!("bob@{}.example", scene.namespace));
    scene.identity("bob", bob.clone()).await;
    let resource = scene.ready("bob").await;
    bob["credentials"] = given;
    scene.identity("bob", bob).await;
    scene.ready("bob").await;
    assert_eq!(held(&scene, &resource).await, (false, true));
}

#[tokio::test]
async fn a_hook_that_others_set_outlives_whatever_else_is_written() {
    let scene = Scene::settled().await;
    scene.identity("ada", ada(&scene, &json!({}))).await;
    let resource = scene.ready("ada").await;
    let there = scene.in_kratos(&resource).await;
    let body = json!({
        "schema_id": "customer", "traits": there.traits, "state": "active", "metadata_admin": there.metadata_admin,
        "credentials": {"password": {"config": {"use_password_migration_hook": true}}},
    });
    let path = format!("admin/identities/{}", there.id);
    let (status, answer) = scene.kratos.raw(reqwest::Method::PUT, &path, &body).await.unwrap();
    assert!(status.is_success(), "{answer}");
    let links = json!({"oidc": [{"provider": "google", "subject": format!("ada-{}", scene.namespace)}]});
    scene.identity("ada", ada(&scene, &links)).await;
    scene.ready("ada").await;
    assert_eq!(scene.proxy.count(PUT), 1, "{:?}", scene.proxy.counts());
    scene.patch("ada", json!({"spec": {"actions": {"rewrite": {"token": "one"}}, "traits": {"age": 36}}})).await;
    scene.ready("ada").await;
    assert_eq!(scene.proxy.count(PUT), 2);
    assert_eq!(held(&scene, &resource).await, (true, false));
}
