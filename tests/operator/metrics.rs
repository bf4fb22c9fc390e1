//! What Prometheus is told of a busy operator: in both formats, checked by Prometheus' own linter and parser, without a word
//! about anybody, and as docs/metrics.md describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::many::{BATCH, all, apply, customer, email, name, reason};
use crate::policing::about_all;
use crate::probes::served_at;
use crate::scene::{Cluster, Scene, Server, WITHIN};
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::Operator;
use crate::testenv::process::{component, eventually};
use crate::testenv::samples::{self, Series, series};
use crate::traces;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Of these one can't be created.
const PEOPLE: usize = 40;

/// A scrape in this format: what it says it is in, and what it says.
pub async fn scrape(scene: &Scene, accept: &str) -> (String, String) {
    let address = served_at(&scene.whole_log(), "metrics").expect("it says where");
    let request = reqwest::Client::new().get(format!("http://{address}/metrics")).header("accept", accept);
    let answer = request.send().await.expect("it answers");
    let format = answer.headers()["content-type"].to_str().expect("a text").to_owned();
    (format, answer.text().await.expect("a text"))
}

/// The sum of the series of a name that have these labels.
fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples::sum(&series(text), name, labels)
}

/// Waits until the series of a name that have these labels add up to this.
pub async fn until_sum(scene: &Scene, name: &str, labels: &[(&str, &str)], expected: f64) {
    let mut last = None;
    let what = format!("{name}{labels:?} is {expected}");
    let reached = eventually(&what, WITHIN, async || {
        last = sum(&scrape(scene, "").await.1, name, labels);
        (last == Some(expected)).then_some(())
    });
    reached.await.unwrap_or_else(|error| panic!("{error}: {last:?}\n{}", scene.log()));
}

/// What Prometheus' own code finds wrong with a scrape.
fn found_wrong(format: &str, text: &str) -> String {
    let mut linter = Command::new(component("promlint"));
    let mut linter =
        linter.arg(format).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run `make testenv`");
    linter.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = linter.wait_with_output().expect("it ends");
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), found.is_empty(), "{found}");
    found
}

/// An operator that serves metrics and has had some of everything to do.
pub async fn busy() -> Scene {
    const NAMESPACE: &str = "busy";
    let kratos = Kratos::start(Options::default()).await.expect("Kratos starts");
    let cluster = Arc::new(Cluster::without_a_lease(&["--leader-elect"]).await);
    cluster.give_up_the_lease().await;
    cluster.make_all(&[NAMESPACE.to_owned()]).await;
    let mut settings = cluster.operator(vec![NAMESPACE.to_owned()]);
    settings.replicas = 1;
    settings.arguments = ["--metrics-address", "127.0.0.1:0", "--leader-elect"].map(str::to_owned).to_vec();
    let operator = Operator::start(settings).expect("the operator starts");
    traces::of_this_run().follow(&operator);
    let scene = Scene::set(cluster, Server::Own(Arc::new(kratos)), Some(operator), NAMESPACE.to_owned()).await;
    let scene = scene.with_instance().await;
    apply(&scene, 0..PEOPLE, |number| customer(&scene, number)).await;
    let refused = json!({"schemaID": "customer", "traits": {"email": 4711}});
    scene.identity("refused", refused).await;
    all(&scene, "all have come to an end", |resource| reason(resource).is_some()).await;
    scene.person("somebody@metrics.example").await;
    scene.log_in("somebody@metrics.example").await;
    let rules = json!([{"name": "everything-of-somebody", "expression": "true", "action": "Revoke"}]);
    scene.policy("policy-of-somebody", about_all(rules)).await;
    let gone = name(PEOPLE - 1);
    scene.identities().delete(&gone, &DeleteParams::default()).await.expect("it is deleted");
    let deleted = eventually("it is gone", WITHIN, async || {
        scene.identities().get_opt(&gone).await.expect("an answer").is_none().then_some(())
    });
    deleted.await.expect("it is gone");
    let drifting = scene.ready(&name(0)).await;
    scene.change_in_kratos(&drifting, "/metadata_public/plan", json!("silver")).await;
    scene.request_reconcile(&name(0)).await;
    scene
}

