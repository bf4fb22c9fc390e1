//! What docs/gitops.md tells people to type, and the way out where the operator was deleted together with its resources.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::examples::{here, ids, manifests, scene};
use super::path;
use crate::documents::blocks;
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::{component, eventually};

/// Marks the block that takes finalizers away.
const WAY_OUT: &str = "finalizers";

fn shell_blocks() -> Vec<String> {
    blocks(&std::fs::read_to_string(path("docs/gitops.md")).expect("the page"), "sh")
}

/// Runs a block in a real shell, as in the root of the repository.
async fn run(scene: &Scene, block: &str) {
    let kubectl = component("kubectl");
    let bin = kubectl.parent().expect("a folder").display().to_string();
    let output = tokio::process::Command::new("sh")
        .args(["-eu", "-c", block])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", format!("{bin}:{}", std::env::var("PATH").expect("a path")))
        .env("KUBECONFIG", scene.cluster.plane.kubeconfig())
        .env("KUBECTL_KUBERC", "false")
        .env("KUBECACHEDIR", scene.cluster.plane.kubeconfig().with_file_name("kubectl-cache"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("there is a shell");
    assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The example's people, Ready.
async fn with_people(scene: &Scene) -> Vec<String> {
    let all =
        ["operator", "instance", "identities"].map(|folder| manifests(&format!("gitops/argocd/example/{folder}")));
    for part in all {
        let part: Vec<_> = part.iter().map(|manifest| here(scene, manifest)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": part});
        scene.cluster.plane.kubectl().apply(&list.to_string()).await.expect("all is accepted");
    }
    ids(scene).await
}

#[tokio::test]
async fn each_command_of_the_page_does_what_the_page_says() {
    let scene = scene().await;
    let kubectl = scene.cluster.plane.kubectl();
    with_people(&scene).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {"theirs": "kept"},
    });
    kubectl.apply(&theirs.to_string()).await.expect("it is accepted");
    let all: Vec<_> = shell_blocks().into_iter().filter(|block| !block.contains(WAY_OUT)).collect();
    assert_eq!(all.len(), 5, "is each of them run, and looked at below?");
    for block in &all {
        run(&scene, block).await;
    }
    let get = async |arguments: &[&str]| -> Value {
        let arguments = [&["get", "-o", "json"][..], arguments].concat();
        serde_json::from_str(&kubectl.run(arguments).await.expect("it is there")).expect("JSON")
    };
    let settings = get(&["configmap", "argocd-cm", "-n", "argocd"]).await;
    assert_eq!(settings["data"].as_object().expect("settings").len(), 7, "the scripts, and what was there");
    get(&["applications.argoproj.io", "kratos", "-n", "argocd"]).await;
    let steps = get(&["kustomizations.kustomize.toolkit.fluxcd.io", "-n", "flux-system"]).await;
    assert_eq!(steps["items"].as_array().expect("a list").len(), 3);
    let instance = get(&["kinst", "default", "-n", "identity"]).await;
    assert!(instance["metadata"]["annotations"]["kratos-operator.dev/release"].is_string(), "{instance:#}");
    let served = eventually("the request is served", WITHIN, async || {
        let ada = get(&["kid", "ada", "-n", "identity"]).await;
        let asked = ada["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"].clone();
        (asked.is_string() && ada["status"]["lastHandledReconcileAt"] == asked).then_some(())
    });
    served.await.expect("it is served");
}

/// Everything is deleted but the operator, which is gone already.
async fn deadlocked(scene: &mut Scene) {
    scene.operator().kill();
    let kubectl = scene.cluster.plane.kubectl();
    let crds = path("crds");
    for arguments in [
        vec!["delete", "--wait=false", "kid,ksp,kinst", "--all", "-n", "identity"],
        vec!["delete", "--wait=false", "-f", &crds],
    ] {
        kubectl.run(arguments).await.expect("it is accepted");
    }
    assert_eq!(left(scene).await, 3, "two people and the instance hang");
}

/// How many resources of ours are left.
async fn left(scene: &Scene) -> usize {
    let kubectl = scene.cluster.plane.kubectl();
    let mut count = 0;
    for kind in ["kratosidentities", "kratosinstances"] {
        let output = kubectl.output(["get", kind, "-A", "-o", "name"]).await.expect("it runs");
        // The kind goes with the last of its resources.
        count += if output.status.success() { String::from_utf8_lossy(&output.stdout).lines().count() } else { 0 };
    }
    count
}

async fn all_gone(scene: &Scene) {
    let kubectl = scene.cluster.plane.kubectl();
    let gone = eventually("resources and definitions are gone", WITHIN, async || {
        let definitions = kubectl.run(["get", "crds", "-o", "name"]).await.ok()?;
        (left(scene).await == 0 && !definitions.contains("kratos-operator.dev")).then_some(())
    });
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

async fn is_in_kratos(scene: &Scene, ids: &[String]) -> Vec<bool> {
    let mut found = Vec::new();
    for id in ids {
        let identity = scene.admin().get_identity(id, &[]).await.expect("Kratos answers");
        found.push(identity.is_some_and(|identity| identity.state == kratos_operator::kratos::State::Active));
    }
    found
}

#[tokio::test]
async fn an_operator_that_is_put_back_finishes_what_was_deleted_without_it() {
    let mut scene = scene().await;
    let before = with_people(&scene).await;
    deadlocked(&mut scene).await;
    assert_eq!(is_in_kratos(&scene, &before).await, [true, true], "nobody was touched");
    scene.operator().restart().expect("it starts");
    all_gone(&scene).await;
    // Grace's grace period runs: locked out, and still there.
    assert_eq!(is_in_kratos(&scene, &before).await, [false, false]);
}

#[tokio::test]
async fn where_no_operator_comes_back_resources_are_let_go_and_the_same_manifests_take_their_people_back() {
    let mut scene = scene().await;
    let before = with_people(&scene).await;
    deadlocked(&mut scene).await;
    let block = shell_blocks().into_iter().find(|block| block.contains(WAY_OUT)).expect("the way out");
    run(&scene, &block).await;
    all_gone(&scene).await;
    assert_eq!(is_in_kratos(&scene, &before).await, [true, true], "they stay as they were");

    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    scene.cluster.plane.install_crds(&crds).await.expect("the definitions are accepted");
    scene.operator().restart().expect("it starts");
    assert_eq!(with_people(&scene).await, before, "the same people");
}
