//! What README, docs and examples tell people to type is typed here, page by page as it is written: every manifest is applied and
//! every command is run by a shell, on a real cluster, with the operator and a real Kratos behind the URLs of the examples. What
//! starts an operator or a build of its own is run elsewhere: see [`is_run_here`].

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::scene::{Scene, is_namespaced};
use crate::testenv::process::component;
use crate::testenv::workdir::WorkDir;

/// The pages whose manifests and commands have tests of their own, since they take another stage.
const ELSEWHERE: [&str; 4] =
    ["docs/admission-policy.md", "docs/namespaced-mode.md", "docs/installation.md", "docs/gitops.md"];
/// Where the pages say that Kratos is.
const ADMIN: &str = "http://kratos-admin.identity.svc:4434";
const PUBLIC: &str = "http://kratos-public.identity.svc:4433";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of a document, with their language, in order.
fn all_blocks(document: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim().strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| line.trim() != "```").collect::<Vec<_>>().join("\n");
            found.push((language.to_owned(), block));
        }
    }
    found
}

/// Those in this language.
pub fn blocks(document: &str, language: &str) -> Vec<String> {
    all_blocks(document).into_iter().filter(|(spoken, _)| spoken == language).map(|(_, block)| block).collect()
}

/// The lines of all shell blocks.
pub fn commands(document: &str) -> Vec<String> {
    blocks(document, "sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Whether a block is a shell's on this stage. The demo, the benchmarks and builds are what `.ci/run` runs, an operator in the
/// foreground is what every other test starts, and probes, log levels, charts and pods have stages of their own.
fn is_run_here(block: &str) -> bool {
    let starts = ["curl ", "make ", "cargo ", "helm ", "kratos-operator run", "kratos-operator probe", "docker "];
    !block.lines().any(|line| starts.iter().any(|start| line.starts_with(start)))
}

/// The pages in the order of the site.
fn pages() -> Vec<String> {
    let summary = read("docs/SUMMARY.md");
    let linked = summary.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(')'));
    let pages: Vec<_> = linked.map(|page| format!("docs/{page}")).collect();
    assert!(pages.len() > 20, "{pages:?}");
    std::iter::once("README.md".to_owned()).chain(pages).collect()
}

/// A copy of what the commands read, with the URLs of this Kratos, and the programs that they call.
struct Stage {
    dir: WorkDir,
    scene: Scene,
}

impl Stage {
    async fn start() -> Self {
        let mut scene = Scene::own().await;
        // The pages install roles under the names that the stage's own have, for an account that isn't there.
        let kubeconfig = scene.cluster.plane.kubeconfig();
        scene
            .operator()
            .restart_with(|settings| {
                settings.kubeconfig = kubeconfig;
                settings.instance_namespaces = vec!["identity".into()];
                settings.default_instance = Some("identity/default".into());
            })
            .expect("it starts");
        let stage = Self { dir: WorkDir::new("documents-").expect("a directory"), scene };
        for folder in ["crds", "examples", "examples/rbac"] {
            std::fs::create_dir_all(stage.dir.path().join(folder)).expect("a directory");
            for entry in std::fs::read_dir(repository().join(folder)).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_file() {
                    let copy = stage.dir.path().join(folder).join(path.file_name().expect("a name"));
                    std::fs::write(copy, stage.with_urls(&read(&path))).expect("a file");
                }
            }
        }
        stage
    }

    fn with_urls(&self, text: &str) -> String {
        let (admin, public) = (self.scene.kratos.admin_url(), self.scene.kratos.public_url());
        let admin = admin.as_str().trim_end_matches('/');
        text.replace(ADMIN, admin).replace(PUBLIC, public.as_str().trim_end_matches('/'))
    }

    /// Runs a block as a person would type it, the first failure ending it.
    async fn run(&self, block: &str) -> Result<String, String> {
        let kubectl = component("kubectl");
        let own = Path::new(env!("CARGO_BIN_EXE_kratos-operator")).parent().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", kubectl.parent().expect("a folder").display(), own.display());
        let child = tokio::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(self.dir.path())
            .env("PATH", path)
            .env("KUBECONFIG", self.scene.cluster.plane.kubeconfig())
            .env("KUBECTL_KUBERC", "false")
            .env("KUBECACHEDIR", self.dir.path().join("kubectl-cache"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = child.await.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        Err(format!("{}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

/// Somebody who registered before anybody managed them, and whose address is verified.
async fn somebody_to_adopt(scene: &Scene) {
    let identity = json!({
        "schema_id": "customer", "traits": {"email": "lise@example.com"},
        "verifiable_addresses": [{"value": "lise@example.com", "verified": true, "via": "email", "status": "completed"}],
    });
    let (status, answer) =
        scene.kratos.raw(reqwest::Method::POST, "admin/identities", &identity).await.expect("Kratos answers");
    assert!(status.is_success(), "{status}: {answer}");
}

#[tokio::test]
async fn every_manifest_and_every_command_does_what_the_page_says() {
    if is_namespaced() {
        // The pages are about an operator with a cluster role; the page about one without has a test of its own.
        return;
    }
    let stage = Stage::start().await;
    somebody_to_adopt(&stage.scene).await;
    let mut ran = 0;
    for page in pages().into_iter().filter(|page| !ELSEWHERE.contains(&page.as_str())) {
        for (language, block) in all_blocks(&read(&page)) {
            let block = stage.with_urls(&block);
            let command = match language.as_str() {
                // The rest are fragments: of a pod, of somebody else's configuration.
                "yaml" if block.contains("apiVersion: kratos-operator.dev/") => {
                    format!("kubectl apply -f - <<'END_OF_MANIFEST'\n{block}\nEND_OF_MANIFEST")
                }
                "sh" if is_run_here(&block) => block,
                _ => continue,
            };
            if let Err(error) = stage.run(&command).await {
                let stands = stage.run("kubectl get kratos -A -o wide; kubectl get events -A").await;
                panic!("{page}:\n{command}\n\n{error}\n{}\n{}", stands.unwrap_or_default(), stage.scene.log());
            }
            ran += 1;
        }
    }
    assert!(ran > 60, "only {ran} blocks were found: are they still fenced?");
}

#[tokio::test]
async fn every_example_is_accepted() {
    if is_namespaced() {
        return;
    }
    let stage = Stage::start().await;
    let files = ["namespace.yaml", "instance.yaml", "customer.yaml", "employee.yaml", "session-policy.yaml"];
    for file in files {
        let command = format!("kubectl apply -f examples/{file}");
        stage.run(&command).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let there = std::fs::read_dir(repository().join("examples")).expect("examples").count();
    assert_eq!(there, files.len() + 1, "an example isn't tried; rbac/ has tests of its own");
    let ready =
        "kubectl wait kinst/default kid/ada kid/grace ksp/housekeeping -n identity --for=condition=Ready --timeout=60s";
    stage.run(ready).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.scene.log()));
}

#[tokio::test]
async fn the_command_that_starts_the_operator_makes_an_instance_ready() {
    if is_namespaced() {
        return;
    }
    let mut stage = Stage::start().await;
    let page = read("README.md");
    let command = commands(&page).into_iter().find(|command| command.starts_with("cargo run")).expect("the command");
    let arguments = command.split_once(" -- run ").expect("the operator's own arguments").1;
    let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
    stage
        .scene
        .operator()
        .restart_with(|settings| {
            settings.instance_namespaces.clear();
            settings.default_instance = None;
            settings.arguments = arguments;
        })
        .expect("it starts");
    let block = "kubectl apply -f examples/namespace.yaml -f examples/instance.yaml\n\
                 kubectl wait kinst/default -n identity --for=condition=Ready --timeout=60s";
    stage.run(block).await.unwrap_or_else(|error| panic!("{error}\n{}", stage.scene.log()));
}
