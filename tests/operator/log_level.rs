//! Which log lines are written is changed while the operator runs; what libraries may say stays bounded.

use serde_json::Value;

use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

/// What is logged at DEBUG when an instance is asked for a reconcile.
const COMPARED: &str = "identities were compared";
const LISTING: &str = "GET /admin/identities";

/// Lines below INFO, as (level, target).
fn below_info(log: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = lines.map(|line| (text(&line["level"]), text(&line["target"])));
    lines.filter(|(level, _)| level == "DEBUG" || level == "TRACE").collect()
}

async fn compared(scene: &Scene) {
    let before = scene.proxy.count(LISTING);
    scene.request_instance_reconcile("default").await;
    let listed = eventually("it is listed", WITHIN, async || (scene.proxy.count(LISTING) > before).then_some(()));
    listed.await.expect("it is listed");
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_said_and_info_holds() {
    let mut scene = Scene::own().await;
    scene.operator().restart_with(|settings| "kratos_operator=loud".clone_into(&mut settings.log)).expect("it starts");
    let said = eventually("it is said", WITHIN, async || {
        let log = scene.whole_log();
        (log.contains("RUST_LOG is no filter") && log.contains("kratos-operator starts")).then_some(())
    });
    said.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn the_filter_is_changed_and_set_back_while_libraries_stay_bounded() {
    let mut scene = Scene::own().await;
    let arguments = ["--log-format", "json", "--debug-address", "127.0.0.1:0"].map(str::to_owned).to_vec();
    scene
        .operator()
        .restart_with(|settings| {
            settings.arguments = arguments;
            "info".clone_into(&mut settings.log);
        })
        .expect("it starts");
    let from = scene.whole_log().find('{').unwrap_or_default();
    let log = |scene: &Scene| scene.whole_log()[from..].to_owned();
    let address = eventually("it is served", WITHIN, async || {
        let log = scene.whole_log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["message"] == "log levels are served under /debug/log-level")?;
        line["address"].as_str().map(str::to_owned)
    });
    let url = format!("http://{}/debug/log-level", address.await.expect("an address"));
    let http = reqwest::Client::new();
    let scene = scene.with_instance().await;
    let answer = http.get(&url).send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("a text"), "info\n");
    compared(&scene).await;
    assert_eq!(below_info(&log(&scene)), []);

    for (wrong, status) in [("kratos_operator=loud", 400), ("", 400), (&*"a".repeat(5000), 413)] {
        let refused = http.put(&url).body(wrong.to_owned()).send().await.expect("an answer");
        assert_eq!(refused.status().as_u16(), status, "{wrong}");
    }
    let all =
        "trace,kube_client=trace,kube_client::client=trace,hyper=trace,hyper_util=trace,reqwest=trace,tower=trace";
    let answer = http.put(&url).body(all).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    compared(&scene).await;
    let logged = eventually("it is logged", WITHIN, async || log(&scene).contains(COMPARED).then_some(()));
    logged.await.expect("it is logged");
    let shown = below_info(&log(&scene));
    let others: Vec<_> = shown.iter().filter(|(_, target)| !target.starts_with("kratos_operator")).collect();
    assert!(others.is_empty() && !shown.is_empty(), "{others:?}");

    let answer = http.delete(&url).send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("a text"), "info\n");
    let shown = below_info(&log(&scene)).len();
    compared(&scene).await;
    scene.settle_again("beside").await;
    assert_eq!(below_info(&log(&scene)).len(), shown);
}
