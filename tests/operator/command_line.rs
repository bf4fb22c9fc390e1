//! The command line: what is wrong is said in one line, what is right does what the help says.

use std::path::Path;
use std::process::{Command, Output};

use kratos_operator::api::{KratosIdentity, KratosInstance, condition};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::scene::{Scene, WITHIN, id_of, is_namespaced};
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;

/// The command in a directory of its own, without anything that points at a cluster.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kratos-operator"));
    command.args(arguments).current_dir(home).env_clear().env("HOME", home);
    command
}

fn output(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a directory");
    command(home.path(), arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Nothing but one line of complaint that holds this word.
#[track_caller]
fn assert_complaint(output: &Output, code: i32, word: &str) {
    let (out, complaint) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), out.as_str()), (Some(code), ""), "{complaint}");
    assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("kratos-operator: ") && complaint.contains(word), "{complaint}");
}

#[test]
fn a_wrong_command_line_is_one_line_of_complaint_and_exit_code_64() {
    let wrong: [(&[&str], &str); 14] = [
        (&[], "subcommand"),
        (&["walk"], "walk"),
        (&["--walk"], "--walk"),
        (&["run", "--walk"], "--walk"),
        (&["run", "far"], "far"),
        (&["run", "--default-instance", "nowhere"], "NAMESPACE/NAME"),
        (&["run", "--concurrency", "0"], "--concurrency"),
        (&["run", "--concurrency", "many"], "--concurrency"),
        (&["run", "--log-format", "xml"], "--log-format"),
        (&["run", "--metrics-address", "8080"], "--metrics-address"),
        (&["run", "--health-address", "8081"], "--health-address"),
        (&["run", "--debug-address", "0.0.0.0:6060"], "loopback"),
        (&["run", "--audit-log"], "--audit-log"),
        (&["crds", "--output"], "--output"),
    ];
    for (arguments, word) in wrong {
        assert_complaint(&output(arguments), 64, word);
    }
    let home = tempfile::tempdir().expect("a directory");
    let by_environment = command(home.path(), &["run"]).env("DEFAULT_INSTANCE", "nowhere").output().expect("it runs");
    assert_complaint(&by_environment, 64, "NAMESPACE/NAME");
}

#[test]
fn without_a_usable_kubeconfig_it_says_so_in_one_line() {
    let home = tempfile::tempdir().expect("a directory");
    let garbage = home.path().join("garbage");
    std::fs::write(&garbage, "no: [kubeconfig\n").expect("a file");
    let nobody = home.path().join("nobody");
    std::fs::write(&nobody, "{apiVersion: v1, kind: Config, current-context: none}\n").expect("a file");
    assert_complaint(&command(home.path(), &["run"]).output().expect("it runs"), 1, "kubeconfig");
    for kubeconfig in [home.path().join("missing"), garbage, nobody] {
        let output = command(home.path(), &["run"]).env("KUBECONFIG", kubeconfig).output().expect("it runs");
        assert_complaint(&output, 1, "kubeconfig");
    }
}

#[test]
fn help_and_version_are_printed_and_are_no_failure() {
    let asked: [(&[&str], &str); 5] = [
        (&["--help"], "crds"),
        (&["run", "--help"], "--default-instance"),
        (&["crds", "--help"], "--output"),
        (&["help"], "crds"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ];
    for (arguments, word) in asked {
        let output = output(arguments);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
        assert!(text(&output.stdout).contains(word), "{arguments:?}: {}", text(&output.stdout));
    }
}

#[tokio::test]
async fn crds_prints_what_kubernetes_accepts_and_writes_what_is_shipped() {
    let scene = Scene::shared().await;
    let directory = tempfile::tempdir().expect("a directory");
    let printed = directory.path().join("printed.yaml");
    std::fs::write(&printed, output(&["crds"]).stdout).expect("a file");
    let arguments = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "name", "-f"];
    let arguments = arguments.into_iter().chain([printed.to_str().expect("plain")]);
    let accepted = scene.cluster.plane.kubectl().run(arguments).await.expect("it is accepted");
    assert_eq!(accepted.lines().count(), 3, "{accepted}");

    let written = directory.path().join("written");
    let output = output(&["crds", "--output", written.to_str().expect("plain")]);
    assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(0), Vec::new(), Vec::new()));
    assert_eq!(files(&written), files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")));
}

