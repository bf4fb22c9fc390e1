//! The admission policy on a real API server: what `admission-policy` prints is accepted, gives exactly the resources that it is
//! bound to our finalizer, and neither those who apply manifests nor the operator fight over it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kratos_operator::api::{IDENTITY_FINALIZER, KratosIdentity};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::many::{CREATE, FINALIZER, STATUS};
use crate::scene::{Scene, WITHIN, merge};
use crate::testenv::process::{component, eventually};

const THEIRS: &str = "example.com/theirs";

/// Everything that the command prints.
pub fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kratos-operator")).arg("admission-policy").args(arguments).output();
    let output = output.expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A policy that was applied.
pub struct Policed<'a> {
    scene: &'a Scene,
    name: String,
}

impl Policed<'_> {
    pub async fn end(self) {
        let kinds = "mutatingadmissionpolicybinding,mutatingadmissionpolicy";
        self.scene.cluster.plane.kubectl().run(["delete", kinds, &self.name]).await.expect("it is deleted");
    }
}

/// Applies the policy for the scene's namespace and waits until new resources are given the finalizer.
pub async fn policed(scene: &Scene) -> Policed<'_> {
    let arguments = ["--namespaces", scene.namespace.as_str()];
    policed_by(scene, &scene.namespace, &arguments, json!({})).await
}

/// Applies the policy with these arguments and waits until it has taken hold of resources with such labels.
pub async fn policed_by<'a>(scene: &'a Scene, name: &str, arguments: &[&str], labels: Value) -> Policed<'a> {
    let arguments: Vec<_> = ["--name", name].iter().chain(arguments).copied().collect();
    let mut sample = trial(&scene.namespace);
    sample["metadata"]["labels"] = labels;
    let policy = printed(&arguments);
    let installed = scene.cluster.plane.install_policy(&policy, &sample, IDENTITY_FINALIZER);
    installed.await.expect("the policy is accepted, and takes hold");
    Policed { scene, name: name.to_owned() }
}

/// A resource as it would be created, were it created now.
async fn born(scene: &Scene, namespace: &str, changes: Value) -> kube::Result<KratosIdentity> {
    let mut object = trial(namespace);
    merge(&mut object, changes);
    let object = serde_json::from_value(object).expect("a manifest");
    let params = PostParams { dry_run: true, ..PostParams::default() };
    Api::<KratosIdentity>::namespaced(scene.client.clone(), namespace).create(&params, &object).await
}

fn trial(namespace: &str) -> Value {
    json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": "trial", "namespace": namespace},
        "spec": {"schemaID": "plain", "traits": {"label": "trial"}},
    })
}

fn carries(resource: &KratosIdentity, finalizer: &str) -> bool {
    finalizers(resource).contains(&finalizer)
}

fn finalizers(resource: &KratosIdentity) -> Vec<&str> {
    resource.metadata.finalizers.iter().flatten().map(String::as_str).collect()
}

/// The manifest of a resource without anything unique, as somebody writes it into a file.
fn manifest(scene: &Scene, name: &str, finalizers: Option<&[&str]>) -> Value {
    let mut object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": name, "namespace": scene.namespace},
        "spec": {
            "instanceRef": {"name": "default", "namespace": scene.namespace},
            "schemaID": "plain", "traits": {"label": name},
        },
    });
    if let Some(finalizers) = finalizers {
        object["metadata"]["finalizers"] = json!(finalizers);
    }
    object
}

#[tokio::test]
async fn whatever_selection_it_is_printed_for_the_api_server_accepts_it() {
    let scene = Scene::shared().await;
    let kubectl = scene.cluster.plane.kubectl();
    let selections: [&[&str]; 4] = [
        &[],
        &["--namespaces", "a,b", "--name", "confined"],
        &["--watch-selector", "shard=a,team!=x,!off,on,zone in (a,b),site notin (c)", "--name", "shard-a"],
        &["--namespaces", "a", "--watch-selector", "shard=a"],
    ];
    for selection in selections {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("policy.yaml");
        std::fs::write(&file, printed(selection)).expect("a file");
        let arguments = ["create", "--dry-run=server", "--validate=strict", "-o", "name", "-f"];
        let created = kubectl.run(arguments.into_iter().chain([file.to_str().expect("plain")])).await;
        let created = created.unwrap_or_else(|error| panic!("{selection:?}: {error}"));
        assert_eq!(created.lines().count(), 2, "{created}");
    }
}

