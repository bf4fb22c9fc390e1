//! A reference to an instance that nobody meant: it may be corrected for as long as nothing can have been made, and not any longer.

use kratos_operator::api::{IDENTITY_FINALIZER, KratosIdentity};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::admission_policy::policed;
use crate::many::{CREATE, STATUS};
use crate::scene::{Scene, merge, message_of, reason_of};

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

    /// It waits for an instance, this generation of it, and another one may be named.
    async fn is_open(&self, name: &str, generation: i64) -> KratosIdentity {
        let waits = |identity: &KratosIdentity| {
            let status = identity.status.as_ref()?;
            let is_open = status.instance.is_none() && status.observed_generation == Some(generation);
            reason_of(identity, "Reconciling", "True").filter(|reason| is_open && reason == "InstanceNotReady")
        };
        self.until(name, "it waits for an instance, and may be corrected", waits).await
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
        let hint = format!("Did you mean {}/only-here", scene.namespace);
        let waits = |ada: &KratosIdentity| {
            let reason = reason_of(ada, "Reconciling", "True").filter(|reason| reason == "InstanceNotReady")?;
            // With namespaces of its own the labels are polled.
            let is_admitted = namespace != &tenant || message_of(ada, "Ready").contains(&hint);
            is_admitted.then_some(reason)
        };
        let ada = scene.until_in(namespace, "ada", "it waits for an instance", waits).await;
        let message = message_of(&ada, "Ready");
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
    let [late, right, none, neither] =
        ["late", "default", "none", "neither"].map(|name| json!({"name": name, "namespace": scene.namespace}));
    scene.identity("ada", customer(&scene, "ada", &late)).await;
    scene.is_open("ada", 1).await;
    // Those that are born with the finalizer fare likewise.
    policed(&scene).await;
    for name in ["grace", "mary"] {
        scene.identity(name, customer(&scene, name, &none)).await;
        let born = scene.is_open(name, 1).await;
        let hint = format!("Did you mean {}/default (spec.instanceRef.name)?", scene.namespace);
        assert!(message_of(&born, "Ready").contains(&hint), "{}", message_of(&born, "Ready"));
        assert_eq!(born.metadata.finalizers.as_deref(), Some(&[IDENTITY_FINALIZER.to_owned()][..]));
    }
    let held = scene.proxy.on(CREATE).once().hold();
    scene.refer(&scene.namespace, "grace", &right).await.expect("it may be corrected");
    held.held().await;
    scene.may_not_refer(&scene.namespace, "grace", &none).await;
    held.release();
    scene.ready("grace").await;

    let held = scene.proxy.on(CREATE).hold();
    scene.apply_instance(&scene.namespace, "late", scene.instance_spec(json!({}))).await;
    held.held().await;
    // A process that ends right here leaves nothing that another instance could be named for.
    scene.operator().kill();
    scene.may_not_refer(&scene.namespace, "ada", &right).await;
    // The next process doesn't know that nothing was done for her, but for her status.
    scene.refer(&scene.namespace, "mary", &neither).await.expect("it may be corrected");
    scene.proxy.clear_faults();
    held.release();
    scene.operator().restart().expect("it starts");
    let ada = scene.ready("ada").await;
    assert_eq!(ada.status.and_then(|status| status.instance).map(|instance| instance.name).as_deref(), Some("late"));
    scene.is_open("mary", 2).await;
    scene.refer(&scene.namespace, "mary", &right).await.expect("it may be corrected still");
}

#[tokio::test]
async fn a_correction_that_meets_a_look_under_way_holds() {
    let scene = Scene::shared().await.with_instance().await;
    scene.settle().await;
    let [late, right] = ["late", "default"].map(|name| json!({"name": name, "namespace": scene.namespace}));
    // Neither reconcile ends well once the instance is there: the one lacks a schema, the other one a Secret.
    let mut ada = customer(&scene, "ada", &late);
    merge(&mut ada, json!({"schemaID": "custommer"}));
    let grace = |instance: &Value| {
        let mut grace = customer(&scene, "grace", instance);
        let first = json!({"path": "/name/first", "secretKeyRef": {"name": "grace", "key": "first"}});
        merge(&mut grace, json!({"traitsFrom": [first]}));
        grace
    };
    for (name, spec) in [("ada", ada), ("grace", grace(&late))] {
        scene.identity(name, spec).await;
        scene.is_open(name, 1).await;
    }
    let about = |path: &str| format!("/namespaces/{}/{path}", scene.namespace);
    let (status, secret) = (about("kratosidentities/ada/status"), about("secrets/grace"));
    let status = scene.cluster.proxy.on_where(move |label, path| label == STATUS && path.contains(&status));
    let secret = scene.cluster.proxy.on_where(move |label, path| label == "GET secrets" && path.contains(&secret));
    let (written, read) = (status.once().hold(), secret.once().hold());
    scene.apply_instance(&scene.namespace, "late", scene.instance_spec(json!({}))).await;
    written.held().await;
    read.held().await;
    scene.identity("grace", grace(&right)).await;
    scene.identity("ada", customer(&scene, "ada", &right)).await;
    // What was still on its way is refused, since the manifest was changed meanwhile.
    written.release();
    let named = |identity: &KratosIdentity| identity.status.as_ref()?.instance.as_ref().map(|found| found.name.clone());
    let ada = scene.ready("ada").await;
    assert_eq!(named(&ada).as_deref(), Some("default"), "{:?}", ada.status);
    // By now the operator has seen the other one's as well, and doesn't even write what it has seen of the former.
    read.release();
    let waits = |grace: &KratosIdentity| {
        let lacks = reason_of(grace, "Reconciling", "True").is_some_and(|reason| reason == "SecretNotReady");
        named(grace).filter(|named| lacks && named == "default")
    };
    scene.until("grace", "it waits for the Secret alone", waits).await;
}
