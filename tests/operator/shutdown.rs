//! How long the operator takes to end, whatever is under way.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::many::{CREATE, apply, customer};
use crate::scene::Scene;
use crate::testenv::operator::Operator;
use crate::testenv::process::eventually;

/// Of the thirty seconds that a pod has.
const AT_MOST: Duration = Duration::from_secs(25);
/// The process has to be scheduled, and the test has to notice.
const NOTICED: Duration = Duration::from_secs(2);

/// How it ended, and how long that took.
async fn ended(operator: &mut Operator) -> (ExitStatus, Duration) {
    let begun = Instant::now();
    let status = eventually("the process ends", AT_MOST * 3, async || operator.exited()).await;
    (status.unwrap_or_else(|error| panic!("{error}\n{}", operator.tail())), begun.elapsed())
}

/// Many creates are on their way to a Kratos that answers nothing for longer than anybody waits.
async fn waiting_for_kratos() -> Scene {
    let scene = Scene::own().await;
    scene.instance(json!({"requestTimeout": "2m"})).await;
    scene.counted().await;
    let held = scene.proxy.on(CREATE).hold_answer();
    let batch = scene.proxy.on("PATCH /admin/identities").hold_answer();
    apply(&scene, 0..10, |number| customer(&scene, number)).await;
    tokio::select! {
        () = held.held() => {}
        () = batch.held() => {}
    }
    scene
}

#[tokio::test]
async fn a_kratos_that_answers_nothing_is_not_waited_for() {
    let mut scene = waiting_for_kratos().await;
    let operator = scene.operator();
    operator.terminate();
    let (status, took) = ended(operator).await;
    println!("Kratos: {took:?}, {status}");
    assert!(took <= AT_MOST + NOTICED, "{took:?}");
    assert_eq!(status.code(), Some(1), "{}", operator.tail());
    assert!(operator.log().contains("was dropped"), "it says so: {}", operator.tail());
    // What was under way was carried out: nothing is lost, nothing is made twice.
    scene.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    crate::many::all(&scene, "all are Ready", crate::many::is_ready).await;
    assert_eq!(scene.ours().await.len(), 10);
}

#[tokio::test]
async fn an_api_server_that_answers_nothing_is_not_waited_for() {
    let (mut scene, wire) = Scene::own_by_wire().await;
    let create = scene.proxy.on(CREATE).hold_answer();
    scene.identity("ada", customer(&scene, 0)).await;
    create.held().await;
    wire.cut().expect("the wire is cut");
    // Its status can't be written.
    create.release();
    let operator = scene.operator();
    operator.terminate();
    let (status, took) = ended(operator).await;
    println!("API server: {took:?}, {status}");
    assert!(took <= AT_MOST + NOTICED, "{took:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut scene = waiting_for_kratos().await;
    let operator = scene.operator();
    operator.terminate();
    let heard = eventually("it has heard", AT_MOST, async || operator.log().contains("stopping").then_some(()));
    heard.await.expect("it hears");
    operator.terminate();
    let (status, took) = ended(operator).await;
    assert!(took <= NOTICED, "{took:?}");
    assert_eq!(status.code(), Some(1));
}
