//! Whose identity is it? The mark decides: no resource touches, takes or learns of an identity of another one.

use k8s_openapi::api::core::v1::Namespace;
use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::Identity;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

const MARK: &str = "kratos-operator.dev";

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}})
}

fn orphan(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}, "deletion": {"policy": "Orphan"}})
}

/// A scene whose instance admits every namespace, and another namespace.
async fn with_tenant() -> (Scene, String) {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    (scene, tenant)
}

async fn by_id(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

/// Makes an identity in Kratos without a resource.
async fn planted(scene: &Scene, email: &str, metadata_admin: Value) -> Identity {
    let body = json!({"schema_id": "customer", "traits": {"email": email}, "metadata_admin": metadata_admin});
    let (_, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.expect("Kratos answers");
    by_id(scene, made["id"].as_str().expect("it is made")).await.expect("it is there")
}

async fn forge_status(scene: &Scene, namespace: &str, name: &str, id: &str) {
    let patch = Patch::Merge(json!({"status": {"identityID": id}}));
    let api = scene.identities_in(namespace);
    api.patch_status(name, &PatchParams::default(), &patch).await.expect("whoever may write status may");
}

async fn delete_in(scene: &Scene, namespace: &str, name: &str) {
    let api = scene.identities_in(namespace);
    api.delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(namespace, name).await;
}

/// The mark of a resource, with changes.
fn mark_of(identity: &Identity, changes: Value) -> Value {
    let mut mark = identity.metadata_admin.read().unwrap()[MARK].clone();
    crate::scene::merge(&mut mark, changes);
    json!({ MARK: mark })
}

#[tokio::test]
async fn a_second_resource_is_told_whose_the_identity_is_only_within_its_namespace() {
    let (scene, tenant) = with_tenant().await;
    scene.identity("ada-the-first", customer("ada@twice.example")).await;
    let first = scene.in_kratos(&scene.ready("ada-the-first").await).await;

    scene.identity("second", customer("ada@twice.example")).await;
    let message = scene.stalled("second", "IdentityConflict").await;
    assert!(message.contains("ada-the-first"), "{message}");
    scene.stays_refused("second", "IdentityConflict").await;

    scene.identity_in(&tenant, "ada-the-first", customer("ada@twice.example")).await;
    let elsewhere = scene.stalled_in(&tenant, "ada-the-first", "IdentityConflict").await;
    assert!(!elsewhere.contains("ada") && !elsewhere.contains(&first.id), "{elsewhere}");
    // The same words as about an identity that no resource manages: there is no telling which it is.
    planted(&scene, "unmanaged@twice.example", Value::Null).await;
    scene.identity_in(&tenant, "guess", customer("unmanaged@twice.example")).await;
    assert_eq!(scene.stalled_in(&tenant, "guess", "IdentityConflict").await, elsewhere);

    // Neither of the refused ones takes it away when it goes.
    scene.delete("second").await;
    scene.gone("second").await;
    delete_in(&scene, &tenant, "ada-the-first").await;
    assert_eq!(by_id(&scene, &first.id).await, Some(first));
}

#[tokio::test]
async fn a_new_person_under_an_old_name_gets_an_identity_of_their_own() {
    let scene = Scene::settled().await;
    scene.identity("newhire", orphan("old@name.example")).await;
    let old = scene.in_kratos(&scene.ready("newhire").await).await;
    scene.delete("newhire").await;
    scene.gone("newhire").await;
    scene.identity("newhire", customer("new@name.example")).await;
    let newhire = scene.ready("newhire").await;
    assert_ne!(id_of(&newhire), old.id);
    assert_eq!(by_id(&scene, &old.id).await.as_ref(), Some(&old), "the old one is as it was");
    scene.delete("newhire").await;
    scene.gone("newhire").await;
    assert_eq!(by_id(&scene, &old.id).await, Some(old), "and stays when the new one goes");
    assert!(by_id(&scene, &id_of(&newhire)).await.is_none());
}

#[tokio::test]
async fn the_same_person_under_the_old_name_takes_the_identity_back() {
    let scene = Scene::settled().await;
    scene.identity("ada", orphan("ada@back.example")).await;
    let before = scene.ready("ada").await;
    let token = scene.logged_in(&before, "ada@back.example").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    let mut spec = customer("Ada@back.example ");
    spec["traits"]["email"] = json!("Ada@back.example");
    spec["metadataPublic"] = json!({"plan": "gold"});
    scene.identity("ada", spec).await;
    let after = scene.ready("ada").await;
    assert_eq!(id_of(&after), id_of(&before));
    let identity = scene.in_kratos(&after).await;
    assert_eq!(identity.metadata_admin.read().unwrap()[MARK]["uid"], json!(after.metadata.uid));
    assert_eq!(identity.metadata_public, json!({"plan": "gold"}));
    assert_eq!(
        scene.ours().await.iter().filter(|ours| ours.metadata_admin.read().unwrap()[MARK]["name"] == "ada").count(),
        1
    );
    assert!(scene.is_logged_in(&token).await, "nobody is logged out by it");
}

#[tokio::test]
async fn an_identity_without_identifiers_is_taken_back_by_its_name() {
    let scene = Scene::settled().await;
    let spec = |label: &str| json!({"schemaID": "plain", "traits": {"label": label}, "deletion": {"policy": "Orphan"}});
    scene.identity("robot", spec("one")).await;
    let before = scene.ready("robot").await;
    scene.delete("robot").await;
    scene.gone("robot").await;
    scene.identity("robot", spec("two")).await;
    let after = scene.ready("robot").await;
    assert_eq!(id_of(&after), id_of(&before));
    assert_eq!(scene.in_kratos(&after).await.traits.read().unwrap()["label"], "two");
}

#[tokio::test]
async fn a_mark_that_was_wiped_is_written_again_where_this_process_saw_it() {
    let (scene, tenant) = with_tenant().await;
    scene.identity("ada", customer("ada@wiped.example")).await;
    scene.identity_in(&tenant, "grace", customer("grace@wiped.example")).await;
    let here = scene.ready("ada").await;
    let there = scene.ready_in(&tenant, "grace").await;
    for (resource, namespace) in [(&here, &scene.namespace), (&there, &tenant)] {
        let before = scene.in_kratos(resource).await;
        for wiped in [Value::Null, json!({"other": 1})] {
            scene.change_in_kratos(resource, "/metadata_admin", wiped).await;
            let name = resource.metadata.name.as_deref().unwrap();
            scene.request_reconcile_in(namespace, name).await;
            let after = scene.ready_in(namespace, name).await;
            assert_eq!(id_of(&after), before.id);
            assert_eq!(
                scene.in_kratos(&after).await.metadata_admin.read().unwrap()[MARK],
                before.metadata_admin.read().unwrap()[MARK]
            );
        }
    }
}

#[tokio::test]
async fn a_mark_wiped_while_nobody_looked_is_written_again_beside_the_instance_alone() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity("ada", customer("ada@restart.example")).await;
    scene.identity_in(&tenant, "grace", customer("grace@restart.example")).await;
    let (here, there) = (scene.ready("ada").await, scene.ready_in(&tenant, "grace").await);
    scene.operator().kill();
    for resource in [&here, &there] {
        scene.change_in_kratos(resource, "/metadata_admin", Value::Null).await;
    }
    scene.operator().restart().expect("it starts");
    scene.stalled_in(&tenant, "grace", "IdentityConflict").await;
    let wiped = scene.in_kratos(&there).await;
    assert_eq!(wiped.metadata_admin, Value::Null, "nothing was written");
    scene.request_reconcile("ada").await;
    assert_eq!(id_of(&scene.ready("ada").await), id_of(&here));
    assert_eq!(scene.in_kratos(&here).await.metadata_admin.read().unwrap()[MARK]["uid"], json!(here.metadata.uid));
    // What isn't known to be its own isn't deleted with it.
    delete_in(&scene, &tenant, "grace").await;
    assert_eq!(by_id(&scene, &wiped.id).await, Some(wiped));
}

/// Whether a resource of another namespace whose status was forged leaves the identity alone, alive and deleted.
async fn gains_nothing(scene: &Scene, tenant: &str, name: &str, identity: &Identity, spec: Value) {
    // Refused at first, so that the status names nothing of its own.
    let mut invalid = spec.clone();
    invalid["schemaID"] = json!("nowhere");
    scene.identity_in(tenant, name, invalid).await;
    scene.stalled_in(tenant, name, "SchemaNotFound").await;
    forge_status(scene, tenant, name, &identity.id).await;
    scene.identity_in(tenant, name, spec).await;
    scene.stalled_in(tenant, name, "IdentityConflict").await;
    assert_eq!(by_id(scene, &identity.id).await.as_ref(), Some(identity));
    delete_in(scene, tenant, name).await;
    assert_eq!(by_id(scene, &identity.id).await.as_ref(), Some(identity));
}

#[tokio::test]
async fn a_forged_status_authorises_nothing() {
    let (scene, tenant) = with_tenant().await;
    let unmarked = planted(&scene, "unmarked@forged-status.example", json!({"theirs": 1})).await;
    gains_nothing(&scene, &tenant, "to-unmarked", &unmarked, customer("a@forged-status.example")).await;

    scene.identity("ada", customer("ada@forged-status.example")).await;
    let ada = scene.in_kratos(&scene.ready("ada").await).await;
    gains_nothing(&scene, &tenant, "ada", &ada, customer("b@forged-status.example")).await;
    gains_nothing(&scene, &scene.namespace, "neighbour", &ada, customer("c@forged-status.example")).await;

    // One that has an identity keeps to it, and is not led to the other.
    scene.identity_in(&tenant, "grace", customer("grace@forged-status.example")).await;
    let grace = scene.ready_in(&tenant, "grace").await;
    forge_status(&scene, &tenant, "grace", &ada.id).await;
    let asked = scene.request_reconcile_in(&tenant, "grace").await;
    assert_eq!(id_of(&asked), id_of(&grace));
    forge_status(&scene, &tenant, "grace", &ada.id).await;
    delete_in(&scene, &tenant, "grace").await;
    assert_eq!(by_id(&scene, &ada.id).await, Some(ada));
    assert!(by_id(&scene, &id_of(&grace)).await.is_none(), "its own is deleted");
}

#[tokio::test]
async fn resources_of_one_name_in_two_namespaces_have_an_identity_each() {
    let (scene, tenant) = with_tenant().await;
    scene.identity("ada", customer("ada@one.example")).await;
    scene.identity_in(&tenant, "ada", customer("ada@two.example")).await;
    let here = scene.ready("ada").await;
    let there = scene.ready_in(&tenant, "ada").await;
    assert_ne!(id_of(&here), id_of(&there));
    delete_in(&scene, &tenant, "ada").await;
    assert!(by_id(&scene, &id_of(&there)).await.is_none());
    assert!(by_id(&scene, &id_of(&here)).await.is_some());
}

#[tokio::test]
async fn a_namespace_made_anew_under_its_old_name_inherits_nothing() {
    let (scene, tenant) = with_tenant().await;
    scene.identity_in(&tenant, "ada", orphan("ada@anew.example")).await;
    let old = scene.in_kratos(&scene.ready_in(&tenant, "ada").await).await;
    delete_in(&scene, &tenant, "ada").await;
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces.delete(&tenant, &DeleteParams::default()).await.expect("it can be deleted");
    let gone = eventually("the namespace is gone", WITHIN, async || {
        matches!(namespaces.get_opt(&tenant).await, Ok(None)).then_some(())
    });
    gone.await.expect("it goes");
    scene.make_namespace(&tenant, &[]).await;
    scene.identity_in(&tenant, "ada", customer("ada@anew.example")).await;
    let message = scene.stalled_in(&tenant, "ada", "IdentityConflict").await;
    assert!(!message.contains("KratosIdentity ada"), "{message}");
    delete_in(&scene, &tenant, "ada").await;
    assert_eq!(by_id(&scene, &old.id).await, Some(old));
}

#[tokio::test]
async fn marks_of_other_owners_clusters_and_forms_are_respected() {
    let scene = Scene::settled().await;
    scene.identity("model", customer("model@marks.example")).await;
    let model = scene.in_kratos(&scene.ready("model").await).await;
    let marks = [
        ("owner", mark_of(&model, json!({"owner": "another", "name": "owner"}))),
        ("cluster", mark_of(&model, json!({"cluster": "another", "name": "cluster"}))),
        ("namespace-uid", mark_of(&model, json!({"namespaceUID": "another", "name": "namespace-uid"}))),
        ("unreadable", json!({ MARK: "what no version writes" })),
    ];
    for (name, mark) in marks {
        let email = format!("{name}@marks.example");
        let theirs = planted(&scene, &email, mark).await;
        scene.identity(name, customer(&email)).await;
        scene.stalled(name, "IdentityConflict").await;
        scene.delete(name).await;
        scene.gone(name).await;
        assert_eq!(by_id(&scene, &theirs.id).await, Some(theirs));
    }
    let is_there = |found: Option<KratosIdentity>| found.is_some();
    assert!(is_there(scene.identities().get_opt("model").await.unwrap()));
}
