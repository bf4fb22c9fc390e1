//! The alerts: each says how bad it is, in words, and leads to a page; and has a case in which it fires and one in which it
//! doesn't, which `make monitoring` runs.

use std::collections::BTreeSet;

use kratos_operator::api::condition::{OF_READY, State};
use serde_json::Value;

use super::{ALERTS, PAGES, read};

const CASES: &str = "tests/monitoring/alerts.test.yaml";
const RUNBOOKS: &str = "docs/runbooks";

pub struct Alert {
    pub name: String,
    pub expression: String,
    severity: String,
    /// Summary, description, page.
    annotations: [String; 3],
}

pub fn all() -> Vec<Alert> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned();
    let file: Value = serde_saphyr::from_str(&read(ALERTS)).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let alert = |rule: &Value| Alert {
        name: text(&rule["alert"]),
        expression: text(&rule["expr"]),
        severity: text(&rule["labels"]["severity"]),
        annotations: ["summary", "description", "runbook_url"].map(|name| text(&rule["annotations"][name])),
    };
    rules.map(alert).collect()
}

#[test]
fn each_alert_says_how_bad_it_is_and_leads_to_a_page_about_it() {
    let page_on_metrics = read("docs/metrics.md");
    let mut pages = BTreeSet::new();
    for Alert { name, severity, annotations: [summary, description, url], .. } in all() {
        assert!(["critical", "warning"].contains(&severity.as_str()), "{name}: {severity}");
        assert!(summary.ends_with('.') && summary.len() < 80 && !summary.contains('{'), "{name}: {summary}");
        assert!(description.ends_with('.') && description.len() > summary.len(), "{name}: {description}");
        let page = url.strip_prefix(PAGES).unwrap_or_else(|| panic!("{name}: {url}"));
        let text = read(page);
        assert!(text.contains(&format!("Alert `{name}`.")), "{page} is about {name}");
        for part in ["## What to look at", "## What to do"] {
            assert!(text.contains(part), "{page}: {part}");
        }
        let listed = format!(
            "| {name} | {severity} | [{}]({}) |",
            text.lines().next().expect("a title").trim_start_matches("# "),
            page.trim_start_matches("docs/")
        );
        assert!(page_on_metrics.contains(&listed), "docs/metrics.md lacks {listed}");
        pages.insert(page.to_owned());
    }
    let there = std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(RUNBOOKS)).expect("pages");
    let there = there.map(|entry| format!("{RUNBOOKS}/{}", entry.expect("an entry").file_name().display()));
    assert_eq!(there.collect::<BTreeSet<_>>(), pages, "each page belongs to an alert");
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let file: Value = serde_saphyr::from_str(&read(CASES)).expect("YAML");
    let cases = file["tests"].as_array().expect("tests");
    for Alert { name, .. } in all() {
        let of_alert = |case: &&Value| {
            let checks = case["alert_rule_test"].as_array().expect("checks");
            checks.iter().all(|check| check["alertname"] == name.as_str())
        };
        let fires = |case: &&Value| {
            let checks = case["alert_rule_test"].as_array().expect("checks");
            checks.iter().any(|check| check["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()))
        };
        let (firing, quiet): (Vec<_>, Vec<_>) = cases.iter().filter(of_alert).partition(fires);
        assert!(!firing.is_empty() && !quiet.is_empty(), "{name}: {} fire, {} don't", firing.len(), quiet.len());
    }
}

#[test]
fn each_reason_for_which_somebody_must_act_has_an_alert() {
    // These have alerts of their own, which say how many.
    let with_their_own = ["DeletionHeld", "RevocationsHeld", "IdentitiesMissing"];
    let stalled = OF_READY.iter().filter(|reason| reason.state() == State::Stalled).map(|reason| reason.as_str());
    let expected: BTreeSet<_> = stalled.filter(|reason| !with_their_own.contains(reason)).collect();
    let alerts = all();
    let alert = alerts.iter().find(|alert| alert.name == "KratosResourcesStalled").expect("the alert");
    let (_, reasons) = alert.expression.split_once("reason=~\"").expect("reasons");
    let reasons = reasons.split_once('"').expect("an end").0;
    assert_eq!(reasons.split('|').collect::<BTreeSet<_>>(), expected);
}