#[tokio::test]
async fn it_gives_the_finalizer_to_what_is_created_where_it_is_bound_and_nowhere_else() {
    let scene = Scene::shared().await;
    let other = scene.other_namespace("other", &[]).await;
    let policy = policed(&scene).await;
    let given = async |namespace: &str, metadata: Value| {
        let born = born(&scene, namespace, json!({ "metadata": metadata })).await.expect("it would be accepted");
        let mut given: Vec<_> = finalizers(&born).into_iter().map(str::to_owned).collect();
        given.sort();
        given
    };
    let here = scene.namespace.as_str();
    assert_eq!(given(here, json!({})).await, [IDENTITY_FINALIZER]);
    assert_eq!(given(here, json!({"finalizers": [THEIRS]})).await, [THEIRS, IDENTITY_FINALIZER], "a user's own stays");
    assert_eq!(given(here, json!({"finalizers": [IDENTITY_FINALIZER]})).await, [IDENTITY_FINALIZER], "once");
    let both = [IDENTITY_FINALIZER, THEIRS];
    assert_eq!(given(here, json!({ "finalizers": both })).await, [THEIRS, IDENTITY_FINALIZER]);
    assert_eq!(given(&other, json!({})).await, [""; 0], "another namespace");

    // What isn't created is none of its business.
    let instance = scene.instance(json!({})).await;
    assert!(!instance.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == IDENTITY_FINALIZER));
    policy.end().await;
    let is_gone = eventually("the policy is gone", WITHIN, async || {
        let born = born(&scene, &scene.namespace, json!({})).await.ok()?;
        finalizers(&born).is_empty().then_some(())
    });
    is_gone.await.expect("it goes");
}

#[tokio::test]
async fn with_a_selector_it_is_bound_to_what_the_operator_reconciles() {
    let scene = Scene::shared().await;
    let arguments = ["--namespaces", scene.namespace.as_str(), "--watch-selector", "shard in (a,b),!off"];
    let policy = policed_by(&scene, &scene.namespace, &arguments, json!({"shard": "a"})).await;
    let given = async |labels: Value| {
        let born = born(&scene, &scene.namespace, json!({"metadata": {"labels": labels}})).await;
        carries(&born.expect("it would be accepted"), IDENTITY_FINALIZER)
    };
    assert!(given(json!({"shard": "a"})).await && given(json!({"shard": "b", "team": "x"})).await);
    assert!(
        !given(json!({})).await
            && !given(json!({"shard": "c"})).await
            && !given(json!({"shard": "a", "off": ""})).await
    );
    policy.end().await;
}

/// As Argo CD and Flux do it: applied by the server, with force, again and again.
#[tokio::test]
async fn whoever_applies_by_the_server_neither_takes_it_away_nor_writes_anything_again() {
    let scene = Scene::settled().await;
    let policy = policed(&scene).await;
    scene.count_from_now();
    let api = scene.identities();
    for (name, finalizers) in [("ada", None), ("grace", Some([THEIRS]))] {
        let object = manifest(&scene, name, finalizers.as_ref().map(<[&str; 1]>::as_slice));
        let apply = async || {
            let params = PatchParams::apply("argocd-controller").force();
            api.patch(name, &params, &Patch::Apply(&object)).await.expect("it is accepted")
        };
        apply().await;
        let ready = scene.ready(name).await;
        for _ in 0..3 {
            let again = apply().await;
            assert_eq!(again.metadata.resource_version, ready.metadata.resource_version, "{name}: nothing differs");
        }
        assert!(carries(&ready, IDENTITY_FINALIZER));
        assert_eq!(carries(&ready, THEIRS), finalizers.is_some());
        assert_eq!(ready.metadata.generation, Some(1));
        // Whose field is it? Nobody's who applies: what nobody applied, nobody's next apply takes away.
        let managers = ready.metadata.managed_fields.iter().flatten();
        let applied = managers.filter(|manager| manager.operation.as_deref() == Some("Apply"));
        let applied = serde_json::to_string(&applied.collect::<Vec<_>>()).expect("JSON");
        assert!(!applied.contains(IDENTITY_FINALIZER), "{applied}");
        assert_eq!(applied.contains(THEIRS), finalizers.is_some(), "{applied}");
    }
    assert_eq!(scene.kubernetes_writes(), [STATUS, STATUS]);
    let params = PatchParams::default();
    let patch = json!({"metadata": {"finalizers": [IDENTITY_FINALIZER]}});
    api.patch("grace", &params, &Patch::Merge(&patch)).await.expect("theirs is taken away");
    policy.end().await;
}

/// As a person with kubectl does it: applied by the client, which compares with what it applied before.
#[tokio::test]
async fn whoever_applies_by_the_client_neither_takes_it_away_nor_writes_anything_again() {
    let scene = Scene::settled().await;
    let policy = policed(&scene).await;
    scene.count_from_now();
    let kubectl = scene.cluster.plane.kubectl();
    let object = manifest(&scene, "ada", None);
    kubectl.apply(&object.to_string()).await.expect("it is applied");
    let ready = scene.ready("ada").await;
    for _ in 0..3 {
        let said = kubectl.apply(&object.to_string()).await.expect("it is applied");
        assert!(said.contains("unchanged"), "{said}");
    }
    let changed = {
        let mut object = object;
        object["spec"]["traits"]["label"] = json!("another");
        object
    };
    kubectl.apply(&changed.to_string()).await.expect("it is applied");
    let again = scene.ready("ada").await;
    assert_eq!(finalizers(&again), finalizers(&ready));
    assert_eq!(finalizers(&again), [IDENTITY_FINALIZER]);
    assert_eq!(scene.kubernetes_writes(), [STATUS, STATUS], "one for each generation");
    policy.end().await;
}

