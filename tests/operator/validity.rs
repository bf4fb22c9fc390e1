//! Identities that may log in for a time: the window opens and closes to the second, whether anybody asks or not.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kratos_operator::api::identity::IdentityState;
use kratos_operator::kratos::State;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, message_of};
use crate::testenv::process::eventually;

/// So many seconds from now, in full seconds.
fn seconds_from_now(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + seconds).expect("a time")
}

fn customer(email: &str, validity: &Value) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}, "validity": validity})
}

/// Waits until the status shows a state. Returns the Ready message, and how long after `boundary` it was seen.
async fn becomes(scene: &Scene, name: &str, state: IdentityState, boundary: Timestamp) -> (String, SignedDuration) {
    let found =
        scene.until(name, "the state", |identity| (identity.status.as_ref()?.state == Some(state)).then_some(())).await;
    (message_of(&found, "Ready"), Timestamp::now().duration_since(boundary))
}

/// To the second, and what a busy machine takes to do and show it.
fn is_timely(late: SignedDuration) -> bool {
    late >= SignedDuration::ZERO && late < SignedDuration::from_secs(5)
}

#[tokio::test]
async fn the_window_opens_and_closes_while_the_operator_runs_and_sessions_end_with_it() {
    let scene = Scene::settled().await;
    let (start, end) = (seconds_from_now(6), seconds_from_now(14));
    scene.identity("ada", customer("ada@window.example", &json!({"notBefore": start, "notAfter": end}))).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive, "created inactive");
    let message = message_of(&ada, "Ready");
    assert!(message.contains(&format!("inactive until {start}")), "{message}");
    // A reconcile in between doesn't lose the timer.
    scene.request_reconcile("ada").await;
    let (message, late) = becomes(&scene, "ada", IdentityState::Active, start).await;
    assert!(is_timely(late), "{late:?}");
    assert!(message.contains(&format!("active until {end}")), "{message}");
    let token = scene.logged_in(&ada, "ada@window.example").await;
    let (message, late) = becomes(&scene, "ada", IdentityState::Inactive, end).await;
    assert!(is_timely(late), "{late:?}");
    assert!(message.contains(&format!("inactive since {end}")), "{message}");
    assert!(!scene.is_logged_in(&token).await);
    scene.patch("ada", json!({"spec": {"validity": null, "state": "Active"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Active);
    assert!(!scene.is_logged_in(&token).await, "the session doesn't come back to life");
}

#[tokio::test]
async fn a_window_that_closes_while_the_operator_is_down_is_closed_when_it_comes_back() {
    let mut scene = Scene::own().await.with_instance().await;
    let end = seconds_from_now(8);
    scene.identity("ada", customer("ada@down.example", &json!({"notAfter": end}))).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@down.example").await;
    scene.operator().kill();
    eventually("the window has closed", WITHIN, async || (Timestamp::now() > end).then_some(())).await.expect("time");
    assert!(scene.is_logged_in(&token).await, "nobody has closed it");
    scene.operator().restart().expect("it starts again");
    becomes(&scene, "ada", IdentityState::Inactive, end).await;
    assert!(!scene.is_logged_in(&token).await);
    scene.change_in_kratos(&ada, "/state", json!("active")).await;
    assert!(!scene.is_logged_in(&token).await, "the session doesn't come back to life");
    scene.request_reconcile("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive, "the window owns the state");
}

#[tokio::test]
async fn who_is_inactive_for_good_stays_so_within_the_window() {
    let scene = Scene::settled().await;
    let (start, end) = (seconds_from_now(-60), seconds_from_now(600));
    let mut spec = customer("ada@for-good.example", &json!({"notBefore": start, "notAfter": end}));
    spec["state"] = json!("Inactive");
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);
    // Nothing of it is written again as time goes on.
    scene.count_from_now();
    scene.patch("ada", json!({"spec": {"state": "Active"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Active);
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0);
}