#[tokio::test]
async fn a_busy_operator_says_nothing_wrong_and_nothing_about_anybody() {
    let scene = busy().await;
    let (format, text) = scrape(&scene, "").await;
    assert_eq!((format.as_str(), found_wrong("text", &text).as_str()), (TEXT, ""));
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3";
    let (format, open) = scrape(&scene, accept).await;
    assert_eq!((format.as_str(), found_wrong("openmetrics", &open).as_str()), (OPEN_METRICS, ""));
    let names = |text: &str| {
        let named = |mut series: Series| {
            // A whole number is "1" in the one format and "1.0" in the other.
            if let Some(bound) = series.labels.get_mut("le") {
                *bound = bound.parse::<f64>().expect("a bound").to_string();
            }
            (series.name, series.labels)
        };
        series(text).into_iter().map(named).collect::<Vec<_>>()
    };
    let (of_text, of_open) = (names(&text), names(&open));
    let lacking: Vec<_> = of_text.iter().filter(|series| !of_open.contains(series)).collect();
    assert!(lacking.is_empty(), "only in one of the formats: {lacking:#?}");
    // The linters find what is wrong.
    assert_ne!(found_wrong("text", &format!("{text}odd_total{{a=\"b\"}} 1\n")), "");
    assert_ne!(found_wrong("openmetrics", &text), "", "no OpenMetrics");

    let instance = format!("{}/default", scene.namespace);
    let host = scene.cluster.proxy.address().to_string();
    let mut unknown = BTreeSet::new();
    for Series { labels, .. } in series(&text) {
        for (label, value) in labels {
            let is_known = match label.as_str() {
                "instance" => value == instance,
                "host" => value == host,
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                "code" => value == "<error>" || value.parse::<u16>().is_ok(),
                "version" => value == env!("CARGO_PKG_VERSION"),
                // Words of the operator's own, which no name of this test can be taken for.
                _ => {
                    let theirs =
                        [email(&scene, 0), name(0), "somebody".into(), "refused".into(), "metrics.example".into()];
                    !theirs.iter().any(|theirs| value.contains(theirs)) && value.len() <= 40
                }
            };
            if !is_known {
                unknown.insert((label, value));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(
        !text.contains(&email(&scene, 0))
            && !text.contains("of-somebody")
            && !text.contains("metrics.example")
            && !text.contains(&name(0)),
        "{text}"
    );
}

#[tokio::test]
async fn what_was_done_is_counted_and_what_there_is_is_right_after_a_restart() {
    let mut scene = busy().await;
    let is =
        |state: &'static str, reason: &'static str| [("kind", "KratosIdentity"), ("ready", state), ("reason", reason)];
    #[allow(clippy::cast_precision_loss, reason = "there are forty")]
    let ready = (PEOPLE - 1) as f64;
    let resources = "kratos_operator_resources";
    until_sum(&scene, resources, &is("true", "Reconciled"), ready).await;
    until_sum(&scene, resources, &is("false", "TraitsRejected"), 1.0).await;
    until_sum(&scene, resources, &[("kind", "KratosInstance"), ("ready", "true")], 1.0).await;
    until_sum(&scene, resources, &[("kind", "KratosSessionPolicy"), ("ready", "true")], 1.0).await;
    until_sum(&scene, "kratos_operator_sessions_revoked_total", &[("rule", "expression")], 1.0).await;
    until_sum(&scene, "kratos_operator_drift_corrected_total", &[], 1.0).await;
    until_sum(&scene, "kratos_operator_circuit_breaker_open", &[], 0.0).await;

    // Each request that Kratos got is counted once, and under its name. (Schemas are read past the proxy.)
    let of =
        |text: &str, operation: &str| sum(text, "kratos_operator_kratos_requests_total", &[("operation", operation)]);
    let (_, text) = scrape(&scene, "").await;
    assert_eq!(sum(&text, resources, &[("reason", "Other")]), None, "each reason is known");
    #[allow(clippy::cast_precision_loss, reason = "there are hundreds")]
    let arrived = |label: &str| Some(scene.proxy.count(label) as f64);
    assert_eq!(of(&text, "batch_patch_identities"), arrived(BATCH));
    assert_eq!(of(&text, "delete_identity"), arrived("DELETE /admin/identities/{id}"));
    assert_eq!(of(&text, "disable_session"), arrived("DELETE /admin/sessions/{id}"));
    let created = sum(&text, "kratos_operator_create_batch_size_sum", &[]).expect("it is there");
    assert!(created >= ready + 1.0, "{created}");
    let terminal = [("controller", "kratosidentity")];
    assert!(sum(&text, "controller_runtime_terminal_reconcile_errors_total", &terminal) >= Some(1.0), "{text}");
    let ended = sum(&text, "controller_runtime_reconcile_total", &terminal);
    assert_eq!(ended, sum(&text, "controller_runtime_reconcile_time_seconds_count", &terminal), "each has a time");
    assert_eq!(sum(&text, "controller_runtime_active_workers", &[]), Some(0.0));
    assert_eq!(sum(&text, "controller_runtime_max_concurrent_reconciles", &terminal), Some(256.0));
    assert_eq!(sum(&text, "workqueue_depth", &[]), Some(0.0));
    assert_eq!(sum(&text, "workqueue_queue_duration_seconds_count", &terminal), ended, "each has waited");
    assert_eq!(sum(&text, "leader_election_master_status", &[("name", "leader.kratos-operator.dev")]), Some(1.0));
    assert!(sum(&text, "rest_client_requests_total", &[("method", "PATCH"), ("code", "200")]) > Some(0.0));

    scene.operator().restart().expect("it starts");
    let begun = eventually("the new one serves metrics", WITHIN, async || {
        let log = scene.whole_log();
        (log.matches("metrics are served").count() >= 2).then_some(())
    });
    begun.await.expect("it starts");
    // It stands by until the Lease of the one before has run out.
    until_sum(&scene, resources, &is("true", "Reconciled"), ready).await;
    until_sum(&scene, resources, &is("false", "TraitsRejected"), 1.0).await;
    until_sum(&scene, "leader_election_master_status", &[], 0.0).await;
    until_sum(&scene, "controller_runtime_max_concurrent_reconciles", &[], 0.0).await;
    until_sum(&scene, "kratos_operator_drift_corrected_total", &[], 0.0).await;
    until_sum(&scene, "leader_election_master_status", &[], 1.0).await;
    until_sum(&scene, resources, &is("true", "Reconciled"), ready).await;

    scene.proxy.on("*").refuse();
    let asked = json!({"metadata": {"annotations": {"kratos-operator.dev/reconcile-requested-at": "now"}}});
    scene.instances().patch("default", &PatchParams::default(), &Patch::Merge(asked)).await.expect("it is accepted");
    until_sum(&scene, "kratos_operator_circuit_breaker_open", &[], 1.0).await;
    scene.proxy.clear_faults();
    until_sum(&scene, "kratos_operator_circuit_breaker_open", &[], 0.0).await;
}

#[tokio::test]
async fn the_series_of_an_instance_are_there_from_its_beginning_and_gone_with_it() {
    let mut scene = Scene::own().await;
    let metrics = ["--metrics-address", "127.0.0.1:0"].map(str::to_owned);
    scene
        .operator()
        .restart_with(|settings| {
            settings.replicas = 1;
            settings.arguments.extend(metrics);
        })
        .expect("it starts");
    // What there will be is said before anybody knows of whom.
    let served = eventually("it serves metrics", WITHIN, async || served_at(&scene.whole_log(), "metrics"));
    served.await.expect("it serves them");
    let (_, text) = scrape(&scene, "").await;
    assert!(text.contains("# TYPE kratos_operator_kratos_requests_total counter\n"), "{text}");
    assert_eq!(sum(&text, "kratos_operator_kratos_requests_total", &[]), None);
    assert_eq!(sum(&text, "kratos_operator_audit_lines_lost_total", &[]), Some(0.0));
    // From the first moment, before anything was answered.
    let held = scene.proxy.on("*").hold();
    scene.apply_instance(&scene.namespace, "default", scene.instance_spec(json!({}))).await;
    held.held().await;
    let of_default = format!("{}/default", scene.namespace);
    let (_, text) = scrape(&scene, "").await;
    assert_eq!(
        sum(&text, "kratos_operator_kratos_requests_total", &[("instance", of_default.as_str())]),
        Some(0.0),
        "{text}"
    );
    scene.proxy.clear_faults();
    let scene = scene.with_instance().await;
    scene.apply_instance(&scene.namespace, "second", scene.instance_spec(json!({"ownerName": "second"}))).await;
    scene.instance_ready("second").await;
    let second = format!("{}/second", scene.namespace);
    let of_second = [("instance", second.as_str())];
    let never = [("instance", second.as_str()), ("operation", "delete_identity"), ("class", "conflict")];
    let (_, text) = scrape(&scene, "").await;
    assert_eq!(sum(&text, "kratos_operator_kratos_requests_total", &never), Some(0.0));
    assert_eq!(sum(&text, "kratos_operator_deletions_held", &of_second), Some(0.0));
    assert_eq!(sum(&text, "kratos_operator_circuit_breaker_open", &of_second), Some(0.0));
    scene.instances().delete("second", &DeleteParams::default()).await.expect("it is deleted");
    let gone = eventually("its series are gone", WITHIN, async || {
        (!scrape(&scene, "").await.1.contains(&format!("\"{second}\""))).then_some(())
    });
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    // A tenant's instance, which doesn't count, makes no series.
    let elsewhere = scene.other_namespace("elsewhere", &[]).await;
    scene.apply_instance(&elsewhere, "third", scene.instance_spec(json!({}))).await;
    let refused = [("kind", "KratosInstance"), ("ready", "false"), ("reason", "NotPermitted")];
    until_sum(&scene, "kratos_operator_resources", &refused, 1.0).await;
    assert!(!scrape(&scene, "").await.1.contains(&elsewhere));
}

/// Name, type and labels of each family, as `docs/metrics.md` has them.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(path).expect("a page");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, sort, labels, meaning, _] = cells[..] else { panic!("five bars: {row}") };
        assert!(meaning.len() > 10, "it says what it means: {row}");
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        (name.trim_matches('`').to_owned(), (sort.to_owned(), labels.filter(|label| !label.is_empty()).collect()))
    });
    rows.collect()
}