#[tokio::test]
async fn who_puts_a_manifest_without_it_finds_it_added_again_and_the_identity_is_the_same() {
    let scene = Scene::settled().await;
    let policy = policed(&scene).await;
    scene.count_from_now();
    let api = scene.identities();
    let object: KratosIdentity = serde_json::from_value(manifest(&scene, "ada", None)).expect("a manifest");
    api.create(&PostParams::default(), &object).await.expect("it is accepted");
    let ready = scene.ready("ada").await;
    let mut put = object;
    put.metadata.resource_version.clone_from(&ready.metadata.resource_version);
    let put = api.replace("ada", &PostParams::default(), &put).await.expect("it is accepted");
    assert_eq!(finalizers(&put), [""; 0], "the policy is about creation alone");
    let again =
        scene.until("ada", "it carries the finalizer", |now| carries(now, IDENTITY_FINALIZER).then_some(())).await;
    assert_eq!(crate::scene::id_of(&again), crate::scene::id_of(&ready));
    assert_eq!(scene.kubernetes_writes(), [STATUS, FINALIZER]);
    assert_eq!(scene.proxy.count(CREATE), 1, "{:?}", scene.proxy.counts());
    policy.end().await;
}

/// A manifest that lists finalizers of its own is a list to a client that applies: it takes away what isn't on it. So it was
/// without a policy. Each such apply costs the write that adds ours again, and nothing else.
#[tokio::test]
async fn a_manifest_with_finalizers_of_its_own_costs_a_write_where_a_client_applies_it_and_is_safe() {
    let scene = Scene::settled().await;
    let policy = policed(&scene).await;
    scene.count_from_now();
    let kubectl = scene.cluster.plane.kubectl();
    let object = manifest(&scene, "ada", Some(&[THEIRS])).to_string();
    kubectl.apply(&object).await.expect("it is applied");
    let ready = scene.ready("ada").await;
    let both = |now: &KratosIdentity| (carries(now, IDENTITY_FINALIZER) && carries(now, THEIRS)).then_some(());
    scene.until("ada", "both finalizers", both).await;
    kubectl.apply(&object).await.expect("it is applied again");
    let again = scene.until("ada", "both finalizers", both).await;
    assert_eq!(crate::scene::id_of(&again), crate::scene::id_of(&ready));
    assert_eq!(scene.proxy.count(CREATE), 1, "{:?}", scene.proxy.counts());

    // Deleted, it waits for the others only; ours goes with the identity.
    scene.identities().delete("ada", &DeleteParams::default()).await.expect("it can be deleted");
    scene.until("ada", "ours is gone", |now| (finalizers(now) == [THEIRS]).then_some(())).await;
    let left = scene.ours().await;
    assert!(left.iter().all(|identity| identity.id != crate::scene::id_of(&ready)), "{left:?}");
    scene.patch("ada", json!({"metadata": {"finalizers": null}})).await;
    scene.gone("ada").await;
    policy.end().await;
}

/// Everything that the page tells people to type is typed here, in its order.
#[tokio::test]
async fn what_the_page_says_is_so() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/admission-policy.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let shown = crate::documents::blocks(&page, "yaml");
    assert_eq!(format!("{}\n", shown.first().expect("the policy")), printed(&[]), "the page shows what is printed");

    let scene = Scene::own().await;
    scene.make_namespace("identity", &[]).await;
    let home = tempfile::tempdir().expect("a directory");
    let folder = |path: &Path| path.parent().expect("a folder").display().to_string();
    let own = folder(Path::new(env!("CARGO_BIN_EXE_kratos-operator")));
    let path = format!("{own}:{}:/usr/bin:/bin", folder(&component("kubectl")));
    let commands = crate::documents::commands(&page);
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let typed = async || {
            let output = tokio::process::Command::new("sh")
                .args(["-c", &command])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .env_clear()
                .envs([("PATH", path.as_str()), ("KUBECTL_KUBERC", "false")])
                .env("HOME", home.path())
                .env("KUBECONFIG", scene.cluster.plane.kubeconfig())
                .output();
            output.await.expect("it runs")
        };
        // As the page says, it is some seconds until the policy has taken hold.
        let expected = if command.contains("finalizers") { IDENTITY_FINALIZER } else { "" };
        let said = eventually(&command, Duration::from_secs(30), async || {
            let output = typed().await;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && said.contains(expected)).then_some(said)
        });
        said.await.expect("what the page says");
    }
}
