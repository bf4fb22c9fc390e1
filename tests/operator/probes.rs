//! What the kubelet is told, and what the log says, while the operator has nothing to work with: no API server, no
//! definitions; and at its end.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};

use crate::many::{CREATE, customer};
use crate::scene::{Cluster, Scene, WITHIN};
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::{component, eventually};
use crate::testenv::proxy::Proxy;
use crate::traces;

const LISTS: [&str; 3] = ["LIST kratosidentities", "LIST kratosinstances", "LIST kratossessionpolicies"];
const LOST: &str = "the API server doesn't answer";
const FOUND: &str = "the API server answers again";
const LACKING: &str = "install them with: kratos-operator crds | kubectl apply --server-side -f -";
/// Of what fails meanwhile, so much has been tried when the log is read.
const TRIES: usize = 6;

/// Adds what an operator needs to answer probes at a free port of its own.
pub fn with_probes(settings: &mut Settings) {
    settings.arguments.extend(["--health-address", "127.0.0.1:0"].map(str::to_owned));
}

/// Where an operator serves something, by its log: the last one that was started.
pub fn served_at(log: &str, what: &str) -> Option<String> {
    let line = log.lines().rfind(|line| line.contains(&format!("{what} are served")))?;
    line.split_once("address=").map(|(_, address)| address.trim().to_owned())
}

/// Status and body of an answer.
async fn probe(operator: &Operator, path: &str) -> Option<(u16, String)> {
    let address = served_at(&operator.log(), "probes")?;
    let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// Waits until a probe is answered with this status; returns the body.
async fn until_probe(operator: &Operator, path: &str, status: u16) -> String {
    let mut last = None;
    let what = format!("{path} answers {status}");
    let answered = eventually(&what, WITHIN, async || {
        last = probe(operator, path).await;
        last.clone().filter(|(now, _)| *now == status).map(|(_, body)| body)
    });
    answered.await.unwrap_or_else(|error| panic!("{error}: {last:?}\n{}", operator.tail()))
}

async fn assert_live(operator: &Operator) {
    let live = probe(operator, "/livez").await;
    assert_eq!(live, Some((200, "ok".to_owned())), "{}", operator.tail());
}

/// The lines of warnings and errors.
fn complaints(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect()
}

async fn logged(operator: &Operator, words: &str) {
    let logged = eventually(words, WITHIN, async || operator.log().contains(words).then_some(()));
    logged.await.unwrap_or_else(|error| panic!("{error}\n{}", operator.tail()));
}

/// Waits until each of these was asked for so often more than before.
async fn tried(proxy: &Proxy, requests: &[&str], times: usize) {
    let before: Vec<_> = requests.iter().map(|request| proxy.count(request)).collect();
    let tried = eventually("it is tried again and again", WITHIN * 2, async || {
        let now = requests.iter().map(|request| proxy.count(request));
        now.zip(&before).all(|(now, before)| now >= before + times).then_some(())
    });
    tried.await.unwrap_or_else(|error| panic!("{error}: {:?}", proxy.counts()));
}

/// A control plane without our definitions.
async fn bare_cluster() -> Cluster {
    let cluster = Cluster::start().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.plane.client().await.expect("a client"));
    for definition in definitions.list(&ListParams::default()).await.expect("a list") {
        definitions.delete(&definition.name_any(), &DeleteParams::default()).await.expect("it is deleted");
    }
    let gone = eventually("the definitions are gone", WITHIN, async || {
        definitions.list(&ListParams::default()).await.ok()?.items.is_empty().then_some(())
    });
    gone.await.expect("they go");
    cluster
}

fn start(cluster: &Cluster) -> Operator {
    let mut settings = cluster.operator(vec!["default".to_owned()]);
    with_probes(&mut settings);
    settings.replicas = 1;
    let operator = Operator::start(settings).expect("the operator starts");
    traces::of_this_run().follow(&operator);
    operator
}

