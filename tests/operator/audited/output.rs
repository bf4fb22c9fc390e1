//! Where lines go: to standard output, to a file that can be opened, and nowhere while it can't be written, which is counted.

use super::*;

use crate::metrics::until_sum;

#[tokio::test]
async fn one_that_cannot_be_opened_is_said_in_one_line_and_dash_is_standard_output() {
    let mut scene = Scene::own().await;
    let directory = tempfile::tempdir().expect("a directory");
    let nowhere = directory.path().join("missing").join("audit.log").display().to_string();
    scene
        .operator()
        .restart_with(|settings| settings.arguments = vec!["--audit-log".to_owned(), nowhere.clone()])
        .expect("it starts");
    let ended = eventually("it ends", WITHIN, async || scene.operator.as_mut()?.exited()).await.expect("it ends");
    let log = scene.whole_log();
    let complaint = log.lines().last().expect("a line");
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(complaint.contains(&nowhere) && complaint.contains("--audit-log"), "{complaint}");

    scene
        .operator()
        .restart_with(|settings| {
            settings.arguments = Vec::new();
            settings.environment.push(("AUDIT_LOG".to_owned(), "-".to_owned()));
        })
        .expect("it starts");
    let scene = scene.with_instance().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@audited.example"}})).await;
    scene.ready("ada").await;
    let told = eventually("it is told", WITHIN, async || {
        let log = scene.whole_log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["initiator"]["name"] == "ada").find(|line| line["outcome"] == "ok")
    });
    assert_eq!(told.await.expect("it is told")["instance"], format!("{}/default", scene.namespace));
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_counted_and_keep_nothing_from_being_done() {
    let directory = tempfile::tempdir().expect("a directory");
    let logs = directory.path().join("logs");
    std::fs::create_dir(&logs).expect("a directory");
    let path = logs.join("audit.log").display().to_string();
    let mut scene = Scene::own().await;
    let arguments = ["--audit-log", path.as_str(), "--metrics-address", "127.0.0.1:0"].map(str::to_owned);
    let with_metrics = |settings: &mut crate::testenv::operator::Settings| {
        // It is this one's metrics that are read.
        settings.replicas = 1;
        settings.arguments.extend(arguments);
    };
    scene.operator().restart_with(with_metrics).expect("it starts");
    let scene = scene.with_instance().await;
    let spec = |name: &str| json!({"schemaID": "customer", "traits": {"email": format!("{name}@audited.example")}});
    scene.identity("ada", spec("ada")).await;
    scene.ready("ada").await;
    let lost = "kratos_operator_audit_lines_lost_total";
    until_sum(&scene, lost, &[], 0.0).await;
    std::fs::remove_dir_all(&logs).expect("it is removed");
    for name in ["grace", "joan"] {
        scene.identity(name, spec(name)).await;
        scene.ready(name).await;
    }
    until_sum(&scene, lost, &[], 2.0).await;
    std::fs::create_dir(&logs).expect("a directory");
    scene.identity("alan", spec("alan")).await;
    scene.ready("alan").await;
    let told = eventually("it is told again", WITHIN, async || std::fs::read_to_string(&path).ok());
    let told = told.await.expect("a line");
    assert!(told.contains("\"alan\"") && !told.contains("grace"), "{told}");
    until_sum(&scene, lost, &[], 2.0).await;
    assert_eq!(scene.whole_log().matches("the audit log can't be written").count(), 1, "said once");
    assert!(scene.whole_log().contains("so many lines are missing in it lost=2"), "{}", scene.log());
}
