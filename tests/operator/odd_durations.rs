//! Durations that are none, wherever somebody may write one: in an instance's rules, and in fields of manifests that an API
//! server with other definitions let through.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::policing::{about_all, everything};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

#[tokio::test]
async fn an_instances_rule_refuses_whom_it_cant_be_answered_for_and_nobody_else() {
    let scene = Scene::shared().await;
    let rule = "duration(identity.metadata_public.stay) > duration('1s')";
    let changes = json!({"allowedNamespaces": {"from": "All"}, "rules": [
        {"expression": "adopts || identifiers.size() > 0", "message": "somebody"}, {"expression": rule, "message": "a stay is a duration"},
    ]});
    scene.instance(changes).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    for (name, duration) in [("backward", "1h-2h"), ("endless", "99999999999999999999h")] {
        let traits = json!({"email": format!("{name}@durations.example")});
        let spec = json!({"schemaID": "customer", "traits": traits, "metadataPublic": {"stay": duration}});
        scene.identity_in(&tenant, name, spec).await;
        let message = scene.stalled_in(&tenant, name, "NotPermitted").await;
        assert!(message.contains("rule 2: a stay is a duration (it fails"), "{message}");
    }
    let traits = json!({"email": "ada@durations.example"});
    let spec = json!({"schemaID": "customer", "traits": traits, "metadataPublic": {"stay": "2h"}});
    scene.identity_in(&tenant, "ada", spec).await;
    scene.ready_in(&tenant, "ada").await;
}

#[tokio::test]
async fn an_instances_rule_that_is_no_truth_is_named() {
    let scene = Scene::shared().await;
    let rules = |expression: &str| json!({"allowedNamespaces": {"from": "All"}, "rules": [{"expression": "true", "message": "all"}, {"expression": expression, "message": "few"}]});
    scene.apply_instance(&scene.namespace, "plain", scene.instance_spec(rules("identifiers.size()"))).await;
    let says = |instance: &kratos_operator::api::KratosInstance| {
        let conditions = &instance.status.as_ref()?.conditions;
        let stalled = kratos_operator::api::condition::find(conditions, "Stalled")?;
        let what = "rule 2 gives something else than true or false";
        (stalled.reason == "InvalidSpec" && stalled.message.contains(what)).then_some(())
    };
    scene.instance_until("plain", "InvalidSpec", says).await;

    scene.instance(rules("identity.traits.email")).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let traits = json!({"email": "truth@durations.example"});
    scene.identity_in(&tenant, "truth", json!({"schemaID": "customer", "traits": traits})).await;
    let message = scene.stalled_in(&tenant, "truth", "NotPermitted").await;
    assert!(message.contains("rule 2: few (it gives something else than true or false)"), "{message}");
}

/// Has the API server take any text where the definition wants a duration.
async fn loosen(scene: &Scene, plural: &str, field: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let at = format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}");
    let any = json!([{"op": "replace", "path": at, "value": {"type": "string"}}]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(any).expect("a patch"));
    let name = format!("{plural}.kratos-operator.dev");
    definitions.patch(&name, &PatchParams::default(), &patch).await.expect("the definition is loosened");
}

#[tokio::test]
async fn a_manifests_duration_that_is_none_is_its_own_trouble() {
    let scene = Scene::own().await.with_instance().await;
    scene.person("ada@example.com").await;
    let session = scene.log_in("ada@example.com").await;
    loosen(&scene, "kratossessionpolicies", "interval").await;
    for (name, interval) in [("endless", "99999999999999999999h"), ("backward", "1h-2h"), ("negative", "-5m")] {
        let spec = json!({"identities": {"all": true}, "interval": interval, "rules": everything(), "suspend": true});
        // A changed definition takes a moment to count.
        let taken = eventually("it is taken", WITHIN, async || {
            // Of an answer with such a duration nothing can be made here either.
            let taken = scene.try_policy_in(&scene.namespace, name, spec.clone()).await;
            (taken.is_ok() || matches!(taken, Err(kube::Error::SerdeError(_)))).then_some(())
        });
        taken.await.expect("it is taken");
        let raw = async || {
            let arguments = ["get", "ksp", name, "-n", &scene.namespace, "-o", "json"];
            let text = scene.cluster.plane.kubectl().run(arguments).await.ok()?;
            let found: serde_json::Value = serde_json::from_str(&text).ok()?;
            let stalled = found["status"]["conditions"].as_array()?.iter().find(|it| it["type"] == "Stalled")?.clone();
            (stalled["reason"] == "InvalidSpec").then_some(())
        };
        eventually(&format!("{name}: InvalidSpec"), WITHIN, raw).await.expect("it says so");
    }
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    scene.cluster.plane.install_crds(&crds).await.expect("the definitions are accepted");
    // The watch goes on, and so does everybody else.
    scene.policy("good", about_all(everything())).await;
    assert!(!scene.is_logged_in(&session).await);
}
