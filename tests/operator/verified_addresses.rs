//! Addresses that a manifest says are verified: at creation, when they change, and when somebody undoes it.

use kratos_operator::api::KratosIdentity;
use serde_json::json;

use crate::scene::Scene;

async fn verified(scene: &Scene, resource: &KratosIdentity) -> Vec<(String, bool)> {
    let addresses = scene.in_kratos(resource).await.verifiable_addresses;
    addresses.into_iter().map(|address| (address.value, address.verified)).collect()
}

#[tokio::test]
async fn an_address_comes_out_verified_at_creation_and_stays_so_through_changes() {
    let scene = Scene::settled().await;
    let spec = json!({
        "schemaID": "customer", "traits": {"email": "Ada@Verified.example"}, "verifiedAddresses": ["ada@verified.example"],
    });
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    assert_eq!(verified(&scene, &ada).await, [("ada@verified.example".to_owned(), true)]);
    // Nothing is left to do.
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    // Another address.
    let change = json!({"traits": {"email": "new@verified.example"}, "verifiedAddresses": ["new@verified.example"]});
    scene.patch("ada", json!({ "spec": change })).await;
    let ada = scene.ready("ada").await;
    assert_eq!(verified(&scene, &ada).await, [("new@verified.example".to_owned(), true)]);
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    // Somebody undoes it.
    let mut address = serde_json::to_value(&scene.in_kratos(&ada).await.verifiable_addresses[0]).expect("an address");
    address["verified"] = json!(false);
    address["status"] = json!("pending");
    let undo =
        [kratos_operator::kratos::PatchOperation::Replace { path: "/verifiable_addresses/0".into(), value: address }];
    scene.admin().patch_identity(&crate::scene::id_of(&ada), &undo).await.expect("it is undone");
    assert_eq!(verified(&scene, &ada).await, [("new@verified.example".to_owned(), false)]);
    scene.request_reconcile("ada").await;
    assert_eq!(verified(&scene, &ada).await, [("new@verified.example".to_owned(), true)]);
}

#[tokio::test]
async fn an_address_is_verified_later_and_one_that_is_not_the_identitys_is_refused_by_its_position() {
    let scene = Scene::settled().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@verified-later.example"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(verified(&scene, &ada).await, [("ada@verified-later.example".to_owned(), false)]);
    scene.patch("ada", json!({"spec": {"verifiedAddresses": ["ada@verified-later.example"]}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(verified(&scene, &ada).await, [("ada@verified-later.example".to_owned(), true)]);
    let addresses = ["ada@verified-later.example", "somebody@else.example"];
    scene.patch("ada", json!({"spec": {"verifiedAddresses": addresses}})).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("verifiedAddresses[1]"), "{message}");
    scene.shows_nowhere(&ada, "somebody@else.example").await;
}