#[tokio::test]
async fn without_definitions_it_says_once_how_to_install_them_and_goes_on_when_they_come() {
    let cluster = bare_cluster().await;
    let mut operator = start(&cluster);
    logged(&operator, LACKING).await;
    tried(&cluster.proxy, &LISTS, TRIES).await;
    operator.still_running().expect("it waits");
    assert_live(&operator).await;
    let body = until_probe(&operator, "/readyz", 500).await;
    for kind in ["KratosIdentity", "KratosInstance", "KratosSessionPolicy"] {
        assert!(body.contains(&format!("[-]watch of {kind} failed: no complete list yet\n")), "{body}");
    }
    assert!(body.contains("[+]API server ok\n") && body.contains("[+]watch of Namespace ok\n"), "{body}");
    let log = operator.log();
    let [line] = complaints(&log)[..] else { panic!("one line: {:#?}", complaints(&log)) };
    let definitions = ["kratosidentities", "kratosinstances", "kratossessionpolicies"];
    let named = definitions.map(|plural| format!("{plural}.kratos-operator.dev")).join(", ");
    assert!(line.contains(LACKING) && line.contains(&named), "{line}");

    // The very command that it names.
    let (_, command) = line.split_once("install them with: ").expect("a command");
    let (command, _) = command.split_once(" definitions=").expect("the field after it");
    let path = [component("kubectl"), env!("CARGO_BIN_EXE_kratos-operator").into()];
    let path = path.map(|binary| binary.parent().expect("a directory").display().to_string()).join(":");
    let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("PATH", path).env("KUBECONFIG", cluster.plane.kubeconfig());
    let output = shell.output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(until_probe(&operator, "/readyz", 200).await, "ok");
    logged(&operator, "the definitions are there").await;
    assert!(until_probe(&operator, "/readyz?verbose", 200).await.ends_with("\nreadyz check passed\n"));

    // One that goes while it runs.
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.plane.client().await.expect("a client"));
    let name = "kratossessionpolicies.kratos-operator.dev";
    definitions.delete(name, &DeleteParams::default()).await.expect("it is deleted");
    logged(&operator, &format!("definitions=\"{name}\"")).await;
    assert_live(&operator).await;
    assert_eq!(until_probe(&operator, "/readyz", 200).await, "ok", "it serves what is there");
    operator.still_running().expect("it waits");
}

#[tokio::test]
async fn an_api_server_that_is_away_is_said_once_and_kills_nobody() {
    let cluster = Cluster::start().await;
    cluster.proxy.down();
    let mut operator = start(&cluster);
    logged(&operator, LOST).await;
    assert_live(&operator).await;
    let body = until_probe(&operator, "/readyz", 500).await;
    assert!(body.starts_with("[-]API server failed: no answer yet\n"), "{body}");
    // Reading the namespace of the cluster's id has been tried again and again by then.
    operator.still_running().expect("it waits");
    cluster.proxy.up().expect("the proxy is back");
    assert_eq!(until_probe(&operator, "/readyz", 200).await, "ok");
    logged(&operator, FOUND).await;
    assert_eq!(complaints(&operator.log()).len(), 1, "{:#?}", complaints(&operator.log()));

    // It goes while everything is watched.
    cluster.proxy.down();
    let lines = |words: &str| operator.log().lines().filter(|line| line.contains(words)).count();
    let lost = eventually("it is lost again", WITHIN, async || (lines(LOST) == 2).then_some(()));
    lost.await.unwrap_or_else(|error| panic!("{error}\n{}", operator.tail()));
    assert_live(&operator).await;
    assert_eq!(until_probe(&operator, "/readyz", 200).await, "ok", "it knows what there was");
    cluster.proxy.up().expect("the proxy is back");
    let found = eventually("it is found again", WITHIN, async || (lines(FOUND) == 2).then_some(()));
    found.await.unwrap_or_else(|error| panic!("{error}\n{}", operator.tail()));
    let log = operator.log();
    assert_eq!(complaints(&log).len(), 2, "{:#?}", complaints(&log));
    let named = complaints(&log)[1];
    assert!(named.contains(&format!("server=\"{}\"", cluster.proxy.url())) && named.contains("error="), "{named}");
}