#[tokio::test]
async fn the_page_about_metrics_names_what_there_is_and_nothing_else() {
    let scene = busy().await;
    let (_, text) = scrape(&scene, "").await;
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let all = series(&text);
    let said: BTreeMap<_, _> = families
        .map(|(name, sort)| {
            let parts = if sort == "histogram" { ["_bucket", "_sum", "_count"].as_slice() } else { &[""] };
            let of_family = |series: &&Series| parts.iter().any(|part| series.name == format!("{name}{part}"));
            let labels = all.iter().filter(of_family).flat_map(|series| series.labels.keys().cloned());
            let labels: BTreeSet<_> = labels.filter(|label| label != "le").collect();
            assert!(all.iter().any(|series| of_family(&series)), "{name} has a series from the start");
            (name.to_owned(), (sort.to_owned(), labels))
        })
        .collect();
    let documented = documented();
    for (name, is) in &said {
        assert_eq!(documented.get(name), Some(is), "docs/metrics.md on {name}");
    }
    let gone: Vec<_> = documented.keys().filter(|name| !said.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/metrics.md names what isn't there: {gone:?}");
}

#[tokio::test]
async fn what_is_held_shows_until_it_is_let_go() {
    let mut scene = Scene::own().await;
    let metrics = ["--metrics-address", "127.0.0.1:0"].map(str::to_owned);
    scene
        .operator()
        .restart_with(|settings| {
            settings.replicas = 1;
            settings.arguments.extend(metrics);
        })
        .expect("it starts");
    scene.instance(json!({"protection": {"maxDeletions": 0, "maxDeletionsTotal": 0, "maxMissing": 1}})).await;
    apply(&scene, 0..6, |number| customer(&scene, number)).await;
    let resources = all(&scene, "all are Ready", crate::many::is_ready).await;
    let instance = format!("{}/default", scene.namespace);
    let of = [("instance", instance.as_str())];

    scene.person("somebody@metrics.example").await;
    scene.log_in("somebody@metrics.example").await;
    scene.log_in("somebody@metrics.example").await;
    let rules = json!([{"name": "everything", "expression": "true", "action": "Revoke"}]);
    let mut limited = about_all(rules);
    limited["limit"] = json!({"maxRevocations": 1});
    scene.policy("limited", limited.clone()).await;
    until_sum(&scene, "kratos_operator_revocations_held", &of, 2.0).await;
    limited["limit"] = json!({"maxRevocations": 2});
    scene.policy("limited", limited).await;
    until_sum(&scene, "kratos_operator_revocations_held", &of, 0.0).await;
    until_sum(&scene, "kratos_operator_sessions_revoked_total", &[("rule", "expression")], 2.0).await;

    for number in 0..3 {
        scene.identities().delete(&name(number), &DeleteParams::default()).await.expect("it can be deleted");
    }
    until_sum(&scene, "kratos_operator_deletions_held", &of, 3.0).await;
    until_sum(&scene, "kratos_operator_resources", &[("reason", "DeletionHeld"), ("kind", "KratosIdentity")], 3.0)
        .await;
    let release = json!({"metadata": {"annotations": {"kratos-operator.dev/release": "1"}}});
    scene.instances().patch("default", &PatchParams::default(), &Patch::Merge(release)).await.expect("it is accepted");
    until_sum(&scene, "kratos_operator_deletions_held", &of, 0.0).await;

    for number in 3..6 {
        let id = crate::scene::id_of(&resources[&name(number)]);
        scene.admin().delete_identity(&id).await.expect("it is deleted");
    }
    let asked = json!({"metadata": {"annotations": {"kratos-operator.dev/reconcile-requested-at": "now"}}});
    scene.instances().patch("default", &PatchParams::default(), &Patch::Merge(asked)).await.expect("it is accepted");
    until_sum(&scene, "kratos_operator_identities_missing", &of, 3.0).await;
    let resync = sum(&scrape(&scene, "").await.1, "kratos_operator_last_resync_timestamp_seconds", &of);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_secs_f64();
    assert!(resync.is_some_and(|resync| resync <= now && resync > now - WITHIN.as_secs_f64() * 3.0), "{resync:?}");
}
