//! The example repositories and the examples: what they are made of is what the API server and the tools read, and applying
//! them again changes nothing.

use std::path::{Path, PathBuf};

use kratos_operator::api::KratosIdentity;
use serde_json::{Value, json};

use super::{ARGOCD, FLUX, path, tool};
use crate::scene::{Scene, WITHIN};
use crate::testenv::operator::Settings;
use crate::testenv::process::eventually;

/// Where the examples have their people and their Kratos.
const IDENTITY: &str = "identity";

/// All manifests below a folder, each as YAML, in the order of their paths.
pub fn manifests(folder: &str) -> Vec<Value> {
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

/// The definitions of Argo CD's and Flux' kinds.
fn definitions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testenv/definitions")
}

/// An operator for the instance of the examples, whose Kratos is this scene's, and the kinds of Argo CD and Flux.
pub async fn scene() -> Scene {
    let mut scene = Scene::own().await;
    scene.make_namespace(IDENTITY, &[]).await;
    let settings = |settings: &mut Settings| {
        settings.instance_namespaces = vec![IDENTITY.into()];
        settings.default_instance = Some(format!("{IDENTITY}/default"));
        // One that works in namespaces of its own works there.
        for (_, value) in settings.environment.iter_mut().filter(|(name, _)| name == "NAMESPACES") {
            IDENTITY.clone_into(value);
        }
    };
    scene.operator().restart_with(settings).expect("it starts");
    scene.cluster.plane.install_crds(&definitions()).await.expect("the definitions are accepted");
    for namespace in ["argocd", "flux-system"] {
        scene.make_namespace(namespace, &[]).await;
    }
    scene
}

/// The same text for a Kratos of this test.
pub fn here(scene: &Scene, manifest: &Value) -> Value {
    let text = manifest.to_string();
    let text = text.replace("http://kratos-admin.identity.svc:4434", scene.proxy.url().trim_end_matches('/'));
    let public = scene.kratos.public_url().to_string();
    let text = text.replace("http://kratos-public.identity.svc:4433", public.trim_end_matches('/'));
    serde_json::from_str(&text).expect("JSON")
}

/// Server-side applies, strictly.
async fn apply(scene: &Scene, manifests: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("manifests.json");
    std::fs::write(&file, list.to_string()).expect("a file");
    let file = file.display().to_string();
    let arguments = ["apply", "--server-side", "--validate=strict", "--field-manager=gitops", "-f", &file];
    scene.cluster.plane.kubectl().run(arguments).await.expect("all is accepted");
}

/// Kind, name and resourceVersion of each.
async fn versions(scene: &Scene, manifests: &[Value]) -> Vec<(String, String)> {
    let mut versions = Vec::new();
    for manifest in manifests {
        let (kind, group) = (manifest["kind"].as_str().expect("a kind"), group(manifest));
        let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let name = manifest["metadata"]["name"].as_str().expect("a name");
        let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or("default");
        let version = "jsonpath={.metadata.resourceVersion}";
        let arguments = ["get", &kind, name, "-n", namespace, "-o", version];
        let version = scene.cluster.plane.kubectl().run(arguments).await.expect("it is there");
        versions.push((format!("{kind} {name}"), version));
    }
    versions
}

/// Applies all of it with the operator at work, until every identity is Ready; then again with the operator standing still.
async fn applied_twice(scene: &mut Scene, manifests: &[Value]) {
    let manifests: Vec<_> = manifests.iter().map(|manifest| here(scene, manifest)).collect();
    let (namespaces, others): (Vec<_>, Vec<_>) =
        manifests.iter().cloned().partition(|manifest| manifest["kind"] == "Namespace");
    apply(scene, &namespaces).await;
    apply(scene, &others).await;
    for manifest in manifests.iter().filter(|manifest| group(manifest) == "kratos-operator.dev") {
        settled(scene, manifest).await;
    }
    scene.operator().pause();
    // Ours at once.
    let ours: Vec<_> = manifests.iter().filter(|manifest| group(manifest) == "kratos-operator.dev").cloned().collect();
    let stands = versions(scene, &ours).await;
    apply(scene, &manifests).await;
    assert_eq!(versions(scene, &ours).await, stands, "applied again, and nothing differs");
    // For some seconds after a definition was made the API server notes the owners of fields as it guesses them.
    let mut before = versions(scene, &manifests).await;
    let stays = eventually("applied again, and nothing differs", WITHIN, async || {
        apply(scene, &manifests).await;
        let after = versions(scene, &manifests).await;
        let is_same = after == before;
        before = after;
        is_same.then_some(())
    });
    stays.await.unwrap_or_else(|error| panic!("{error}"));
    scene.operator().go_on();
}

/// Waits until Ready, as a pipeline does.
async fn settled(scene: &Scene, manifest: &Value) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (kind, name) = (text(&manifest["kind"]), text(&manifest["metadata"]["name"]));
    let arguments = ["wait", "--for=condition=Ready", "--timeout=60s", "-n", IDENTITY, &kind, &name];
    scene.cluster.plane.kubectl().run(arguments).await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn what_is_in_the_example_repositories_is_accepted_and_applied_again_changes_nothing() {
    let mut scene = scene().await;
    for (folder, count) in [("gitops/argocd/example", 11), ("gitops/flux/example", 11)] {
        let all = manifests(folder);
        let is_served =
            |manifest: &&Value| !["kustomize.config.k8s.io", "helm.toolkit.fluxcd.io"].contains(&group(manifest));
        let served: Vec<_> = all.iter().filter(is_served).cloned().collect();
        assert!(served.len() >= count, "{folder}: {}", served.len());
        applied_twice(&mut scene, &served).await;
    }
    let examples = ["namespace", "instance", "customer", "employee", "session-policy"];
    let text = |name: &&str| std::fs::read_to_string(path(&format!("examples/{name}.yaml"))).expect("an example");
    let all: Vec<_> = examples.iter().flat_map(|name| documents(&text(name))).collect();
    // The example repositories have the same people by other words.
    let kubectl = scene.cluster.plane.kubectl();
    kubectl.run(["delete", "kid,ksp", "--all", "-n", IDENTITY]).await.expect("they are deleted");
    kubectl.run(["delete", "kinst", "--all", "-n", IDENTITY]).await.expect("it is deleted");
    applied_twice(&mut scene, &all).await;
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

/// The ids of two people in Kratos, once they are Ready.
pub async fn ids(scene: &Scene) -> Vec<String> {
    let api = scene.identities_in(IDENTITY);
    let mut ids = Vec::new();
    for name in ["ada", "grace"] {
        let id = |ada: KratosIdentity| ada.status?.identity_id;
        let found = eventually("it is Ready", WITHIN, async || id(api.get_opt(name).await.ok()??));
        ids.push(found.await.expect("it is Ready"));
    }
    ids
}
