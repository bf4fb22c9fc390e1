//! Resources that this version can't read (written by a newer one, or past an older definition): they say so, stop
//! nothing, and what they stand for is left as it is.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@unreadable.example")}})
}

/// Has the API server take any text where the definition lists the words (`spec.state`, `spec.mode`).
async fn loosen(scene: &Scene, plural: &str, field: &str) {
    redefine(scene, plural, field, json!({"type": "string", "nullable": true})).await;
}

async fn redefine(scene: &Scene, plural: &str, field: &str, schema: Value) {
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let at = format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}");
    let replaced = json!([{"op": "replace", "path": at, "value": schema}]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(replaced).expect("a patch"));
    let name = format!("{plural}.kratos-operator.dev");
    definitions.patch(&name, &PatchParams::default(), &patch).await.expect("the definition is loosened");
}

/// The definitions as they are shipped.
async fn restore(scene: &Scene) {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    scene.cluster.plane.install_crds(&crds).await.expect("the definitions are accepted");
}

/// Server-side applies a manifest, again and again: a changed definition takes a moment to count.
async fn apply(scene: &Scene, kind: &str, name: &str, spec: &Value) {
    let manifest = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": scene.namespace}, "spec": spec,
    });
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("manifest.json");
    std::fs::write(&file, manifest.to_string()).expect("a file");
    let file = file.display().to_string();
    let arguments = ["apply", "--server-side", "--field-manager=test", "--force-conflicts", "-f", &file];
    let kubectl = scene.cluster.plane.kubectl();
    let applied = eventually("the manifest is taken", WITHIN, async || kubectl.run(arguments).await.ok());
    applied.await.expect("the manifest is taken");
}

/// A resource as it is, whether or not it can be read; `None` where there is none.
async fn raw(scene: &Scene, kind: &str, name: &str) -> Option<Value> {
    let arguments = ["get", kind, name, "-n", &scene.namespace, "-o", "json"];
    let text = scene.cluster.plane.kubectl().run(arguments).await.ok()?;
    serde_json::from_str(&text).ok()
}

/// Waits until it is said, for this generation, that the resource can't be read. Returns the message.
async fn refused(scene: &Scene, kind: &str, name: &str, word: &str) -> String {
    let mut last = None;
    let found = eventually("it is said that it can't be read", WITHIN, async || {
        last = raw(scene, kind, name).await;
        let found = last.as_ref()?;
        let is_current = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        let conditions = found["status"]["conditions"].as_array()?;
        let stalled = conditions.iter().find(|condition| condition["type"] == "Stalled")?;
        let message = stalled["message"].as_str()?.to_owned();
        (is_current && stalled["reason"] == "InvalidSpec" && message.contains(word)).then_some(message)
    });
    found.await.unwrap_or_else(|error| panic!("{error}\n{last:?}"))
}

async fn gone(scene: &Scene, kind: &str, name: &str) {
    let mut last = None;
    let gone = eventually("it is gone", WITHIN, async || {
        last = raw(scene, kind, name).await;
        last.is_none().then_some(())
    });
    gone.await.unwrap_or_else(|error| panic!("{error}\n{last:?}"));
}

async fn kubectl(scene: &Scene, arguments: &[&str]) {
    let arguments = arguments.iter().copied().chain(["-n", scene.namespace.as_str()]);
    scene.cluster.plane.kubectl().run(arguments).await.expect("kubectl does it");
}

#[tokio::test]
async fn an_identity_that_can_not_be_read_says_so_and_stops_no_other() {
    let mut scene = Scene::own().await.with_instance().await;
    let manifest = |name: &str, state: &str| {
        let mut spec = customer(name);
        spec["state"] = json!(state);
        spec["instanceRef"] = json!({"name": "default", "namespace": scene.namespace});
        spec
    };
    scene.identity("ada", customer("ada")).await;
    apply(&scene, "KratosIdentity", "eve", &manifest("eve", "Active")).await;
    scene.ready("ada").await;
    let eve = scene.in_kratos(&scene.ready("eve").await).await;

    let (changed, new) = (manifest("eve", "Bogus"), manifest("new", "Bogus"));
    loosen(&scene, "kratosidentities", "state").await;
    apply(&scene, "KratosIdentity", "eve", &changed).await;
    apply(&scene, "KratosIdentity", "new", &new).await;
    restore(&scene).await;
    scene.proxy.reset();
    for restarted in [false, true] {
        if restarted {
            scene.operator().restart().expect("it starts");
        }
        for name in ["eve", "new"] {
            let told = refused(&scene, "kid", name, "kubectl explain").await;
            assert!(!told.contains("Bogus"), "{told}");
        }
        scene.patch("ada", json!({"spec": {"traits": {"newsletter": restarted}}})).await;
        scene.ready("ada").await;
        scene.operator().still_running().expect("it goes on");
    }
    // Ada's two changes, and nothing about the others.
    assert_eq!(scene.kratos_writes(), 2, "{:?}", scene.proxy.counts());
    let now = scene.admin().get_identity(&eve.id, &[]).await;
    assert_eq!(now, Ok(Some(eve.clone())));

    // What can't be read isn't deleted by.
    kubectl(&scene, &["delete", "kid", "eve", "new", "--wait=false"]).await;
    gone(&scene, "kid", "new").await;
    refused(&scene, "kid", "eve", "deletion.policy to Orphan").await;
    let orphan = r#"{"spec": {"deletion": {"policy": "Orphan"}}}"#;
    kubectl(&scene, &["patch", "kid", "eve", "--type=merge", "-p", orphan]).await;
    gone(&scene, "kid", "eve").await;
    assert_eq!(scene.admin().get_identity(&eve.id, &[]).await, Ok(Some(eve)));
}