/// The page's manifest and the default in a pod say the same, and it is what is served; by one that stands by, too: the Lease
/// that it asks for is none that it may read here.
#[tokio::test]
async fn in_a_pod_probes_are_served_where_the_page_has_them() {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/probes.md"));
    let page = page.expect("a page");
    let cluster = Cluster::start().await;
    cluster.plane.refuses_on_purpose().expect("a mark");
    let mut settings = cluster.operator(vec!["default".to_owned()]);
    settings.replicas = 1;
    settings.environment.push(("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()));
    let operator = Operator::start(settings).expect("the operator starts");
    traces::of_this_run().follow(&operator);
    logged(&operator, "probes are served").await;
    let address = served_at(&operator.log(), "probes").expect("an address");
    for path in ["/livez", "/readyz"] {
        assert!(page.contains(&format!("httpGet: {{path: {path}, port: 8081}}")), "{page}");
        let answered = eventually(path, WITHIN, async || {
            let answer = reqwest::get(format!("http://127.0.0.1:8081{path}")).await.ok()?;
            (answer.status() == 200).then_some(())
        });
        answered.await.unwrap_or_else(|error| panic!("{error}: {address}\n{}", operator.tail()));
    }
    assert!(["[::]:8081", "0.0.0.0:8081"].contains(&address.as_str()), "{address}");
    let live = reqwest::get("http://127.0.0.1:8081/livez?verbose").await.expect("it answers").text().await;
    assert!(live.as_ref().is_ok_and(|live| live.contains("[+]leader election ok\n")), "{live:?}");
}

#[tokio::test]
async fn one_that_stops_is_live_and_no_longer_ready() {
    let mut scene = Scene::own().await;
    scene.operator().restart_with(with_probes).expect("it starts");
    let scene = scene.with_instance().await;
    let operator = scene.operator.as_ref().expect("its own");
    assert_eq!(until_probe(operator, "/readyz", 200).await, "ok");
    let verbose = until_probe(operator, "/livez?verbose", 200).await;
    let checks = ["tasks", "heartbeat of the API server", "events", "watch of KratosIdentity", "watch of Secret"];
    let others = ["queue of KratosIdentity", "places of KratosSessionPolicy", "rights that lack"];
    let checks = checks.into_iter().chain(others);
    for check in checks {
        assert!(verbose.contains(&format!("[+]{check} ok\n")), "{check}: {verbose}");
    }
    assert_eq!(probe(operator, "/healthz").await.map(|(status, _)| status), Some(404));

    let create = scene.proxy.on(CREATE).hold_answer();
    scene.identity("ada", customer(&scene, 0)).await;
    create.held().await;
    let mut scene = scene;
    scene.operator().terminate();
    let operator = scene.operator.as_ref().expect("its own");
    let body = until_probe(operator, "/readyz", 500).await;
    assert!(body.contains("[-]shutdown failed: the process is stopping\n"), "{body}");
    assert_live(operator).await;
    create.release();
    let ended = eventually("it ends", Duration::from_secs(30), async || scene.operator().exited()).await;
    assert!(ended.expect("it ends").success(), "{}", scene.log());
}

#[tokio::test]
async fn an_address_that_is_taken_is_one_line_that_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for (flag, variable) in [("--health-address", "HEALTH_ADDRESS"), ("--metrics-address", "METRICS_ADDRESS")] {
        let mut by_flag = Command::new(env!("CARGO_BIN_EXE_kratos-operator"));
        by_flag.args(["run", flag, &address]);
        let mut by_variable = Command::new(env!("CARGO_BIN_EXE_kratos-operator"));
        by_variable.arg("run").env(variable, &address);
        for mut command in [by_flag, by_variable] {
            let output = command.output().expect("it runs");
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), complaint.lines().count()), (Some(1), 1), "{complaint}");
            assert!(complaint.contains(&address) && complaint.contains(&format!("set {flag} to")), "{complaint}");
        }
    }
}

/// The operator's program as somebody who asks.
async fn asked(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kratos-operator"));
    let output = command.arg("probe").args(arguments).env_remove("KUBECONFIG").output().await.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_program_itself_asks_for_probes() {
    let cluster = bare_cluster().await;
    let operator = start(&cluster);
    until_probe(&operator, "/livez", 200).await;
    let address = served_at(&operator.log(), "probes").expect("an address");
    let (live, ready) = (format!("http://{address}/livez"), format!("http://{address}/readyz"));
    assert_eq!(asked(&[&live]).await, (Some(0), "ok".to_owned(), String::new()));
    // First it hasn't heard of the API server, then it has no list.
    let named = eventually("it names the watch that has no list", WITHIN, async || {
        let answer = asked(&[&ready]).await;
        answer.2.contains("watch of").then_some(answer)
    });
    let (code, out, complaint) = named.await.expect("it does");
    assert_eq!((code, out.as_str(), complaint.lines().count()), (Some(1), "", 1), "{complaint}");
    assert!(complaint.contains("/readyz") && complaint.contains("500"), "{complaint}");

    // It asks until the definitions are there.
    let patient = ["--within", "60s", &ready];
    let (waits, ()) = tokio::join!(asked(&patient), async {
        let crds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        cluster.plane.install_crds(&crds).await.expect("the definitions are accepted");
    });
    assert_eq!(waits, (Some(0), "ok".to_owned(), String::new()));

    drop(operator);
    let (code, _, complaint) = asked(&[&live]).await;
    assert!(code == Some(1) && complaint.contains("refused") && complaint.lines().count() == 1, "{complaint}");
    for wrong in ["https://localhost/readyz", "localhost:8081/readyz", "/readyz"] {
        let (code, _, complaint) = asked(&[wrong]).await;
        assert!(code == Some(64) && complaint.contains("http://HOST:PORT/PATH"), "{wrong}: {complaint}");
    }
}
