//! The alerts and the dashboard: they ask for what a real operator serves, and lead to pages that exist.

mod alerts;
mod dashboard;
mod prometheus;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use crate::metrics::{busy, scrape};
use crate::testenv::samples::series;

const ALERTS: &str = "charts/kratos-operator/files/alerts.yaml";
const DASHBOARD: &str = "charts/kratos-operator/files/dashboard.json";
/// Where pages of the repository are read.
const PAGES: &str = "https://github.com/kratos-operator/kratos-operator/blob/main/";
/// What Prometheus itself adds to each series of a target, by scrape configuration.
const OF_TARGETS: [&str; 4] = ["cluster", "namespace", "job", "exported_instance"];

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The metrics that a query asks for, each with the labels that it is asked for by.
fn asked_for(query: &str) -> Vec<(String, BTreeSet<String>)> {
    let metric = Regex::new(
        r"\b((?:kratos_operator|controller_runtime|workqueue|rest_client|leader_election)_[a-z_]+)(\{[^}]*\})?",
    )
    .expect("an expression");
    let label = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*""#).expect("an expression");
    let found = metric.captures_iter(query).map(|found| {
        let labels = found.get(2).map_or("", |labels| labels.as_str());
        (found[1].to_owned(), label.captures_iter(labels).map(|label| label[1].to_owned()).collect())
    });
    found.collect()
}

/// The labels that a query groups by.
fn grouped_by(query: &str) -> BTreeSet<String> {
    let by = Regex::new(r"\bby \(([^)]*)\)").expect("an expression");
    by.captures_iter(query)
        .flat_map(|by| by[1].split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>())
        .collect()
}

/// What a busy operator serves: names of series, with their labels.
async fn served() -> BTreeMap<String, BTreeSet<String>> {
    let scene = busy().await;
    let (_, text) = scrape(&scene, "").await;
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for found in series(&text) {
        served.entry(found.name).or_default().extend(found.labels.into_keys());
    }
    served
}

/// What is wrong with a query: names and labels that nobody serves.
fn wrong(query: &str, served: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let asked = asked_for(query);
    let mut wrong = Vec::new();
    if asked.is_empty() {
        wrong.push("it asks for nothing of ours".to_owned());
    }
    let mut all: BTreeSet<String> = OF_TARGETS.map(str::to_owned).into();
    for (name, labels) in &asked {
        let Some(known) = served.get(name) else {
            wrong.push(format!("{name} isn't served"));
            continue;
        };
        all.extend(known.iter().cloned());
        let unknown = labels.iter().filter(|label| !known.contains(*label) && !OF_TARGETS.contains(&label.as_str()));
        wrong.extend(unknown.map(|label| format!("{name} has no label {label}")));
        if known.contains("instance") && query.contains("by (instance") {
            wrong.push(format!("the label instance of {name} is exported_instance where Prometheus has it"));
        }
    }
    wrong.extend(grouped_by(query).difference(&all).map(|label| format!("nothing has a label {label}")));
    wrong
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_a_real_operator_serves() {
    let served = served().await;
    let alerts = alerts::all();
    let alerts = alerts.iter().map(|alert| (alert.name.clone(), alert.expression.clone()));
    let panels = dashboard::queries();
    assert!(panels.len() >= 20, "{} queries", panels.len());
    let wrong: Vec<_> = alerts
        .chain(panels)
        .flat_map(|(name, query)| wrong(&query, &served).into_iter().map(move |what| format!("{name}: {what}")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_a_query_is_found() {
    let served = [("workqueue_depth".to_owned(), BTreeSet::from(["controller".to_owned()]))].into();
    assert_eq!(wrong(r#"max by (job, controller) (workqueue_depth{controller="a", cluster=~"b"})"#, &served), [""; 0]);
    for (query, what) in [
        ("workqueue_deep > 0", "workqueue_deep isn't served"),
        (r#"workqueue_depth{kind="a"}"#, "workqueue_depth has no label kind"),
        ("sum by (kind) (workqueue_depth)", "nothing has a label kind"),
        ("up == 0", "it asks for nothing of ours"),
    ] {
        assert_eq!(wrong(query, &served), [what], "{query}");
    }
}
