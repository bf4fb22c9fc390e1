//! Processes and directories end with whoever made them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::{Process, eventually};
use crate::testenv::workdir::WorkDir;

fn shell(script: &str, dir: &WorkDir) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::start("script", &command, &dir.path().join("log")).unwrap()
}

#[tokio::test]
async fn a_process_hears_a_polite_stop_and_an_impolite_one() {
    let dir = WorkDir::new("processes-").unwrap();
    let script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut process = shell(script, &dir);
    let ready = async |process: &Process| {
        eventually("it runs", Duration::from_secs(10), async || process.log().ends_with("ready\n").then_some(()))
            .await
            .unwrap();
    };
    ready(&process).await;
    process.still_running().unwrap();
    assert_eq!(process.stop().unwrap().code(), Some(3));
    assert_eq!(process.log(), "ready\nasked\n");
    assert!(process.still_running().unwrap_err().to_string().contains("script: asked"));

    let mut process = shell(script, &dir);
    ready(&process).await;
    process.kill();
    assert_eq!(process.log(), "ready\nasked\nready\n");
}

#[tokio::test]
async fn an_operator_is_started_as_in_a_cluster_and_started_again() {
    let dir = WorkDir::new("processes-").unwrap();
    let binary = dir.path().join("operator");
    std::fs::write(&binary, "#!/bin/sh\necho \"$*\" at \"$KUBECONFIG\" $RUST_LOG $MORE\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
    let mut settings = Settings::new(&binary, "/the/kubeconfig");
    settings.default_instance = Some("identity/default".into());
    settings.instance_namespaces = vec!["identity".into(), "other".into()];
    settings.log = "info".into();
    let mut operator = Operator::start(settings).unwrap();
    let first =
        "run --default-instance identity/default --instance-namespaces identity,other at /the/kubeconfig info\n";
    logged(&operator, first).await;
    operator.restart_with(|settings| settings.environment.push(("MORE".into(), "more".into()))).unwrap();
    logged(&operator, &format!("{first}{} more\n", first.trim())).await;
    operator.still_running().unwrap();
    assert!(!operator.stop().unwrap().success());
    assert!(operator.still_running().is_err());
}

async fn logged(operator: &Operator, expected: &str) {
    eventually(expected, Duration::from_secs(10), async || (operator.log() == expected).then_some(())).await.unwrap();
}

#[tokio::test]
async fn processes_and_directories_end_with_a_parent_that_is_killed() {
    // This test runs itself again, as the parent that is killed.
    const CHILD: &str = "TESTENV_PARENT_TO_BE_KILLED";
    if let Ok(report) = std::env::var(CHILD) {
        let dir = WorkDir::new("killed-").unwrap();
        let script =
            format!("echo $$ {} >{report}.half; mv {report}.half {report}; exec sleep 600", dir.path().display());
        let _process = shell(&script, &dir);
        std::future::pending::<()>().await;
    }
    let dir = WorkDir::new("processes-").unwrap();
    let report = dir.path().join("report");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::processes_and_directories_end_with_a_parent_that_is_killed"])
        .env(CHILD, &report)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let report = eventually("the child runs", Duration::from_secs(20), async || std::fs::read_to_string(&report).ok())
        .await
        .unwrap();
    let (pid, made) = report.trim().split_once(' ').unwrap();
    assert!(std::path::Path::new(made).is_dir());
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("process and directory are gone", Duration::from_secs(20), async || {
        let alive =
            Command::new("kill").args(["-0", pid]).stderr(std::process::Stdio::null()).status().unwrap().success();
        (!alive && !std::path::Path::new(made).exists()).then_some(())
    })
    .await
    .unwrap();
}

#[test]
fn a_component_that_is_not_built_is_missed_in_one_line_that_says_what_to_do() {
    let missed = crate::testenv::process::require(&["no-such-component"]).unwrap_err().to_string();
    assert_eq!(missed.lines().count(), 1, "{missed}");
    assert!(missed.contains("no-such-component") && missed.contains("make testenv"), "{missed}");
}
