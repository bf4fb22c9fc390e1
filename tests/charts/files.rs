//! What is generated is what the source generates, and what is said twice is said alike.

use serde_json::Value;

use crate::generated;
use crate::helm::{Helm, chart};
use crate::manifest;

#[test]
fn what_is_generated_is_up_to_date() {
    let files = generated::all().expect("it can be generated");
    for (path, text) in &files {
        assert!(generated::there(path) == *text, "{path} is stale: run `make charts`");
    }
    let manifest = manifest::text().expect("it can be rendered");
    assert!(generated::there(manifest::PATH) == manifest, "{} is stale: run `make charts`", manifest::PATH);
    assert_eq!(generated::left_over(&files).expect("a directory"), Vec::<String>::new(), "run `make charts`");
}

#[test]
fn the_chart_is_of_the_operators_version() {
    let text = generated::there("charts/kratos-operator/Chart.yaml");
    let chart: Value = serde_saphyr::from_str(&text).expect("YAML");
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&env!("CARGO_PKG_VERSION").into(), &env!("CARGO_PKG_VERSION").into())
    );
    let image = format!("ghcr.io/kratos-operator/kratos-operator:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(chart["annotations"]["artifacthub.io/images"].as_str().expect("a text").contains(&image), "{chart:#}");
}

#[tokio::test]
async fn helm_finds_nothing_to_complain_of() {
    let path = chart("kratos-operator");
    let output = Helm::offline().output(["lint", "--strict", path.as_str()], &Value::Null).await.expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
}