#[tokio::test]
async fn an_instance_that_can_not_be_read_says_so_and_is_not_used() {
    let mut scene = Scene::own().await;
    let spec = |mode: &str| scene.instance_spec(json!({ "mode": mode }));
    let (well, bogus) = (spec("Enforce"), spec("Bogus"));
    apply(&scene, "KratosInstance", "default", &well).await;
    scene.identity("ada", customer("ada")).await;
    let ada = id_of(&scene.ready("ada").await);

    loosen(&scene, "kratosinstances", "mode").await;
    apply(&scene, "KratosInstance", "default", &bogus).await;
    restore(&scene).await;
    let told = refused(&scene, "kinst", "default", "kubectl explain").await;
    assert!(!told.contains("Bogus"), "{told}");
    scene.operator().restart().expect("it starts");
    scene.proxy.reset();
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    scene.retrying("ada", "InstanceNotReady").await;
    assert_eq!(scene.proxy.count("*"), 0, "{:?}", scene.proxy.counts());

    apply(&scene, "KratosInstance", "default", &well).await;
    assert_eq!(id_of(&scene.ready("ada").await), ada);

    // Nor does it keep a namespace from going, once nothing refers to it.
    loosen(&scene, "kratosinstances", "mode").await;
    apply(&scene, "KratosInstance", "default", &bogus).await;
    restore(&scene).await;
    refused(&scene, "kinst", "default", "kubectl explain").await;
    kubectl(&scene, &["delete", "kinst", "default", "--wait=false"]).await;
    scene.delete("ada").await;
    let told = scene.retrying("ada", "InstanceNotReady").await;
    assert!(told.contains("deletion.policy to Orphan"), "{told}");
    assert!(raw(&scene, "kinst", "default").await.is_some(), "an identity still refers to it");
    scene.patch("ada", json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    scene.gone("ada").await;
    gone(&scene, "kinst", "default").await;
    assert!(scene.admin().get_identity(&ada, &[]).await.expect("Kratos answers").is_some());
}

#[tokio::test]
async fn what_can_not_be_read_may_be_deeper_than_parsers_descend() {
    let mut scene = Scene::own().await.with_instance().await;
    scene.identity("ada", customer("ada")).await;
    scene.ready("ada").await;
    let deep: Value = serde_json::from_str(&(r#"{"a":"#.repeat(121) + "1" + &"}".repeat(121))).expect("JSON");
    let rules = json!([{"name": "all", "expression": "true", "action": "Revoke"}]);
    let kinds = [
        ("kratosidentities", "KratosIdentity", "kid", json!({"schemaID": "customer", "mode": deep})),
        ("kratosinstances", "KratosInstance", "kinst", scene.instance_spec(json!({ "mode": deep }))),
        (
            "kratossessionpolicies",
            "KratosSessionPolicy",
            "ksp",
            json!({"identities": {"all": true}, "rules": rules, "mode": deep}),
        ),
    ];
    for (plural, kind, short, spec) in &kinds {
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        redefine(&scene, plural, "mode", any).await;
        apply(&scene, kind, "odd", spec).await;
        until_refused(&scene, short).await;
    }
    scene.operator().restart().expect("it starts");
    scene.patch("ada", json!({"spec": {"traits": {"newsletter": true}}})).await;
    scene.ready("ada").await;
    for (_, _, short, _) in &kinds {
        until_refused(&scene, short).await;
        kubectl(&scene, &["delete", short, "odd", "--wait=false"]).await;
        gone(&scene, short, "odd").await;
    }
}

/// Waits until it is said that the resource `odd` can't be read. The whole of it can't be read here either.
async fn until_refused(scene: &Scene, kind: &str) {
    let reason = r#"jsonpath={.status.conditions[?(@.type=="Stalled")].reason}"#;
    let arguments = ["get", kind, "odd", "-n", &scene.namespace, "-o", reason];
    let told = eventually("it is said that it can't be read", WITHIN, async || {
        let told = scene.cluster.plane.kubectl().run(arguments).await.ok()?;
        (told == "InvalidSpec").then_some(())
    });
    told.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}
