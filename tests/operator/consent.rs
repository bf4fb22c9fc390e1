//! An instance's consent: which namespaces may refer to it, given and withdrawn. Withdrawing it harms no identity.

use kratos_operator::api::condition;
use kratos_operator::kratos::Identity;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::process::eventually;

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}})
}

async fn label(scene: &Scene, namespace: &str, labels: Value) {
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(scene.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    namespaces.patch(namespace, &PatchParams::default(), &patch).await.expect("it is labelled");
}

async fn by_id(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

#[tokio::test]
async fn same_admits_its_own_namespace_alone() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "Same"}})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "ada", customer("ada@same.example")).await;
    scene.stalled_in(&tenant, "ada", "NotPermitted").await;
    let ada = scene.request_reconcile_in(&tenant, "ada").await;
    assert_eq!(scene.proxy.counts(), [].into());
    assert!(ada.metadata.finalizers.is_none(), "nothing is held that was never begun");
    scene.identities_in(&tenant).delete("ada", &kube::api::DeleteParams::default()).await.unwrap();
    scene.gone_in(&tenant, "ada").await;
}

#[tokio::test]
async fn all_admits_every_namespace() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    for suffix in ["a", "b"] {
        let tenant = scene.other_namespace(suffix, &[]).await;
        scene.identity_in(&tenant, "ada", customer(&format!("ada-{suffix}@all.example"))).await;
        scene.ready_in(&tenant, "ada").await;
    }
}

#[tokio::test]
async fn a_selector_admits_by_label_and_expression() {
    let scene = Scene::shared().await;
    let selector = json!({
        "matchLabels": {"tier": "internal"},
        "matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["trial"]}],
    });
    scene.instance(json!({"allowedNamespaces": {"from": "Selector", "selector": selector}})).await;
    scene.settle().await;
    let cases = [
        ("none", vec![], false),
        ("label", vec![("tier", "internal")], true),
        ("trial", vec![("tier", "internal"), ("stage", "trial")], false),
        ("both", vec![("tier", "internal"), ("stage", "live")], true),
    ];
    for (suffix, labels, is_admitted) in cases {
        let tenant = scene.other_namespace(suffix, &labels).await;
        scene.identity_in(&tenant, "ada", customer(&format!("ada-{suffix}@selector.example"))).await;
        if is_admitted {
            scene.ready_in(&tenant, "ada").await;
        } else {
            scene.stalled_in(&tenant, "ada", "NotPermitted").await;
        }
    }
    // The instance's own namespace needs no label.
    scene.identity("ada", customer("ada-own@selector.example")).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn labels_of_a_namespace_admit_it_and_withdraw_it() {
    let scene = Scene::shared().await;
    let selector = json!({"matchLabels": {"tier": "internal"}});
    scene.instance(json!({"allowedNamespaces": {"from": "Selector", "selector": selector}})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    for name in ["ada", "grace"] {
        scene.identity_in(&tenant, name, customer(&format!("{name}@labels.example"))).await;
        scene.stalled_in(&tenant, name, "NotPermitted").await;
    }
    assert_eq!(scene.proxy.counts(), [].into());

    label(&scene, &tenant, json!({"tier": "internal"})).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    let grace = scene.ready_in(&tenant, "grace").await;
    let before = by_id(&scene, &id_of(&ada)).await;
    assert!(before.is_some());

    scene.count_from_now();
    label(&scene, &tenant, json!({"tier": null})).await;
    for name in ["ada", "grace"] {
        scene.stalled_in(&tenant, name, "NotPermitted").await;
    }
    // Withdrawn: neither changed nor deleted, whatever the manifest says now.
    let mut changed = customer("ada@labels.example");
    changed["metadataPublic"] = json!({"plan": "gold"});
    scene.identity_in(&tenant, "ada", changed).await;
    scene.request_reconcile_in(&tenant, "ada").await;
    scene.identities_in(&tenant).delete("ada", &kube::api::DeleteParams::default()).await.unwrap();
    scene.gone_in(&tenant, "ada").await;
    scene.event(&ada, "IdentityKept").await;
    assert_eq!(by_id(&scene, &id_of(&ada)).await, before);
    assert_eq!(scene.proxy.counts(), [].into());

    // Admitted again: the one that stayed is as before, the same identity.
    label(&scene, &tenant, json!({"tier": "internal"})).await;
    let again = scene.ready_in(&tenant, "grace").await;
    assert_eq!(id_of(&again), id_of(&grace));
}

#[tokio::test]
async fn an_instance_that_withdraws_its_consent_keeps_the_identities() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "ada", customer("ada@withdrawn.example")).await;
    scene.identity("grace", customer("grace@withdrawn.example")).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    scene.ready("grace").await;
    let before = by_id(&scene, &id_of(&ada)).await;

    scene.instance(json!({"allowedNamespaces": {"from": "Same"}})).await;
    let message = scene.stalled_in(&tenant, "ada", "NotPermitted").await;
    assert!(message.contains("spec.allowedNamespaces"), "{message}");
    assert_eq!(by_id(&scene, &id_of(&ada)).await, before);
    let grace = scene.request_reconcile("grace").await;
    assert_eq!(reason_of(&grace, "Ready", "True").as_deref(), Some("Reconciled"));

    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let again = scene.ready_in(&tenant, "ada").await;
    assert_eq!(id_of(&again), id_of(&ada));
    assert_eq!(by_id(&scene, &id_of(&ada)).await, before);
}

#[tokio::test]
async fn an_instance_that_withdrew_its_consent_goes_after_the_resources_that_it_had() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "ada", customer("ada@withdrawn-and-gone.example")).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    scene.instance(json!({"allowedNamespaces": {"from": "Same"}})).await;
    scene.stalled_in(&tenant, "ada", "NotPermitted").await;

    scene.instances().delete("default", &DeleteParams::default()).await.expect("it can be deleted");
    scene
        .instance_until("default", "kept for ada", |instance| {
            let found = condition::find(&instance.status.as_ref()?.conditions, "Reconciling")?;
            (found.reason == "Progressing" && found.message.contains("1 KratosIdentity holds it")).then_some(())
        })
        .await;
    scene.identities_in(&tenant).delete("ada", &DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(&tenant, "ada").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_some(), "the identity stays");
    let gone = eventually("the instance is gone", WITHIN, async || {
        matches!(scene.instances().get_opt("default").await, Ok(None)).then_some(())
    });
    gone.await.expect("the instance goes");
}
