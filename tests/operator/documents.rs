//! What README, docs and examples tell people to type is typed here: every manifest is applied, every kubectl command
//! is run, every make target and every flag exists.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a document that are in this language.
pub fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            found.push(lines.by_ref().take_while(|line| line.trim() != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

/// The lines of all shell blocks.
pub fn commands(document: &str) -> Vec<String> {
    blocks(document, "sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A shell's words, with single quotes.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[tokio::test]
async fn every_manifest_and_every_kubectl_command_is_accepted_by_a_real_cluster() {
    let scene = Scene::own().await;
    let kubectl = scene.cluster.plane.kubectl();
    let readme = read("README.md");
    let mut ran = 0;
    // In the order of the page: the definitions, the namespace and the instance come before what needs them.
    let install = commands(&readme).into_iter().filter(|command| command.starts_with("kubectl apply"));
    for command in install {
        let mut arguments = words(&command)[1..].to_vec();
        if let Some(at) = arguments.iter().position(|word| word == "-f") {
            arguments[at + 1] = repository().join(&arguments[at + 1]).to_string_lossy().into_owned();
        }
        kubectl.run(&arguments).await.unwrap_or_else(|error| panic!("{command}: {error}"));
        ran += 1;
    }
    for path in ["README.md", "docs/architecture.md", "docs/high-availability.md"] {
        for manifest in blocks(&read(path), "yaml") {
            kubectl.apply(&manifest).await.unwrap_or_else(|error| panic!("{path}: {error}\n{manifest}"));
            ran += 1;
        }
    }
    for example in ["customer.yaml", "employee.yaml", "instance.yaml", "namespace.yaml", "session-policy.yaml"] {
        kubectl.apply(&read(&format!("examples/{example}"))).await.unwrap_or_else(|error| panic!("{example}: {error}"));
    }
    let others = commands(&readme).into_iter().chain(commands(&read("docs/high-availability.md")));
    let others = others.filter(|command| command.starts_with("kubectl ") && !command.starts_with("kubectl apply"));
    for command in others {
        kubectl.run(&words(&command)[1..]).await.unwrap_or_else(|error| panic!("{command}: {error}"));
        ran += 1;
    }
    assert!(ran >= 8, "only {ran} commands and manifests were found: are they still in fenced blocks?");
    assert_eq!(
        std::fs::read_dir(repository().join("examples")).expect("examples").count(),
        6,
        "an example isn't tried"
    );
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    let named: Vec<_> =
        commands(&read("README.md")).into_iter().filter(|command| command.starts_with("make ")).collect();
    assert!(named.len() >= 4, "{named:?}");
    for command in named {
        let target = words(&command)[1].clone();
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{command}");
    }
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let documents =
        ["architecture", "audit-log", "high-availability", "logging", "metrics", "namespaced-mode", "probes"];
    let documents = documents.map(|name| format!("docs/{name}.md"));
    for path in documents.iter().map(String::as_str).chain(["README.md"]) {
        let named = read(path);
        let named = named
            .split(|letter: char| letter.is_whitespace() || "`()|".contains(letter))
            .map(|word| word.trim_end_matches([',', '.', ';', ':']));
        let named =
            named.filter(|word| ["src/", "tests/", "docs/", "examples/"].iter().any(|folder| word.starts_with(folder)));
        for name in named.filter(|name| !name.contains('*')) {
            assert!(Path::new(&repository()).join(name).exists(), "{path} names {name}");
        }
    }
}

#[tokio::test]
async fn the_command_that_starts_the_operator_makes_an_instance_ready() {
    let mut scene = Scene::own().await;
    let readme = read("README.md");
    let command = commands(&readme).into_iter().find(|command| command.starts_with("cargo run")).expect("the command");
    let arguments = words(&command);
    let own = arguments
        .iter()
        .position(|word| word == "run")
        .into_iter()
        .chain(arguments.iter().rposition(|word| word == "run"));
    let after = own.last().expect("run");
    let arguments = arguments[after + 1..].to_vec();
    scene
        .operator()
        .restart_with(|settings| {
            settings.instance_namespaces.clear();
            settings.arguments = arguments;
        })
        .expect("it starts");
    scene.make_namespace("identity", &[]).await;
    scene.apply_instance("identity", "default", scene.instance_spec(json!({}))).await;
    let kubectl = scene.cluster.plane.kubectl();
    let ready = eventually("the instance is Ready", WITHIN, async || {
        let shown = kubectl.run(["get", "kinst", "-n", "identity", "default"]).await.ok()?;
        shown.contains("True").then_some(shown)
    });
    ready.await.expect("the instance is Ready");
}
