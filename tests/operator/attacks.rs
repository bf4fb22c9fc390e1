//! What the owner of a namespace can try beyond what is theirs, and what comes of it: nothing.
//! (Marks, statuses, names and namespaces that were made anew: see `ownership`; identities of others: see `adoption`.)

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kratos_operator::api::KratosInstance;
use kratos_operator::kratos::Identity;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::Scene;

const DOMAIN_ONLY: &str = "identifiers.all(i, i.endsWith('@tenant.example'))";

/// An instance that admits every namespace under these rules, and a namespace beside it.
async fn with_tenant(changes: Value) -> (Scene, String) {
    let scene = Scene::shared().await;
    let mut spec = json!({"allowedNamespaces": {"from": "All"}});
    crate::scene::merge(&mut spec, changes);
    scene.instance(spec).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    (scene, tenant)
}

/// An identity that nobody manages, with a verified address.
async fn unmanaged(scene: &Scene, email: &str) -> Identity {
    let body = json!({
        "schema_id": "customer", "traits": {"email": email},
        "verifiable_addresses": [{"value": email, "verified": true, "via": "email", "status": "completed"}],
    });
    let (_, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.expect("Kratos answers");
    read(scene, made["id"].as_str().expect("it is made")).await
}

async fn read(scene: &Scene, id: &str) -> Identity {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers").expect("it is there")
}

#[tokio::test]
async fn a_new_address_in_the_manifest_does_not_smuggle_an_identity_past_the_rules() {
    let rules = json!([{"expression": DOMAIN_ONLY, "message": "the tenant's own mail domain only"}]);
    let (scene, tenant) = with_tenant(json!({"adoptionFrom": "Allowed", "rules": rules})).await;
    let boss = unmanaged(&scene, "boss@smuggled.example").await;
    scene.count_from_now();
    let spec = json!({
        "schemaID": "customer", "traits": {"email": "boss@tenant.example"},
        "adoption": {"policy": "IfUnowned", "identityID": boss.id},
    });
    scene.identity_in(&tenant, "mine", spec).await;
    let message = scene.stalled_in(&tenant, "mine", "NotPermitted").await;
    assert!(message.contains("own mail domain"), "{message}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(read(&scene, &boss.id).await, boss);
    // Without an address of one's own at all it is the same.
    let spec =
        json!({"schemaID": "customer", "adoption": {"policy": "IfUnowned", "identifier": "boss@smuggled.example"}});
    scene.identity_in(&tenant, "mine-too", spec).await;
    scene.stalled_in(&tenant, "mine-too", "NotPermitted").await;
    assert_eq!(read(&scene, &boss.id).await, boss);
}

#[tokio::test]
async fn an_instance_of_ones_own_for_the_same_server_sends_nothing() {
    let (scene, tenant) = with_tenant(json!({})).await;
    scene.count_from_now();
    let mut spec = scene.instance_spec(json!({"ownerName": "somebody-else"}));
    scene.apply_instance(&tenant, "mine", spec.clone()).await;
    let spec_of_identity = json!({
        "instanceRef": {"name": "mine"}, "schemaID": "customer", "traits": {"email": "eve@own-instance.example"},
    });
    scene.identity_in(&tenant, "eve", spec_of_identity).await;
    scene.stalled_in(&tenant, "eve", "NotPermitted").await;
    assert_eq!(scene.kratos_requests(), 0, "{:?}", scene.proxy.counts());
    // Nor does the owner name of the instance that counts help.
    spec["ownerName"] = json!(scene.namespace);
    scene.apply_instance(&tenant, "mine-too", spec).await;
    let api = Api::<KratosInstance>::namespaced(scene.client.clone(), &tenant);
    let refused = crate::testenv::process::eventually("it is refused", crate::scene::WITHIN, async || {
        let instance = api.get("mine-too").await.ok()?;
        let conditions = instance.status?.conditions;
        conditions.iter().any(|condition| condition.reason == "NotPermitted").then_some(())
    });
    refused.await.expect("an instance in that namespace doesn't count");
    assert_eq!(scene.kratos_requests(), 0, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn a_secret_of_another_namespace_is_out_of_reach() {
    let (scene, tenant) = with_tenant(json!({})).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"},
        "data": BTreeMap::from([("email", ByteString(b"ceo@other-namespace.example".to_vec()))]),
    });
    let api = Api::<k8s_openapi::api::core::v1::Secret>::namespaced(scene.client.clone(), &scene.namespace);
    api.patch("theirs", &PatchParams::apply("test"), &Patch::Apply(&secret)).await.expect("the Secret is accepted");
    let reference = json!({"name": "theirs", "key": "email"});
    let from = json!([{"path": "/email", "secretKeyRef": reference}]);
    scene.identity_in(&tenant, "eve", json!({"schemaID": "customer", "traitsFrom": from})).await;
    let found = scene.until_in(&tenant, "eve", "it waits for a Secret of its own namespace", |identity| {
        crate::scene::reason_of(identity, "Reconciling", "True").filter(|reason| reason == "SecretNotReady")
    });
    found.await;
    for (name, out) in
        [("dots", format!("../{}/theirs", scene.namespace)), ("slash", format!("{}/theirs", scene.namespace))]
    {
        let from = json!([{"path": "/email", "secretKeyRef": {"name": out, "key": "email"}}]);
        let spec = json!({"schemaID": "customer", "traitsFrom": from});
        let refused = scene.try_identity_in(&tenant, name, spec).await.expect_err("that is no name");
        assert!(refused.to_string().contains("secretKeyRef.name"), "{refused}");
    }
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    // A namespace in the reference isn't even a field.
    let mut named = reference.clone();
    named["namespace"] = json!(scene.namespace);
    let spec = json!({"schemaID": "customer", "traitsFrom": [{"path": "/email", "secretKeyRef": named}]});
    if let Ok(accepted) = scene.try_identity_in(&tenant, "named", spec).await {
        assert_eq!(serde_json::to_value(&accepted.spec.traits_from[0].secret_key_ref).unwrap(), reference);
    }
}

#[tokio::test]
async fn a_mark_can_not_be_written_by_a_manifest() {
    let (scene, tenant) = with_tenant(json!({})).await;
    let mark = json!({"owner": scene.namespace, "namespace": scene.namespace, "name": "admin"});
    let spec = json!({
        "schemaID": "customer", "traits": {"email": "eve@forged-mark.example"},
        "metadataAdmin": {"kratos-operator.dev": mark},
    });
    scene.identity_in(&tenant, "eve", spec).await;
    let message = scene.stalled_in(&tenant, "eve", "InvalidSpec").await;
    assert!(message.contains("metadataAdmin"), "{message}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
}
