//! People change their own addresses. Their identities stay theirs when their resources come again, and nobody inherits them.

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::KratosIdentity;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::scene::{Scene, id_of};

fn customer(email: &str, changes: Value) -> Value {
    let mut spec = json!({"schemaID": "customer", "traits": {"email": email}, "traitsPolicy": "CreateOnly"});
    crate::scene::merge(&mut spec, changes);
    spec
}

/// A person who has changed her own address since she was made.
async fn changed(scene: &Scene, name: &str, manifest: &Value, email: &str) -> KratosIdentity {
    scene.identity(name, manifest.clone()).await;
    let resource = scene.ready(name).await;
    scene.change_in_kratos(&resource, "/traits/email", json!(email)).await;
    resource
}

async fn comes_again(scene: &Scene, name: &str, manifest: Value) -> KratosIdentity {
    scene.delete(name).await;
    scene.gone(name).await;
    scene.identity(name, manifest).await;
    scene.ready(name).await
}

#[tokio::test]
async fn whoever_changed_her_address_keeps_her_identity_through_a_deletion_with_a_grace_period_and_an_orphan() {
    let scene = Scene::settled().await;
    for (name, deletion) in [("grace", json!({"gracePeriod": "1h"})), ("orphan", json!({"policy": "Orphan"}))] {
        let manifest = customer(&format!("{name}@given.example"), json!({ "deletion": deletion }));
        let before = changed(&scene, name, &manifest, &format!("{name}@chosen.example")).await;
        let again = comes_again(&scene, name, manifest).await;
        assert_eq!(id_of(&again), id_of(&before), "{name}");
        let traits = scene.in_kratos(&again).await.traits.read().unwrap().clone();
        assert_eq!(traits["email"], format!("{name}@chosen.example"), "what she chose stays");
    }
    assert_eq!(scene.proxy.count("POST /admin/identities"), 2, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn the_manifest_that_counts_is_the_one_that_was_applied_last() {
    let scene = Scene::settled().await;
    let deletion = json!({"deletion": {"policy": "Orphan"}});
    let before = changed(&scene, "ada", &customer("ada@first.example", deletion.clone()), "ada@hers.example").await;
    // Under CreateOnly her address is hers; what is asked for is noted all the same.
    let second = customer("ada@second.example", deletion.clone());
    scene.identity("ada", second.clone()).await;
    scene.ready("ada").await;
    let again = comes_again(&scene, "ada", second).await;
    assert_eq!(id_of(&again), id_of(&before));
    // Whoever asks for what was asked for once is another person by now.
    let another = comes_again(&scene, "ada", customer("ada@first.example", deletion)).await;
    assert_ne!(id_of(&another), id_of(&before));
}

#[tokio::test]
async fn a_new_person_of_the_name_gets_an_identity_of_their_own() {
    let scene = Scene::settled().await;
    let deletion = json!({"deletion": {"policy": "Orphan"}});
    let before = changed(
        &scene,
        "ada",
        &customer("ada@first-of-the-name.example", deletion.clone()),
        "ada@her-own-choice.example",
    )
    .await;
    let another = comes_again(&scene, "ada", customer("ada@second-of-the-name.example", deletion)).await;
    assert_ne!(id_of(&another), id_of(&before));
}

#[tokio::test]
async fn where_the_key_is_another_one_nobody_is_made_twice_and_the_message_says_what_lacks() {
    let mut scene = Scene::own().await.with_instance().await;
    let manifest = customer("ada@key.example", json!({"deletion": {"policy": "Orphan"}}));
    let before = changed(&scene, "ada", &manifest, "ada@her-own.example").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    let keys = Api::<Secret>::namespaced(scene.client.clone(), crate::scene::OPERATORS);
    keys.delete("kratos-operator-key", &DeleteParams::default()).await.expect("it can be deleted");
    scene.operator().restart().expect("it starts");
    scene.identity("ada", manifest.clone()).await;
    let message = scene.stalled("ada", "IdentityConflict").await;
    assert!(message.contains("kratos-operator-key") && !message.contains("example"), "{message}");
    assert_eq!(scene.ours().await.len(), 1, "none is made");

    // Whoever knows whose it is may say so.
    let mut by_id = manifest.clone();
    crate::scene::merge(&mut by_id, json!({"adoption": {"policy": "IfUnowned", "identityID": id_of(&before)}}));
    scene.identity("ada", by_id).await;
    assert_eq!(id_of(&scene.ready("ada").await), id_of(&before));
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn with_the_key_that_was_backed_up_she_is_known() {
    let mut scene = Scene::own().await.with_instance().await;
    let manifest = customer("ada@backup.example", json!({"deletion": {"policy": "Orphan"}}));
    let before = changed(&scene, "ada", &manifest, "ada@her-choice.example").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    let keys = Api::<Secret>::namespaced(scene.client.clone(), crate::scene::OPERATORS);
    let key = keys.get("kratos-operator-key").await.expect("the key is there");
    keys.delete("kratos-operator-key", &DeleteParams::default()).await.expect("it can be deleted");
    scene.operator().restart().expect("it starts");
    scene.identity("ada", manifest).await;
    scene.stalled("ada", "IdentityConflict").await;
    keys.delete("kratos-operator-key", &DeleteParams::default()).await.expect("it can be deleted");
    let backup = Secret {
        metadata: kube::api::ObjectMeta { name: key.metadata.name, ..Default::default() },
        data: key.data,
        ..Secret::default()
    };
    keys.create(&PostParams::default(), &backup).await.expect("it is restored");
    scene.operator().restart().expect("it starts");
    assert_eq!(id_of(&scene.ready("ada").await), id_of(&before));
}
