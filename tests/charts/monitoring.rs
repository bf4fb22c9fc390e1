//! What is rendered for Prometheus Operator and for Grafana: its own types know every field, alerts and dashboard arrive as they
//! stand in their files, and what a cluster doesn't serve is left out and said.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::cluster::{install, make_namespace};
use crate::generated::there;
use crate::helm::{Helm, MONITORS, chart, objects, of_kind};
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::process::{component, eventually};
use crate::testenv::workdir::WorkDir;

const KINDS: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];
/// What looks like a template, as annotations of alerts and legends of panels do.
const ALERTS: &str = "# A comment.\ngroups:\n- name: kratos-operator\n  rules:\n  - alert: A\n    expr: up == 0\n    for: 5m\n    \
                      labels: {severity: warning}\n    annotations:\n      summary: \"{{ $labels.job }} is {{ $value | humanize }}.\"\n";
const DASHBOARD: &str = "{\n \"title\": \"{{ it }}\",\n \"panels\": [{\"legendFormat\": \"{{instance}}\"}]\n}\n";

fn everything() -> Value {
    let monitor = json!({
        "enabled": true, "labels": {"release": "prometheus"}, "annotations": {"a": "b"}, "interval": "30s", "scrapeTimeout": "5s",
        "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "workqueue_.*", "action": "drop"}],
    });
    json!({"metrics": {
        "serviceMonitor": monitor, "podMonitor": monitor,
        "prometheusRule": {"enabled": true, "labels": {"release": "prometheus"}, "annotations": {"a": "b"}},
        "dashboard": {"enabled": true, "annotations": {"grafana_folder": "Identity"}},
    }})
}

/// The chart with these alerts and this dashboard.
fn with_files(dir: &WorkDir) -> String {
    let copy = dir.path().join("kratos-operator");
    copy_all(Path::new(&chart("kratos-operator")), &copy);
    std::fs::write(copy.join("files/alerts.yaml"), ALERTS).expect("a file");
    std::fs::write(copy.join("files/dashboard.json"), DASHBOARD).expect("a file");
    copy.to_string_lossy().into_owned()
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let copy = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).expect("a file");
        }
    }
}

async fn rendered(chart: &str, options: &[&str], values: &Value) -> Vec<Value> {
    let arguments = ["template", "kratos-operator", chart, "--namespace", "kratos-operator"];
    let text = Helm::offline().run(arguments.iter().chain(options), values).await;
    objects(&text.unwrap_or_else(|error| panic!("{error}\n{values}")))
}

/// What Prometheus Operator's own types say of an object.
async fn lint(object: &Value) -> Result<(), String> {
    let mut child = tokio::process::Command::new(component("monitorlint"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("monitorlint is built by `make testenv`");
    let mut input = child.stdin.take().expect("an input");
    input.write_all(object.to_string().as_bytes()).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[tokio::test]
async fn prometheus_operator_knows_every_field() {
    let dir = WorkDir::new("chart-").expect("a directory");
    let objects = rendered(&with_files(&dir), &["--api-versions", MONITORS], &everything()).await;
    for kind in KINDS {
        let object = of_kind(&objects, kind)[0];
        lint(object).await.unwrap_or_else(|error| panic!("{error}\n{object:#}"));
        assert_eq!(
            (&object["metadata"]["labels"]["release"], &object["metadata"]["annotations"]),
            (&json!("prometheus"), &json!({"a": "b"}))
        );
    }
    let mut wrong = of_kind(&objects, "ServiceMonitor")[0].clone();
    wrong["spec"]["endpoints"][0]["intervall"] = json!("30s");
    assert!(lint(&wrong).await.expect_err("no such field").contains("intervall"));
    let endpoint = &of_kind(&objects, "PodMonitor")[0]["spec"]["podMetricsEndpoints"][0];
    let values = everything();
    for name in ["interval", "scrapeTimeout", "relabelings", "metricRelabelings"] {
        assert_eq!(endpoint[name], values["metrics"]["podMonitor"][name], "{name}");
    }
}

#[tokio::test]
async fn alerts_and_dashboard_arrive_as_they_are() {
    let dir = WorkDir::new("chart-").expect("a directory");
    let chart = with_files(&dir);
    let found = rendered(&chart, &["--api-versions", MONITORS], &everything()).await;
    assert_eq!(of_kind(&found, "PrometheusRule")[0]["spec"], objects(ALERTS)[0]);
    let map = of_kind(&found, "ConfigMap")[0];
    assert_eq!(map["data"]["kratos-operator.json"].as_str().expect("a text").trim(), DASHBOARD.trim());
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["metadata"]["annotations"], json!({"grafana_folder": "Identity"}));
    let off = rendered(&chart, &["--api-versions", MONITORS], &json!({})).await;
    assert!(
        KINDS.iter().chain(&["ConfigMap"]).all(|kind| of_kind(&off, kind).is_empty()),
        "all of it is off by default"
    );
}

#[tokio::test]
async fn the_charts_own_alerts_and_dashboard_are_installed() {
    let found = rendered(&chart("kratos-operator"), &["--api-versions", MONITORS], &everything()).await;
    let rule = of_kind(&found, "PrometheusRule")[0];
    lint(rule).await.unwrap_or_else(|error| panic!("{error}\n{rule:#}"));
    assert_eq!(rule["spec"], objects(&there("charts/kratos-operator/files/alerts.yaml"))[0]);
    let text = of_kind(&found, "ConfigMap")[0]["data"]["kratos-operator.json"].as_str().expect("a text");
    let (shown, file): (Value, Value) = (
        serde_json::from_str(text).expect("JSON"),
        serde_json::from_str(&there("charts/kratos-operator/files/dashboard.json")).expect("JSON"),
    );
    assert_eq!(shown, file);
}

/// A stand-in for a definition of Prometheus Operator: what counts is that the kind is served.
fn definition(kind: &str) -> Value {
    let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": singular},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    })
}

#[tokio::test]
async fn what_a_cluster_does_not_serve_is_left_out_and_said() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let (helm, kubectl) = (Helm::new(plane.kubeconfig()), plane.kubectl());
    make_namespace(&plane, "ops", json!({})).await;
    let notes = install(&helm, "kratos-operator", "kratos-operator", "ops", &everything()).await;
    for name in ["metrics.serviceMonitor.enabled", "metrics.podMonitor.enabled", "metrics.prometheusRule.enabled"] {
        assert!(notes.contains(&format!("{name} has no effect")), "{notes}");
    }
    for kind in KINDS {
        kubectl.apply(&definition(kind).to_string()).await.expect("it is accepted");
    }
    let served = eventually("the kinds are served", std::time::Duration::from_mins(1), async || {
        let kinds = kubectl.run(["api-resources", "--api-group=monitoring.coreos.com", "-o", "name"]).await.ok()?;
        (kinds.lines().count() == KINDS.len()).then_some(())
    });
    served.await.expect("they are served");
    let notes = install(&helm, "kratos-operator", "kratos-operator", "ops", &everything()).await;
    assert!(!notes.contains("has no effect"), "{notes}");
    for kind in ["servicemonitor", "podmonitor", "prometheusrule"] {
        kubectl
            .run(["get", kind, "kratos-operator", "-n", "ops"])
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}
