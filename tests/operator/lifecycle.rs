//! An identity's life: created, kept as the manifest says, deleted as the manifest says.

use kratos_operator::kratos::{PatchOperation, State};
use serde_json::json;

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

#[tokio::test]
async fn a_manifest_becomes_an_identity_with_one_request_and_two_writes() {
    let scene = Scene::shared().await.with_instance().await;
    // The first identity also has the instance's finalizer written and waits for the first listing.
    scene.identity("first", json!({"schemaID": "customer", "traits": {"email": "first@life.example"}})).await;
    scene.ready("first").await;
    scene.count_from_now();

    let spec = json!({
        "schemaID": "customer",
        "traits": {"email": "Ada@life.example", "name": {"first": "Ada"}},
        "metadataPublic": {"plan": "gold"},
        "metadataAdmin": {"costCenter": "42"},
    });
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    let identity = scene.in_kratos(&ada).await;

    assert_eq!(identity.traits, json!({"email": "Ada@life.example", "name": {"first": "Ada"}}));
    assert_eq!(identity.metadata_public, json!({"plan": "gold"}));
    assert_eq!(identity.metadata_admin.read().unwrap()["costCenter"], "42");
    assert_eq!(identity.state, State::Active);
    let mark = &identity.metadata_admin.read().unwrap()["kratos-operator.dev"];
    assert_eq!((&mark["namespace"], &mark["name"]), (&json!(scene.namespace), &json!("ada")));
    assert_eq!(mark["uid"], json!(ada.metadata.uid));
    let expected = ["/metadata_admin/costCenter", "/metadata_public/plan", "/traits/email", "/traits/name/first"];
    assert_eq!(ada.status.as_ref().map(|status| status.owned_paths.clone()).unwrap_or_default(), expected);

    assert_eq!(scene.proxy.counts(), [("POST /admin/identities".to_owned(), 1)].into());
    let mut writes = scene.kubernetes_writes();
    writes.sort();
    assert_eq!(writes, ["PATCH kratosidentities", "PATCH kratosidentities/status"]);
}

#[tokio::test]
async fn a_changed_manifest_is_one_read_one_write_and_one_status() {
    let scene = Scene::shared().await.with_instance().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@change.example", "age": 36}})).await;
    let before = scene.ready("ada").await;
    scene.count_from_now();

    scene.patch("ada", json!({"spec": {"traits": {"age": 37}, "state": "Inactive"}})).await;
    let after = scene.ready("ada").await;
    let identity = scene.in_kratos(&after).await;
    assert_eq!(id_of(&before), id_of(&after));
    assert_eq!((identity.traits.read().unwrap()["age"].clone(), identity.state), (json!(37), State::Inactive));
    assert_eq!(scene.proxy.count("PATCH /admin/identities/{id}"), 1, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kubernetes_writes(), ["PATCH kratosidentities/status"]);
}

#[tokio::test]
async fn a_deleted_manifest_deletes_the_identity() {
    let scene = Scene::shared().await.with_instance().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@delete.example"}})).await;
    let ada = scene.ready("ada").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    let found = scene.admin().get_identity(&id_of(&ada), &[]).await.expect("Kratos answers");
    assert!(found.is_none());
}

#[tokio::test]
async fn an_identity_that_is_deleted_behind_its_back_is_created_again() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@again.example"}})).await;
    let before = id_of(&scene.ready("ada").await);
    scene.admin().delete_identity(&before).await.expect("it is deleted");
    let after = scene.until("ada", "another identity", |ada| (id_of(ada) != before).then_some(())).await;
    assert_eq!(scene.in_kratos(&after).await.traits.read().unwrap()["email"], "ada@again.example");
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn drift_of_what_is_owned_is_corrected_and_the_users_own_changes_are_kept() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@drift.example", "age": 36}})).await;
    let ada = scene.ready("ada").await;
    let set = |path: &str, value| PatchOperation::Add { path: path.into(), value };
    let changes = [set("/traits/age", json!(99)), set("/traits/newsletter", json!(true))];
    scene.admin().patch_identity(&id_of(&ada), &changes).await.expect("it is changed");
    let corrected = eventually("the age is corrected", WITHIN, async || {
        let identity = scene.in_kratos(&ada).await;
        (identity.traits.read().unwrap()["age"] == 36).then_some(identity)
    });
    let corrected = corrected.await.expect("drift is corrected");
    assert_eq!(corrected.traits.read().unwrap()["newsletter"], true);
}

#[tokio::test]
async fn a_deactivation_that_a_write_under_way_undoes_is_done_again() {
    let scene = Scene::settled().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@undone-once.example"}})).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@undone-once.example").await;
    let ends = scene.proxy.on("DELETE /admin/identities/{id}/sessions").once().hold();
    scene.patch("ada", json!({"spec": {"state": "Inactive"}})).await;
    ends.held().await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);
    // As a user's own request does that was under way: it writes the whole identity back as it was.
    scene.change_in_kratos(&ada, "/state", json!("active")).await;
    ends.release();
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);
    assert!(!scene.is_logged_in(&token).await);
}
