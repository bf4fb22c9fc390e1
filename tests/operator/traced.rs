//! Log lines of a real operator: each has documented names, and what is logged within a reconcile has its trace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

/// The JSON lines of a log.
fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The lines about a resource.
fn about<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["name"] == name && line["kind"] == "KratosIdentity").collect()
}

fn documented() -> BTreeSet<String> {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logging.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    rows.flat_map(|(names, _)| names.split(',').map(|name| name.trim().trim_matches('`').to_owned())).collect()
}

fn is_trace_id(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

async fn scene(format: &str, log: &str) -> Scene {
    let mut scene = Scene::own().await;
    scene
        .operator()
        .restart_with(|settings| {
            settings.arguments = vec!["--log-format".to_owned(), format.to_owned()];
            log.clone_into(&mut settings.log);
        })
        .expect("it starts");
    scene.with_instance().await
}

#[tokio::test]
async fn each_line_within_a_reconcile_has_its_trace_and_documented_names() {
    let mut scene = scene("json", "debug").await;
    for name in ["ada", "grace"] {
        let traits = json!({"email": format!("{name}@traced.example")});
        scene.identity(name, json!({"schemaID": "customer", "traits": traits})).await;
    }
    for name in ["ada", "grace"] {
        scene.ready(name).await;
    }
    // The API server fails in the middle: the line about it has the same trace as what came before.
    scene.cluster.proxy.on("PATCH kratosidentities/status").once().answer(crate::testenv::faults::Answer::status(500));
    let changed = json!({"schemaID": "customer", "traits": {"email": "ada@traced.example", "name": {"first": "Ada"}}});
    scene.identity("ada", changed).await;
    scene.ready("ada").await;
    // What was written before the log format was set is text.
    let log: String =
        scene.whole_log().lines().skip_while(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n");
    let lines = lines(&log);
    let documented = documented();
    let undocumented: Vec<_> = lines
        .iter()
        .filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("kratos_operator")))
        .flat_map(|line| line.as_object().expect("an object").keys())
        .filter(|name| !documented.contains(*name))
        .collect();
    assert_eq!(undocumented, Vec::<&String>::new());
    for line in &lines {
        for name in ["timestamp", "level", "target", "message"] {
            assert!(line[name].is_string(), "{line}");
        }
    }
    let mut of_trace = BTreeMap::<&str, BTreeSet<&str>>::new();
    for name in ["ada", "grace"] {
        let about = about(&lines, name);
        let created = about.iter().find(|line| line["reason"] == "IdentityCreated").expect("it is logged");
        assert_eq!(created["instance"], format!("{}/default", scene.namespace), "{created}");
        assert_eq!(
            (&created["generation"], &created["controller"]),
            (&json!(1), &json!("kratosidentity")),
            "{created}"
        );
        for line in about {
            assert!(is_trace_id(&line["trace_id"]), "{line}");
            of_trace.entry(line["trace_id"].as_str().unwrap()).or_default().insert(name);
        }
    }
    assert!(of_trace.len() >= 3 && of_trace.values().all(|names| names.len() == 1), "{of_trace:?}");
    let failed = |line: &&&Value| line["message"] == "a reconcile failed; it is tried again";
    let about = about(&lines, "ada");
    let failed = about.iter().find(failed).expect("it is logged");
    let changed = about.iter().find(|line| line["reason"] == "IdentityChanged").expect("it is logged");
    assert_eq!((&failed["trace_id"], &failed["generation"]), (&changed["trace_id"], &json!(2)), "{failed}");
    scene.operator().stop().expect("it stops");
}

#[tokio::test]
async fn text_has_the_trace_too_and_warnings_alone_have_theirs() {
    let scene = scene("text", "warn").await;
    scene.cluster.proxy.on("PATCH kratosidentities/status").once().answer(crate::testenv::faults::Answer::status(500));
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@traced.example"}})).await;
    scene.ready("ada").await;
    let line = eventually("it is logged", WITHIN, async || {
        scene.whole_log().lines().find(|line| line.contains("a reconcile failed")).map(str::to_owned)
    });
    let line = line.await.expect("it is logged");
    let (_, id) = line.split_once("trace_id=").expect("a trace");
    assert!(
        is_trace_id(&json!(id[..32]))
            && line.matches("instance=").count() == 1
            && line.contains("name=\"ada\"")
            && line.contains("WARN"),
        "{line}"
    );
}
