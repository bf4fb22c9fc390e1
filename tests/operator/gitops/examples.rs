//! The example repositories: the tools read what they are made of, and its values are the chart's.

use std::path::Path;

use serde_json::{Value, json};

use super::{ARGOCD, FLUX, path, tool};
use crate::scene::Scene;

/// All manifests below a folder, each as YAML, in the order of their paths.
fn manifests(folder: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(&path(folder)).to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        for entry in entries {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                found.push(entry);
            }
        }
    }
    found.sort();
    found.iter().flat_map(|file| documents(&std::fs::read_to_string(file).expect("a file"))).collect()
}

fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|document| document.lines().any(|line| !line.starts_with('#')));
    documents.map(|document| serde_saphyr::from_str(document).expect("YAML")).collect()
}

fn group(manifest: &Value) -> &str {
    manifest["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

#[test]
fn flux_reads_its_kinds_in_the_example_strictly() {
    let kinds = manifests("gitops/flux/example");
    let kinds: Vec<_> = kinds.iter().filter(|manifest| group(manifest).ends_with("fluxcd.io")).collect();
    let text = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
    let read = tool(&["decode"], &text).expect("each is of its kind");
    assert_eq!(read.lines().filter(|line| line.ends_with("/Kustomization")).count(), 3, "{read}");
    assert_eq!(read.lines().filter(|line| line.ends_with("/HelmRelease")).count(), 1, "{read}");
    let wrong = text.replace("deletionPolicy", "deletePolicy");
    assert!(tool(&["decode"], &wrong).expect_err("there is no such field").contains("deletePolicy"));
}

#[test]
fn the_values_in_the_example_repositories_are_the_charts() {
    let applications = manifests("gitops/argocd/example/apps");
    let sources = applications.iter().flat_map(|manifest| manifest["spec"]["sources"].as_array().into_iter().flatten());
    let argocd: Vec<_> =
        sources.map(|source| &source["helm"]["valuesObject"]).filter(|values| values.is_object()).collect();
    let releases = manifests("gitops/flux/example/operator");
    let flux: Vec<_> =
        releases.iter().map(|manifest| &manifest["spec"]["values"]).filter(|values| values.is_object()).collect();
    assert_eq!((argocd.len(), &argocd), (1, &flux));
    let schema = std::fs::read_to_string(path("charts/kratos-operator/values.schema.json")).expect("a schema");
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    assert!(
        schema.is_valid(argocd[0]),
        "{:?}",
        schema.iter_errors(argocd[0]).map(|error| error.to_string()).collect::<Vec<_>>()
    );
    assert!(!schema.is_valid(&json!({"defaultInstances": "identity/default"})), "what isn't there is refused");
}

/// The expressions by kind.
fn expressions(kustomization: &Value) -> Vec<(&Value, Value)> {
    let checks = kustomization["spec"]["healthCheckExprs"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |check: &'_ Value| json!([check["apiVersion"], check["inProgress"], check["failed"], check["current"]]);
    checks.iter().map(|check| (&check["kind"], of(check))).collect()
}

#[test]
fn the_example_of_flux_checks_health_as_the_patch_does() {
    let patch = documents(&std::fs::read_to_string(path(FLUX)).expect("a file")).remove(0);
    let patch = expressions(&patch);
    let example = manifests("gitops/flux/example/clusters");
    let example: Vec<_> = example.iter().flat_map(expressions).collect();
    assert_eq!((patch.len(), example.len()), (3, 3));
    for check in &example {
        assert!(patch.contains(check), "{}", check.0);
    }
}

#[tokio::test]
async fn kustomize_builds_the_patch_for_argo_cd_and_the_folders_for_flux() {
    let scene = Scene::shared().await;
    let kubectl = scene.cluster.plane.kubectl();
    let dir = tempfile::tempdir().expect("a directory");
    let base =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm, namespace: argocd}\ndata: {theirs: kept}\n";
    std::fs::write(dir.path().join("base.yaml"), base).expect("a file");
    std::fs::copy(path(ARGOCD), dir.path().join("argocd-cm.yaml")).expect("a copy");
    let kustomization = "resources: [base.yaml]\npatches: [{path: argocd-cm.yaml}]\n";
    std::fs::write(dir.path().join("kustomization.yaml"), kustomization).expect("a file");
    let built = kubectl.run(["kustomize", &dir.path().display().to_string()]).await.expect("it is built");
    let built: Value = serde_saphyr::from_str(&built).expect("YAML");
    let patch: Value = documents(&std::fs::read_to_string(path(ARGOCD)).expect("a file")).remove(0);
    let data = patch["data"].as_object().expect("scripts");
    assert_eq!((data.len(), &built["data"]["theirs"]), (6, &json!("kept")));
    for (key, script) in data {
        assert_eq!(&built["data"][key], script, "{key}");
    }
    for folder in ["operator", "instance", "identities"] {
        let folder = path(&format!("gitops/flux/example/{folder}"));
        let built = documents(&kubectl.run(["kustomize", &folder]).await.expect("it is built"));
        let is_listed = |manifest: &Value| group(manifest) != "kustomize.config.k8s.io";
        let files: Vec<_> =
            std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("so").path()).collect();
        let there = files.iter().flat_map(|file| documents(&std::fs::read_to_string(file).expect("a file")));
        assert_eq!(built.len(), there.filter(is_listed).count(), "{folder}: all files are listed");
    }
}
