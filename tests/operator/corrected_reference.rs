//! A reference to an instance that nobody meant: it may be corrected for as long as nothing can have been made, and not any longer.

use kratos_operator::api::KratosIdentity;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::many::CREATE;
use crate::scene::{Scene, message_of, reason_of};

fn customer(scene: &Scene, name: &str, instance: &Value) -> Value {
    let email = format!("{name}@{}.example", scene.namespace);
    json!({"schemaID": "customer", "traits": {"email": email}, "instanceRef": instance})
}

impl Scene {
    /// Names another instance. `Err`: what the API server says to it.
    async fn refer(&self, namespace: &str, name: &str, instance: &Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({"spec": {"instanceRef": instance}}));
        match self.identities_in(namespace).patch(name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 422 => Err(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn may_not_refer(&self, namespace: &str, name: &str, instance: &Value) {
        let refused = self.refer(namespace, name, instance).await.expect_err("it is pinned");
        assert!(refused.contains("instanceRef can't be changed"), "{refused}");
    }
}

#[tokio::test]
async fn a_mistaken_reference_is_corrected_until_something_can_have_been_made() {
    let scene = Scene::shared().await.with_instance().await;
    scene.settle().await;
    // Of a name that no other test's instance has.
    let selector = json!({"from": "Selector", "selector": {"matchLabels": {"tier": "internal"}}});
    let spec = scene.instance_spec(json!({"allowedNamespaces": selector, "ownerName": "only-here"}));
    scene.apply_instance(&scene.namespace, "only-here", spec).await;
    scene.instance_ready("only-here").await;
    let right = json!({"name": "only-here", "namespace": scene.namespace});
    let tenant = scene.other_namespace("tenant", &[("tier", "internal")]).await;
    let stranger = scene.other_namespace("b", &[]).await;
    // It is named to whom it admits, and to nobody else.
    let mistaken = json!({"name": "only-here", "namespace": null});
    for namespace in [&tenant, &stranger] {
        scene.identity_in(namespace, "ada", customer(&scene, "ada", &json!({"name": "only-here"}))).await;
        let waits =
            |ada: &KratosIdentity| reason_of(ada, "Reconciling", "True").filter(|reason| reason == "InstanceNotReady");
        let ada = scene.until_in(namespace, "ada", "it waits for an instance", waits).await;
        let message = message_of(&ada, "Ready");
        let hint = format!("Did you mean {}/only-here", scene.namespace);
        assert_eq!(
            (message.contains(&hint), message.contains("Did you mean")),
            (namespace == &tenant, namespace == &tenant),
            "{message}"
        );
        assert!(ada.status.as_ref().is_some_and(|status| status.instance.is_none()), "{:?}", ada.status);
    }
    // Where it isn't admitted it may go elsewhere still.
    scene.refer(&stranger, "ada", &right).await.expect("it may be corrected");
    scene.stalled_in(&stranger, "ada", "NotPermitted").await;
    scene.refer(&stranger, "ada", &mistaken).await.expect("and back");
    // And where it is, the create that is under way pins it.
    let held = scene.proxy.on(CREATE).hold();
    scene.refer(&tenant, "ada", &right).await.expect("it may be corrected");
    held.held().await;
    scene.may_not_refer(&tenant, "ada", &mistaken).await;
    held.release();
    scene.ready_in(&tenant, "ada").await;
    scene.may_not_refer(&tenant, "ada", &mistaken).await;
    assert_eq!(scene.proxy.count(CREATE), 1, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn an_instance_that_comes_late_pins_whoever_waited_before_anything_is_made() {
    let mut scene = Scene::own().await.with_instance().await;
    scene.settle().await;
    let late = json!({"name": "late", "namespace": scene.namespace});
    scene.identity("ada", customer(&scene, "ada", &late)).await;
    scene.retrying("ada", "InstanceNotReady").await;
    let held = scene.proxy.on(CREATE).hold();
    scene.apply_instance(&scene.namespace, "late", scene.instance_spec(json!({}))).await;
    held.held().await;
    // A process that ends right here leaves nothing that another instance could be named for.
    scene.operator().kill();
    let right = json!({"name": "default", "namespace": scene.namespace});
    scene.may_not_refer(&scene.namespace, "ada", &right).await;
    scene.proxy.clear_faults();
    held.release();
    scene.operator().restart().expect("it starts");
    let ada = scene.ready("ada").await;
    assert_eq!(ada.status.and_then(|status| status.instance).map(|instance| instance.name).as_deref(), Some("late"));
}
