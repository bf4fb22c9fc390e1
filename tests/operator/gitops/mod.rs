//! What Argo CD and Flux are told about our kinds: scripts, expressions and example repositories, read by the tools' own code
//! (`tests/components/gitops`).

mod examples;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::testenv::process::component;

pub const ARGOCD: &str = "gitops/argocd/argocd-cm.yaml";
pub const FLUX: &str = "gitops/flux/health-checks.yaml";

/// A file of the repository.
pub fn path(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

/// Runs the tools' code.
pub fn tool(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(component("gitops"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run `make testenv`");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn an_object_that_lacks_everything_is_neither_healthy_nor_failed() {
    let kinds = ["KratosIdentity", "KratosInstance", "KratosSessionPolicy"];
    let bare = |kind: &str, status: Value| {
        let metadata = json!({"name": "bare", "generation": 1});
        json!({"apiVersion": "kratos-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "status": status})
    };
    let statuses = [
        json!({}),
        json!({"observedGeneration": -1}),
        json!({"observedGeneration": 1}),
        json!({"observedGeneration": 1, "conditions": []}),
        json!({"observedGeneration": 1, "conditions": [{}]}),
        json!({"observedGeneration": 1, "conditions": [{"type": "Ready"}, {"status": "True"}]}),
        json!({"conditions": [{"type": "Ready", "status": "True"}]}),
    ];
    let objects: Vec<_> =
        kinds.iter().flat_map(|kind| statuses.iter().map(move |status| bare(kind, status.clone()))).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let found = tool(&["verdicts", &path(ARGOCD), &path(FLUX)], &list.to_string()).expect("verdicts");
    assert_eq!(found.lines().count(), kinds.len() * statuses.len());
    for line in found.lines() {
        let found: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            (&found["argocd"]["status"], &found["flux"]["status"]),
            (&json!("Progressing"), &json!("InProgress")),
            "{line}"
        );
    }
}
