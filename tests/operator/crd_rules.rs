//! The definitions in a real kube-apiserver: what they let through, and what people read of them.

#[path = "../crds/rules.rs"]
mod rules;

use std::path::Path;

use kratos_operator::api::{KratosIdentity, KratosInstance, KratosSessionPolicy};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;
use rules::{Fate, Row, table};

/// What the server says to a row; `None` if it accepts.
async fn refusal(client: &kube::Client, namespace: &str, number: usize, row: &Row) -> Option<String> {
    let resource = match row.kind {
        "KratosIdentity" => ApiResource::erase::<KratosIdentity>(&()),
        "KratosSessionPolicy" => ApiResource::erase::<KratosSessionPolicy>(&()),
        _ => ApiResource::erase::<KratosInstance>(&()),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let name = format!("row-{number}");
    let create = async |spec: &Value, dry_run: bool| {
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": row.kind, "metadata": {"name": name}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        api.create(&PostParams { dry_run, ..PostParams::default() }, &object).await
    };
    let answer = match &row.before {
        None => create(&row.spec, true).await,
        Some(before) => {
            // Looked at, it would say that its instance may be corrected.
            let mut before = before.clone();
            before["suspend"] = json!(true);
            create(&before, false).await.unwrap_or_else(|error| panic!("{}: {error}", row.what));
            let operations = json!([{"op": "replace", "path": "/spec", "value": row.spec}]);
            let patch = Patch::Json::<()>(serde_json::from_value(operations).expect("a patch"));
            api.patch(&name, &PatchParams { dry_run: true, ..PatchParams::default() }, &patch).await
        }
    };
    match answer {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.code == 422 => Some(status.message.clone()),
        Err(error) => panic!("{}: {error}", row.what),
    }
}

#[tokio::test]
async fn the_server_accepts_and_refuses_what_it_should() {
    let scene = Scene::shared().await;
    // Where instances don't count: the operator sends nothing anywhere.
    let namespace = scene.other_namespace("rules", &[]).await;
    let mut failed = Vec::new();
    for (number, row) in table().iter().enumerate() {
        let refusal = refusal(&scene.client, &namespace, number, row).await;
        let holds = match (row.fate, &refusal) {
            (Fate::Accepted, None) => true,
            (Fate::Refused(words) | Fate::Misshapen(words), Some(message)) => message.contains(words),
            _ => false,
        };
        if !holds {
            failed.push(format!("{} ({}): {:?}, but {refusal:?}", row.what, row.spec, row.fate));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn the_definitions_are_taken_without_a_warning() {
    let scene = Scene::shared().await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let directory = directory.to_string_lossy();
    let arguments = ["apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", &directory];
    let output = scene.cluster.plane.kubectl().output(arguments).await.expect("kubectl runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// As templates leave them where a value isn't given.
#[tokio::test]
async fn an_explicit_null_is_as_good_as_no_field_in_whatever_way_it_is_applied() {
    let scene = Scene::shared().await;
    let namespace = scene.other_namespace("nulls", &[]).await;
    let kubectl = scene.cluster.plane.kubectl();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("nulls.json");
    let path = file.to_string_lossy().into_owned();
    let spec = json!({
        "schemaID": "customer", "mode": null, "traitsPolicy": null, "recovery": null, "externalID": null, "metadataPublic": null,
        "traits": null, "adoption": {"policy": null, "identifier": null}, "instanceRef": {"name": "default", "namespace": null},
        "deletion": null, "validity": null, "actions": null,
    });
    let words = json!({"state": null, "deletion": {"policy": null}});
    for (number, how) in [&["create"][..], &["apply"], &["apply", "--server-side"]].into_iter().enumerate() {
        let apply = async |name: String, spec: &Value| {
            let object = json!({
                "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
                "metadata": {"name": name, "namespace": namespace}, "spec": spec,
            });
            std::fs::write(&file, object.to_string()).expect("a file");
            kubectl.run(how.iter().copied().chain(["-f", path.as_str(), "-o", "json"])).await
        };
        let made = apply(format!("nulls-{number}"), &spec).await.unwrap_or_else(|error| panic!("{how:?}: {error}"));
        let made: Value = serde_json::from_str(&made).expect("an object");
        let spec_made = &made["spec"];
        assert_eq!((&spec_made["mode"], &spec_made["traitsPolicy"]), (&json!("Enforce"), &json!("Merge")), "{how:?}");
        assert_eq!(spec_made["adoption"]["policy"], "Never", "{how:?}");
        // A word without a default: the API server itself drops it, or under server-side apply says which ones there are.
        let mut more = spec.clone();
        for (key, value) in words.as_object().expect("an object") {
            more[key] = value.clone();
        }
        let made = apply(format!("words-{number}"), &more).await;
        if how.contains(&"--server-side") {
            let refused = made.expect_err("it isn't dropped").to_string();
            assert!(
                refused.contains(r#"supported values: "Active", "Inactive""#)
                    && !refused.contains(r#"Inactive", "null""#),
                "{refused}"
            );
        } else {
            let made: Value = serde_json::from_str(&made.unwrap_or_else(|error| panic!("{how:?}: {error}"))).unwrap();
            assert!(made["spec"].get("state").is_none() && made["spec"]["deletion"] == json!({}), "{how:?}: {made}");
        }
    }
}

#[tokio::test]
async fn people_can_ask_what_a_field_is_for() {
    let scene = Scene::shared().await;
    let kubectl = scene.cluster.plane.kubectl();
    // What kubectl remembers of the server may be older than the definitions.
    let arguments = ["api-resources", "--cached=false", "--categories=kratos", "--no-headers"];
    let found = eventually("the kinds are known", WITHIN, async || {
        let told = kubectl.run(arguments).await.ok()?;
        let names = [" kid ", " kinst ", " ksp "];
        (told.lines().count() == 3 && names.iter().all(|name| told.contains(name))).then_some(())
    });
    found.await.expect("all kinds are found by category and short name");
    for (field, words) in [
        ("kid.spec.traitsPolicy", "Exact makes the traits equal the manifest"),
        ("kid.spec.deletion.policy", "Orphan leaves it as it is"),
        ("kinst.spec.allowedNamespaces.selector", "Labels that a namespace must have"),
        ("ksp.spec.rules.unenrolled", "Ignore (default) leaves their sessions alone"),
        ("kid.status.conditions.message", "What a person should know or do"),
    ] {
        let told = kubectl.run(["explain", field]).await.expect("kubectl explains it");
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(words), "{field}: {told}");
    }
}

#[tokio::test]
async fn a_resource_is_stored_as_it_was_written_and_counts_as_not_looked_at() {
    let scene = Scene::shared().await;
    let namespace = scene.other_namespace("stored", &[]).await;
    let resource = ApiResource::erase::<KratosIdentity>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &namespace, &resource);
    let spec = json!({"schemaID": "customer", "traits": {"a": null, "n": 1.5}, "deletion": {}});
    let object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity", "metadata": {"name": "ada"},
        "spec": spec,
    });
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let created = api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await;
    let created = created.expect("it is accepted").data;
    assert_eq!(created["status"], json!({"observedGeneration": -1}));
    assert_eq!(created["spec"]["deletion"], json!({}));
    let mut filled = spec.clone();
    crate::scene::merge(&mut filled, json!({"traitsPolicy": "Merge", "mode": "Enforce"}));
    assert_eq!(created["spec"], filled, "nulls and numbers stay as they were written");
}

#[tokio::test]
async fn what_is_filled_in_is_nobodys_and_applying_again_changes_nothing() {
    let scene = Scene::shared().await;
    let namespace = scene.other_namespace("filled", &[]).await;
    let resource = ApiResource::erase::<KratosIdentity>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &namespace, &resource);
    let apply = async |spec: Value| {
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity", "metadata": {"name": "ada"},
            "spec": spec,
        });
        let params = PatchParams::apply("somebody");
        api.patch("ada", &params, &Patch::Apply(object)).await.expect("it is accepted")
    };
    let password = json!({"secretKeyRef": {"name": "ada", "key": "password"}});
    let spec = json!({"schemaID": "customer", "suspend": true, "credentials": {"password": password}});
    let first = apply(spec.clone()).await;
    let format = |object: &DynamicObject| object.data["spec"]["credentials"]["password"]["format"].clone();
    assert_eq!((format(&first), &first.data["spec"]["mode"]), (json!("Cleartext"), &json!("Enforce")));
    let owned = |object: &DynamicObject| {
        let of_somebody =
            object.metadata.managed_fields.iter().flatten().find(|it| it.manager.as_deref() == Some("somebody"));
        serde_json::to_string(of_somebody.expect("an owner")).expect("JSON")
    };
    assert!(owned(&first).contains("f:schemaID") && !owned(&first).contains("f:mode"), "{}", owned(&first));
    let again = apply(spec.clone()).await;
    assert_eq!((again.metadata.generation, &again.data["spec"]), (first.metadata.generation, &first.data["spec"]));
    // Said and taken back; and a format that takes no Secret.
    let mut observing = spec.clone();
    observing["mode"] = json!("Observe");
    assert_eq!(apply(observing).await.data["spec"]["mode"], "Observe");
    assert_eq!(apply(spec).await.data["spec"]["mode"], "Enforce");
    let hook =
        json!({"schemaID": "customer", "suspend": true, "credentials": {"password": {"format": "MigrationHook"}}});
    assert_eq!(format(&apply(hook).await), "MigrationHook");
}

#[tokio::test]
async fn a_duration_that_is_none_is_told_by_an_example() {
    let scene = Scene::shared().await;
    let kubectl = scene.cluster.plane.kubectl();
    for duration in ["3 days", "30d", "99999999999999999999h"] {
        let spec = json!({"schemaID": "customer", "deletion": {"gracePeriod": duration}});
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": "ada", "namespace": scene.namespace}, "spec": spec,
        });
        let refused = kubectl.apply(&object.to_string()).await;
        let said = refused.expect_err("it is refused").to_string();
        assert!(said.contains("a duration such as 72h") && !said.contains("protobuf"), "{said}");
    }
}
