//! Manifests that can't be fulfilled: each says why and what to do, costs Kratos next to nothing, harms nobody else,
//! and is made good by correcting it.

use kratos_operator::api::condition;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, message_of};
use crate::testenv::process::eventually;

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}})
}

#[tokio::test]
async fn an_unknown_schema_is_named_and_asked_for_once() {
    let scene = Scene::settled().await;
    scene.identity("ada", json!({"schemaID": "custmer", "traits": {"email": "ada@schema.example"}})).await;
    let message = scene.stalled("ada", "SchemaNotFound").await;
    assert!(message.contains("custmer") && message.contains("spec.schemaID"), "{message}");
    scene.stays_refused("ada", "SchemaNotFound").await;
    assert_eq!(scene.proxy.count("POST /admin/identities"), 1, "the other's alone");

    scene.patch("ada", json!({"spec": {"schemaID": "customer"}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn traits_that_break_the_schema_are_told_by_pointer_and_keyword_and_never_by_value() {
    let scene = Scene::settled().await;
    let traits = json!({"email": "not-an-address-Xq7", "age": -471_147, "name": {"first": 471_148}});
    scene.identity("ada", json!({"schemaID": "customer", "traits": traits})).await;
    let message = scene.stalled("ada", "TraitsRejected").await;
    for part in
        ["/traits/email (format: email)", "/traits/age (minimum: 0)", "/traits/name/first (type: string)", "correct"]
    {
        assert!(message.contains(part), "{part} is missing: {message}");
    }
    scene.stays_refused("ada", "TraitsRejected").await;
    let ada = scene.identities().get("ada").await.unwrap();
    scene.event(&ada, "TraitsRejected").await;
    for value in ["not-an-address-Xq7", "471147", "471148"] {
        scene.shows_nowhere(&ada, value).await;
    }
    let traits = json!({"emial": "marker-Qx8", "age": 36});
    scene.identity("ada", json!({"schemaID": "customer", "traits": traits})).await;
    let named = scene.until("ada", "the keys are named", |ada| {
        let stalled = condition::find(&ada.status.as_ref()?.conditions, condition::STALLED)?;
        let names = ["/traits/emial isn't in the schema", "/traits/email is required"];
        names.iter().all(|name| stalled.message.contains(name)).then_some(())
    });
    named.await;
    scene.shows_nowhere(&ada, "marker-Qx8").await;

    let traits = json!({"email": "ada@traits.example", "age": 36});
    scene.identity("ada", json!({"schemaID": "customer", "traits": traits})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn traits_that_break_the_schema_later_leave_the_identity_as_it_was() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@later.example")).await;
    let before = scene.in_kratos(&scene.ready("ada").await).await;
    scene.patch("ada", json!({"spec": {"traits": {"age": "marker-Zw3"}, "metadataPublic": {"plan": "gold"}}})).await;
    let message = scene.stalled("ada", "TraitsRejected").await;
    assert!(message.contains("/traits/age (type: integer)"), "{message}");
    let ada = scene.identities().get("ada").await.unwrap();
    assert_eq!(scene.in_kratos(&ada).await, before);
    scene.stays_refused("ada", "TraitsRejected").await;
    scene.shows_nowhere(&ada, "marker-Zw3").await;

    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn an_identifier_of_another_identity_is_refused_and_nobody_is_named() {
    let scene = Scene::settled().await;
    let body = json!({"schema_id": "customer", "traits": {"email": "taken@conflict.example"}});
    let (_, theirs) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.unwrap();
    scene.identity("ada", customer("Taken@conflict.example")).await;
    let message = scene.stalled("ada", "IdentityConflict").await;
    assert!(message.contains("use another identifier"), "{message}");
    assert!(message.contains("nobody manages it") && message.contains("spec.adoption"), "{message}");
    scene.stays_refused("ada", "IdentityConflict").await;
    let ada = scene.identities().get("ada").await.unwrap();
    for value in ["taken@conflict.example", theirs["id"].as_str().unwrap()] {
        scene.shows_nowhere(&ada, value).await;
    }

    scene.patch("ada", json!({"spec": {"traits": {"email": "free@conflict.example"}}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn an_address_alone_of_another_identity_is_refused() {
    let scene = Scene::settled().await;
    let body = json!({"schema_id": "customer", "traits": {"email": "taken@address.example"}});
    scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.unwrap();
    // No identifier of its own leads to the other one.
    scene.identity("ada", json!({"schemaID": "contact", "traits": {"email": "taken@address.example"}})).await;
    let message = scene.stalled("ada", "IdentityConflict").await;
    assert!(message.contains("address"), "{message}");
    scene.stays_refused("ada", "IdentityConflict").await;

    scene.patch("ada", json!({"spec": {"traits": {"email": "free@address.example"}}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn an_identifier_of_another_identity_taken_later_leaves_both_as_they_were() {
    let scene = Scene::settled().await;
    scene.identity("grace", customer("grace@both.example")).await;
    scene.ready("grace").await;
    scene.identity("ada", customer("ada@both.example")).await;
    let ada = scene.ready("ada").await;
    scene.patch("ada", json!({"spec": {"traits": {"email": "grace@both.example"}}})).await;
    scene.stalled("ada", "IdentityConflict").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["email"], "ada@both.example");
    scene.stays_refused("ada", "IdentityConflict").await;
    scene.patch("ada", json!({"spec": {"traits": {"email": "ada@both.example"}}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn an_instance_that_comes_later_is_waited_for() {
    let scene = Scene::shared().await;
    scene.identity("ada", customer("ada@late.example")).await;
    let message = scene.retrying("ada", "InstanceNotReady").await;
    assert!(message.contains(&format!("{}/default", scene.namespace)), "{message}");
    scene.instance(json!({})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn a_namespace_that_the_instance_does_not_admit_is_told_so_without_a_request() {
    let scene = Scene::settled().await;
    let other = scene.other_namespace("other", &[]).await;
    scene.identity_in(&other, "ada", customer("ada@other.example")).await;
    let message = scene.stalled_in(&other, "ada", "NotPermitted").await;
    assert!(message.contains("spec.allowedNamespaces"), "{message}");
    scene.request_reconcile_in(&other, "ada").await;
    assert_eq!(scene.proxy.counts(), [].into());
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    scene.ready_in(&other, "ada").await;
}

#[tokio::test]
async fn an_instance_where_none_may_stand_is_refused_and_never_called() {
    let scene = Scene::settled().await;
    let other = scene.other_namespace("tenant", &[]).await;
    scene.apply_instance(&other, "mine", scene.instance_spec(json!({}))).await;
    let spec = json!({
        "schemaID": "customer", "traits": {"email": "ada@tenant.example"},
        "instanceRef": {"name": "mine"},
    });
    scene.identity_in(&other, "ada", spec).await;
    scene.stalled_in(&other, "ada", "NotPermitted").await;
    let instances = kube::Api::<kratos_operator::api::KratosInstance>::namespaced(scene.client.clone(), &other);
    let status = instances.get("mine").await.unwrap().status.unwrap();
    let stalled = condition::find(&status.conditions, "Stalled").expect("it is stalled");
    assert_eq!(stalled.reason, "NotPermitted");
    assert!(stalled.message.contains("--instance-namespaces"), "{}", stalled.message);
    scene.request_reconcile_in(&other, "ada").await;
    assert_eq!(scene.proxy.counts(), [].into());
}

#[tokio::test]
async fn fields_that_an_old_server_does_not_know_are_refused_at_creation() {
    let scene = Scene::settled().await;
    for (name, field, value, tries) in [
        ("external", "externalID", "crm-4711", 0),
        // A server of v1.3.1 refuses it at creation and takes it in a change: it isn't known to be lacking.
        ("organization", "organizationID", "01234567-89ab-4cde-8f01-23456789abcd", 1),
    ] {
        let mut spec = customer(&format!("{name}@old.example"));
        spec[field] = json!(value);
        scene.identity(name, spec).await;
        let message = scene.stalled(name, "UnsupportedByServer").await;
        assert!(message.contains(field) && message.contains("remove it"), "{message}");
        scene.stays_refused(name, "UnsupportedByServer").await;
        assert_eq!(scene.proxy.count("POST /admin/identities"), 1 + tries, "the other's, and one a look at most");
        scene.patch(name, json!({"spec": {field: null}})).await;
        scene.ready(name).await;
    }
}

#[tokio::test]
async fn an_external_id_that_an_old_server_does_not_know_is_refused_later_and_harms_nothing() {
    let scene = Scene::settled().await;
    let mut spec = customer("ada@later-old.example");
    spec["metadataPublic"] = json!({"plan": "gold"});
    scene.identity("ada", spec).await;
    let before = scene.in_kratos(&scene.ready("ada").await).await;
    let patched = scene.patch("ada", json!({"spec": {"externalID": "crm-4712"}})).await;
    scene.stalled("ada", "UnsupportedByServer").await;
    let after = scene.in_kratos(&patched).await;
    assert_eq!((&after.traits, &after.metadata_public), (&before.traits, &before.metadata_public));
    scene.stays_refused("ada", "UnsupportedByServer").await;
    assert_eq!(scene.kratos_writes(), 1, "nothing but the other's creation");
    // Nor is it tried at each resync.
    scene.instance(json!({"resyncInterval": "500ms"})).await;
    scene.stalled("ada", "UnsupportedByServer").await;
    scene.count_from_now();
    let resyncs =
        eventually("three resyncs", WITHIN, async || (scene.proxy.count("GET /admin/identities") >= 6).then_some(()));
    resyncs.await.expect("it is listed again and again");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    scene.patch("ada", json!({"spec": {"externalID": null}})).await;
    assert_eq!(id_of(&scene.ready("ada").await), before.id);
}

#[tokio::test]
async fn an_organization_that_is_named_later_is_what_the_server_makes_of_it() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@organization.example")).await;
    scene.ready("ada").await;
    let organization = "01234567-89ab-4cde-8f01-23456789abce";
    scene.patch("ada", json!({"spec": {"organizationID": organization}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.organization_id.as_deref(), Some(organization));
    scene.patch("ada", json!({"spec": {"organizationID": null}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.organization_id, None);
}

#[tokio::test]
async fn a_megabyte_of_traits_is_an_identity_like_any_other() {
    let scene = Scene::settled().await;
    let big = "x".repeat(1 << 20);
    scene.identity("big", json!({"schemaID": "plain", "traits": {"label": big}})).await;
    let resource = scene.ready("big").await;
    assert_eq!(scene.in_kratos(&resource).await.traits.read().unwrap()["label"].as_str().map(str::len), Some(1 << 20));

    let many: serde_json::Map<_, _> = (0..4000).map(|number| (format!("key-{number}"), json!(number))).collect();
    scene.identity("many", json!({"schemaID": "plain", "traits": many})).await;
    let resource = scene.ready("many").await;
    assert_eq!(
        scene.in_kratos(&resource).await.traits.read().unwrap().as_object().map(serde_json::Map::len),
        Some(4000)
    );
    assert_eq!(resource.status.map(|status| status.owned_paths.len()), Some(256));
}

#[tokio::test]
async fn a_forged_mark_is_refused_before_anything_is_asked() {
    let scene = Scene::settled().await;
    let mut spec = customer("ada@forged.example");
    spec["metadataAdmin"] = json!({"kratos-operator.dev": {"owner": "somebody"}});
    scene.identity("ada", spec).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("kratos-operator.dev") && message.contains("remove it"), "{message}");
    assert_eq!(scene.proxy.counts(), [].into());
    scene.stays_refused("ada", "InvalidSpec").await;
    scene.patch("ada", json!({"spec": {"metadataAdmin": {"kratos-operator.dev": null}}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn metadata_that_no_mark_fits_into_is_left_to_a_person() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@unmarkable.example")).await;
    let ada = scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/metadata_admin", json!(["not", "an", "object"])).await;
    scene.request_reconcile("ada").await;
    let message = scene.stalled("ada", "AdoptionRefused").await;
    assert!(message.contains("metadata_admin") && message.contains("set it to null"), "{message}");
    scene.stays_refused("ada", "AdoptionRefused").await;
    assert_eq!(scene.in_kratos(&ada).await.metadata_admin, json!(["not", "an", "object"]));
    scene.change_in_kratos(&ada, "/metadata_admin", json!({})).await;
    scene.request_reconcile("ada").await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn no_instance_and_no_default_is_refused() {
    let scene = Scene::settled().await;
    let spec = json!({"schemaID": "customer", "traits": {"email": "ada@nowhere.example"}, "instanceRef": null});
    scene.identity("ada", spec).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("spec.instanceRef"), "{message}");
    scene.stays_refused("ada", "InvalidSpec").await;
    scene.identity("ada", customer("ada@nowhere.example")).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn an_address_of_kratos_that_is_no_url_is_refused() {
    let scene = Scene::shared().await;
    for url in ["http://[", "http://:4434", "https://host:port"] {
        scene.apply_instance(&scene.namespace, "default", scene.instance_spec(json!({"adminURL": url}))).await;
        let instance = scene
            .instance_until("default", "InvalidSpec", |instance| {
                let status = instance.status.as_ref()?;
                let stalled = condition::find(&status.conditions, "Stalled")?;
                let is_current = stalled.observed_generation == instance.metadata.generation;
                (is_current && stalled.reason == "InvalidSpec" && stalled.message.contains("adminURL")).then_some(())
            })
            .await;
        assert!(instance.status.is_some_and(|status| !condition::is_true(&status.conditions, "Ready")));
    }
    scene.identity("ada", customer("ada@url.example")).await;
    let message = scene.retrying("ada", "InstanceNotReady").await;
    assert!(message.contains("see its status"), "{message}");
    scene.instance(json!({})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(message_of(&ada, "Reconciling"), "");
}
