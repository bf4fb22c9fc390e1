//! Login identifiers and addresses that Kratos writes down otherwise than people do: none of them is taken for another one.

use kratos_operator::api::{KratosIdentity, condition};
use serde_json::{Value, json};

use crate::adoption::read;
use crate::scene::{Scene, id_of};

/// Ten digits of a number that no other test has.
fn digits() -> String {
    format!("415{}{:06}", rand::random_range(2..=9), rand::random_range(0..1_000_000))
}

fn with_brackets(digits: &str) -> String {
    format!("+1 ({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..])
}

fn in_e164(digits: &str) -> String {
    format!("+1{digits}")
}

fn has_stale(resource: &KratosIdentity) -> bool {
    let status = resource.status.as_ref().expect("a status");
    condition::is_true(&status.conditions, condition::STALE_IDENTIFIERS)
}

async fn verified(scene: &Scene, resource: &KratosIdentity) -> Vec<bool> {
    scene.in_kratos(resource).await.verifiable_addresses.into_iter().map(|address| address.verified).collect()
}

#[tokio::test]
async fn what_is_written_in_another_way_is_neither_stale_nor_unverified() {
    let scene = Scene::settled().await;
    let phone = with_brackets(&digits());
    let email = format!("İda.ΣΑΣ@{}.example", scene.namespace);
    let traits = json!({"phone": phone, "name": rand::random_range(1..u32::MAX), "email": email});
    let spec = json!({"schemaID": "phone", "traits": traits, "verifiedAddresses": [phone, email]});
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    assert!(!has_stale(&ada));
    assert_eq!(verified(&scene, &ada).await, [true, true]);
    // Looked at again, and changed: it stays so, and nothing is written that isn't to be.
    scene.count_from_now();
    let ada = scene.request_reconcile("ada").await;
    assert!(!has_stale(&ada));
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    scene.patch("ada", json!({"spec": {"metadataPublic": {"plan": "gold"}}})).await;
    let ada = scene.ready("ada").await;
    assert!(!has_stale(&ada));
    assert_eq!(verified(&scene, &ada).await, [true, true]);
    // One that has left the traits is stale still.
    let change = json!({"traits": {"phone": null, "name": null}, "verifiedAddresses": [email]});
    scene.patch("ada", json!({ "spec": change })).await;
    let ada = scene.ready("ada").await;
    assert!(has_stale(&ada), "no other one gets codes");
}

#[tokio::test]
async fn an_identity_is_taken_over_by_each_form_of_its_phone_number() {
    let scene = Scene::settled().await;
    let forms: [fn(&str) -> String; 2] = [with_brackets, in_e164];
    for form in forms {
        let digits = digits();
        let phone = with_brackets(&digits);
        let address = json!({"value": phone, "via": "sms", "verified": true, "status": "completed"});
        let body = json!({"schema_id": "phone", "traits": {"phone": phone}, "verifiable_addresses": [address]});
        let (_, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.unwrap();
        let adoption = json!({"policy": "IfUnowned", "identifier": form(&digits)});
        let name = format!("ada-{digits}");
        scene.identity(&name, json!({"schemaID": "phone", "adoption": adoption})).await;
        assert_eq!(id_of(&scene.ready(&name).await), made["id"]);
    }
}

async fn planted(scene: &Scene, traits: Value) -> String {
    let body = json!({"schema_id": "phone", "traits": traits});
    let (_, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.unwrap();
    made["id"].as_str().expect("it is made").to_owned()
}

fn by_name(name: &str, accept: bool) -> Value {
    json!({"schemaID": "phone", "adoption": {"policy": "IfUnowned", "identifier": name, "acceptUnverified": accept}})
}

#[tokio::test]
async fn an_identity_is_taken_over_by_a_name_beside_the_instance_and_where_that_is_accepted_alone() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "adoptionFrom": "Allowed"})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let name = format!("Ada.{}", scene.namespace);
    let id = planted(&scene, json!({ "name": name })).await;
    scene.identity("ada", by_name(&name, false)).await;
    let message = scene.stalled("ada", "AdoptionRefused").await;
    assert!(message.contains("acceptUnverified"), "{message}");
    let mut elsewhere = by_name(&name, true);
    elsewhere["instanceRef"] = json!({"name": "default", "namespace": scene.namespace});
    scene.identity_in(&tenant, "ada", elsewhere).await;
    scene.stalled_in(&tenant, "ada", "AdoptionRefused").await;
    let unmarked = read(&scene, &id).await.expect("it is there").metadata_admin;
    assert!(unmarked.is_null(), "nobody has it");
    scene.identity("ada", by_name(&name, true)).await;
    assert_eq!(id_of(&scene.ready("ada").await), id);
}

#[tokio::test]
async fn an_address_must_be_verified_whatever_is_accepted() {
    let scene = Scene::settled().await;
    let (email, phone) = (format!("newhire@{}.example", scene.namespace), with_brackets(&digits()));
    planted(&scene, json!({ "email": email })).await;
    planted(&scene, json!({ "phone": phone })).await;
    for (name, address) in [("by-mail", email), ("by-phone", phone)] {
        scene.identity(name, by_name(&address, true)).await;
        scene.stalled(name, "AdoptionRefused").await;
    }
}
