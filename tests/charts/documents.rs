//! What the page about the installation and the charts' READMEs tell people to type is typed here, in the order of the page, by
//! a shell with the real Helm and kubectl, against a real API server. What needs pods is left to `make e2e`.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::generated::{root, there};
use crate::helm::{objects, of_kind, rendered};
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::process::component;
use crate::testenv::workdir::WorkDir;

/// What isn't published stands in this repository.
const PUBLISHED: [(&str, &str); 4] = [
    ("oci://ghcr.io/kratos-operator/charts/", "charts/"),
    (
        concat!(
            "https://github.com/kratos-operator/kratos-operator/releases/download/v",
            env!("CARGO_PKG_VERSION"),
            "/install.yaml"
        ),
        "deploy/install.yaml",
    ),
    (concat!(" --version ", env!("CARGO_PKG_VERSION")), ""),
    // There is no node.
    (" --wait", ""),
];

/// The shell blocks of a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// A person at a shell in the repository's root.
struct Shell {
    kubeconfig: std::path::PathBuf,
    dir: WorkDir,
}

impl Shell {
    fn new(plane: &ControlPlane) -> Self {
        let dir = WorkDir::new("shell-").expect("a directory");
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).expect("a directory");
        for name in ["helm", "kubectl"] {
            std::os::unix::fs::symlink(component(name), bin.join(name)).expect("a link");
        }
        Self { kubeconfig: plane.kubeconfig(), dir }
    }

    async fn run(&self, script: &str, current_dir: &std::path::Path) -> Result<String, String> {
        let home = |name: &str| self.dir.path().join(name);
        let path = format!("{}:{}", home("bin").display(), std::env::var("PATH").unwrap_or_default());
        let output = tokio::process::Command::new("sh")
            .args(["-euc", script])
            .current_dir(current_dir)
            .env("PATH", path)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"))
            .env("KUBECACHEDIR", home("kubectl"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

fn here(script: &str) -> String {
    PUBLISHED.iter().fold(script.to_owned(), |script, (published, ours)| script.replace(published, ours))
}

#[tokio::test]
async fn every_command_of_the_page_works_in_its_order() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let shell = Shell::new(&plane);
    let page = there("docs/installation.md");
    let overlay = shell.dir.path().join("overlay");
    std::fs::create_dir(&overlay).expect("a directory");
    let base = "https://github.com/kratos-operator/kratos-operator//deploy?ref=v0.1.0";
    let kustomization =
        blocks(&page, "yaml").into_iter().find(|it| it.contains("kind: Kustomization")).expect("an overlay");
    assert!(kustomization.contains(base), "{kustomization}");
    std::os::unix::fs::symlink(root().join("deploy"), shell.dir.path().join("deploy")).expect("a link");
    std::fs::write(overlay.join("kustomization.yaml"), kustomization.replace(base, "../deploy")).expect("a file");
    let (mut ran, mut pods) = (0, 0);
    for script in blocks(&page, "sh") {
        if script.starts_with("helm test ") {
            pods += 1;
            continue;
        }
        let is_overlay = script.contains(" -k .");
        let current_dir = if is_overlay { &overlay } else { &root() };
        if is_overlay {
            // The base's definitions are those that the manifest installed, by the same hand.
            shell.run("kubectl create namespace identity || true", current_dir).await.expect("a namespace");
        }
        shell.run(&here(&script), current_dir).await.unwrap_or_else(|error| panic!("{script}\n{error}"));
        ran += 1;
    }
    assert_eq!((ran, pods), (7, 1), "a block was added, or is left out: is it in the right language?");
    let args = "kubectl get deployment kratos-operator -n identity -o jsonpath='{.spec.template.spec.containers[0]}'";
    let container = shell.run(args, &root()).await.expect("the overlay's");
    assert!(
        container.contains("--default-instance=identity/default") && container.contains("registry.example.com/"),
        "{container}"
    );
}

#[tokio::test]
async fn the_commands_of_the_charts_are_accepted() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let shell = Shell::new(&plane);
    let uninstall = "helm uninstall kratos-operator --namespace kratos-operator";
    let before: Vec<_> =
        blocks(&there("README.md"), "sh").into_iter().filter(|it| it.contains("create namespace")).collect();
    assert_eq!(before.len(), 1, "README.md");
    shell.run(&before[0], &root()).await.expect("a namespace");
    for page in ["README.md", "charts/kratos-operator/README.md", "charts/kratos-instance/README.md"] {
        let blocks: Vec<_> = blocks(&there(page), "sh").into_iter().filter(|it| it.contains("helm install ")).collect();
        assert_eq!(blocks.len(), 1, "{page}");
        shell.run(&here(&blocks[0]), &root()).await.unwrap_or_else(|error| panic!("{page}: {}\n{error}", blocks[0]));
        if page == "README.md" {
            shell.run(uninstall, &root()).await.expect("it is uninstalled, to be installed again");
        }
    }
}

/// What the manifest installs is what it says: nothing of Helm's, and everything that the chart has.
#[test]
fn the_manifest_knows_nothing_of_helm() {
    let text = there("deploy/install.yaml");
    assert!(!text.contains("helm") && !text.contains("Helm"), "{text}");
    let objects = objects(&text);
    assert_eq!(objects[0]["kind"], "Namespace");
    assert_eq!((of_kind(&objects, "CustomResourceDefinition").len(), of_kind(&objects, "Deployment").len()), (3, 1));
    let namespaces = objects.iter().filter_map(|object| object["metadata"]["namespace"].as_str());
    assert!(namespaces.into_iter().all(|namespace| namespace == "kratos-operator"));
}

/// The values on the page are values, and together they select everything once.
#[tokio::test]
async fn the_pages_shards_share_the_resources() {
    let page = there("docs/installation.md");
    let values = blocks(&page, "yaml").into_iter().find(|it| it.starts_with("shards:")).expect("an example");
    let values: Value = serde_saphyr::from_str(&values).expect("YAML");
    let objects = rendered(&values).await;
    let arguments: Vec<_> = of_kind(&objects, "Deployment")
        .iter()
        .flat_map(|it| it["spec"]["template"]["spec"]["containers"][0]["args"].as_array().expect("arguments").clone())
        .filter(|it| it.as_str().is_some_and(|it| it.starts_with("--watch-selector=")))
        .collect();
    assert_eq!(arguments, ["--watch-selector=shard=a", "--watch-selector=shard notin (a)"]);
}

#[test]
fn the_page_names_values_that_are_there() {
    let values: Value = serde_saphyr::from_str(&there("charts/kratos-operator/values.yaml")).expect("YAML");
    let page = there("docs/installation.md");
    let rows =
        page.lines().skip_while(|line| *line != "| value | why |").skip(2).take_while(|line| line.starts_with("| `"));
    let named: Vec<_> =
        rows.flat_map(|row| row.split('|').nth(1).expect("a cell").split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let found = name.trim_end_matches(".*").split('.').fold(&values, |value, name| &value[name]);
        assert!(*found != Value::Null || json!(name) == "replicas", "{name} is no value");
    }
}
