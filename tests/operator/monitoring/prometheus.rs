//! A real Prometheus scrapes a real operator, evaluates the alerts and answers the dashboard's queries. `make monitoring` runs
//! this: Prometheus is the distribution's.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ALERTS, dashboard};
use crate::metrics::busy;
use crate::policing::about_all;
use crate::probes::served_at;
use crate::scene::Scene;
use crate::testenv::ports::Port;
use crate::testenv::process::{Process, eventually};
use crate::testenv::workdir::WorkDir;

const LONG: Duration = Duration::from_mins(3);

/// A Prometheus that scrapes the scene's operator each second.
struct Prometheus {
    _process: Process,
    port: Port,
    _dir: WorkDir,
}

impl Prometheus {
    fn start(scene: &Scene) -> Self {
        let dir = WorkDir::new("prometheus-").expect("a directory");
        let target = served_at(&scene.whole_log(), "metrics").expect("it says where");
        let labels = json!({"cluster": "of-a-test", "namespace": "kratos-operator"});
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [Path::new(env!("CARGO_MANIFEST_DIR")).join(ALERTS)],
            "scrape_configs": [{"job_name": "kratos-operator", "static_configs": [{"targets": [target], "labels": labels}]}],
        });
        let file = dir.path().join("prometheus.yaml");
        std::fs::write(&file, config.to_string()).expect("a file");
        let port = Port::reserve().expect("a port");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={}", port.address()));
        let process = Process::start("prometheus", &command, &dir.path().join("prometheus.log")).expect("it starts");
        Self { _process: process, port, _dir: dir }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let url = format!("http://{}/api/v1/{path}", self.port.address());
        let answer: Value = reqwest::Client::new().get(url).query(query).send().await.ok()?.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{path} {query:?}: {answer}");
        Some(answer["data"].clone())
    }

    /// What a query gives now; none while Prometheus starts.
    async fn query(&self, query: &str) -> Option<Vec<Value>> {
        self.get("query", &[("query", query)]).await?["result"].as_array().cloned()
    }
}

/// A dashboard's query, as Grafana sends it where all is chosen.
fn chosen(query: &str) -> String {
    query.replace("$cluster", ".*").replace("$job", ".*").replace("$__rate_interval", "1m")
}

/// Something for every counter, while Prometheus scrapes.
async fn work(scene: &Scene, round: usize) {
    let name = format!("later-{round}");
    let spec = json!({"schemaID": "customer", "traits": {"email": format!("{name}@monitoring.example")}});
    scene.identity(&name, spec).await;
    scene.ready(&name).await;
    scene.log_in("somebody@metrics.example").await;
    let rules = json!([{"name": "everything-of-somebody", "expression": "true", "action": "Revoke"}]);
    scene.policy("policy-of-somebody", about_all(rules)).await;
    scene.run("policy-of-somebody").await;
}

#[tokio::test]
#[ignore = "needs Prometheus: make monitoring"]
async fn every_query_of_the_dashboard_is_answered_with_data_and_every_alert_is_evaluated() {
    let scene = busy().await;
    let prometheus = Prometheus::start(&scene);
    let scraped = eventually("the operator is scraped", LONG, async || {
        prometheus.query("up == 1").await.filter(|found| !found.is_empty())
    });
    scraped.await.expect("it is scraped");
    let mut round = 0;
    let mut empty = Vec::new();
    let answered = eventually("each query has data", LONG, async || {
        round += 1;
        work(&scene, round).await;
        empty.clear();
        for (name, query) in dashboard::queries() {
            if prometheus.query(&chosen(&query)).await?.is_empty() {
                empty.push(format!("{name}: {query}"));
            }
        }
        empty.is_empty().then_some(())
    });
    answered.await.unwrap_or_else(|error| panic!("{error}: without data are\n{}", empty.join("\n")));

    for (name, expected) in [("Leaders A", "1"), ("Replicas A", "1"), ("Kratos away A", "0")] {
        let query = dashboard::queries().into_iter().find(|(title, _)| title == name).expect("the panel").1;
        let found = prometheus.query(&chosen(&query)).await.expect("an answer");
        assert_eq!(found[0]["value"][1], expected, "{name}: {found:?}");
    }
    for variable in ["cluster", "job"] {
        let matching = [("match[]", "kratos_operator_build_info")];
        let values = prometheus.get(&format!("label/{variable}/values"), &matching).await.expect("an answer");
        assert_eq!(values.as_array().expect("values").len(), 1, "{variable}: {values}");
    }

    let rules = prometheus.get("rules", &[]).await.expect("an answer");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
    assert_eq!(rules.len(), super::alerts::all().len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        // One whose traits are refused is among the busy: that alert waits for its 15 minutes.
        let expected = if rule["name"] == "KratosResourcesStalled" { "pending" } else { "inactive" };
        assert_eq!(rule["state"], expected, "{rule:#}");
    }
}
