//! The dashboard: what Grafana needs to show it, and that every query is about the cluster and the job that were chosen.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{DASHBOARD, read};

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).expect("JSON")
}

/// Each query of the panels, with the panel's title and the query's letter.
pub fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().map_or(&[][..], Vec::as_slice) {
            let name = format!(
                "{} {}",
                panel["title"].as_str().expect("a title"),
                target["refId"].as_str().expect("a letter")
            );
            queries.push((name, target["expr"].as_str().expect("a query").to_owned()));
        }
    }
    queries
}

#[test]
fn it_asks_for_data_source_cluster_and_job_and_every_query_keeps_to_them() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let named: Vec<_> = variables.iter().map(|variable| (&variable["name"], &variable["type"])).collect();
    let expected = [("datasource", "datasource"), ("cluster", "query"), ("job", "query")]
        .map(|(name, sort)| (json!(name), json!(sort)));
    assert_eq!(named, expected.iter().map(|(name, sort)| (name, sort)).collect::<Vec<_>>());
    for variable in &variables[1..] {
        // Where there is no such label the choice is All.
        assert_eq!((&variable["includeAll"], &variable["allValue"]), (&json!(true), &json!(".*")), "{variable}");
        assert!(
            variable["definition"].as_str().expect("a query").starts_with("label_values(kratos_operator_build_info")
        );
    }
    for (name, query) in queries() {
        let metrics = super::asked_for(&query);
        let kept = query.matches(r#"cluster=~"$cluster", job=~"$job""#).count();
        assert_eq!(kept, metrics.len(), "{name}: {query}");
    }
    let sources = dashboard.to_string().matches(r#""uid":"${datasource}""#).count();
    assert!(sources > queries().len(), "each panel and query names the data source");
}

#[test]
fn its_panels_have_numbers_titles_and_places_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("a number")).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        let is_described =
            panel["type"] == "row" || panel["description"].as_str().is_some_and(|text| text.ends_with('.'));
        assert!(is_described, "{}", panel["title"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(x + w <= 24, "{}", panel["title"]);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} lies over another", panel["title"]);
        }
    }
}