#[test]
fn crds_that_can_not_be_written_are_one_line_of_complaint() {
    assert_complaint(&output(&["crds", "--output", "/dev/null/crds"]), 1, "/dev/null/crds");
}

/// Every file of a directory, name and text.
fn files(directory: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().display().to_string(), std::fs::read_to_string(entry.path()).expect("text")))
        .collect();
    files.sort();
    files
}

/// Applies an identity that names no instance, and waits until it is Ready.
async fn without_reference(scene: &Scene, name: &str) -> KratosIdentity {
    let object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": name, "namespace": scene.namespace},
        "spec": {"schemaID": "customer", "traits": {"email": format!("{name}@command.example")}},
    });
    let params = PatchParams::apply("test").force();
    scene.identities().patch(name, &params, &Patch::Apply(&object)).await.expect("it is accepted");
    scene.ready(name).await
}

/// Waits until an instance's Ready has this reason.
async fn instance_says(scene: &Scene, namespace: &str, name: &str, reason: &str) {
    let instances = Api::<KratosInstance>::namespaced(scene.client.clone(), namespace);
    let said = eventually(reason, WITHIN, async || {
        let status = instances.get_opt(name).await.ok()??.status?;
        condition::find(&status.conditions, "Ready").filter(|ready| ready.reason == reason).map(drop)
    });
    said.await.unwrap_or_else(|error| panic!("{namespace}/{name}: {error}"));
}

#[tokio::test]
async fn the_default_instance_serves_who_names_none_and_counts_beside_those_of_the_operators_namespace() {
    if is_namespaced() {
        // The operator's own namespace isn't among those that it works in.
        return;
    }
    let mut scene = Scene::own().await;
    // What an instance's protection counts may not be read beside the operator here.
    scene.cluster.plane.refuses_on_purpose().expect("a mark");
    let home = format!("{}/default", scene.namespace);
    let set = |default: String| {
        |settings: &mut crate::testenv::operator::Settings| {
            settings.default_instance = Some(default);
            settings.instance_namespaces = Vec::new();
            settings.arguments = vec!["--namespace".to_owned(), "default".to_owned()];
        }
    };
    scene.operator().restart_with(set(home)).expect("it starts");
    scene.instance(json!({})).await;
    let ada = without_reference(&scene, "ada").await;
    let chosen = ada.status.as_ref().and_then(|status| status.instance.clone()).expect("it was chosen");
    assert_eq!((chosen.name.as_str(), chosen.namespace.as_deref()), ("default", Some(scene.namespace.as_str())));

    let third = scene.other_namespace("third", &[]).await;
    let untouched = Proxy::before_kratos(scene.kratos.admin_url().as_str()).expect("a proxy");
    let elsewhere = scene.instance_spec(json!({"adminURL": untouched.url(), "publicURL": null}));
    scene.apply_instance("default", "other", scene.instance_spec(json!({}))).await;
    scene.apply_instance(&third, "elsewhere", elsewhere).await;
    instance_says(&scene, "default", "other", "Reconciled").await;
    instance_says(&scene, &third, "elsewhere", "NotPermitted").await;
    assert_eq!(untouched.counts(), [].into(), "not one request is sent");

    // What was chosen stays chosen, whatever the default is later.
    scene.operator().restart_with(set("default/other".to_owned())).expect("it starts");
    instance_says(&scene, &scene.namespace, "default", "NotPermitted").await;
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    scene.stalled("ada", "NotPermitted").await;
    let kept = scene.in_kratos(&ada).await;
    assert_eq!((kept.id.as_str(), &kept.traits.read().unwrap()["age"]), (id_of(&ada).as_str(), &json!(null)));
}
