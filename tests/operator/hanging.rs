//! A request for one resource that Kratos never answers, while it serves all others: that resource's trouble and nobody else's.

use std::time::{Duration, Instant};

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::State;
use serde_json::json;

use crate::many::{LIST, customer};
use crate::passwords::put_secret;
use crate::scene::{Scene, WITHIN, id_of, message_of};
use crate::testenv::process::eventually;

const PUT: &str = "PUT /admin/identities/{id}";
const TIMEOUT: &str = "4s";
/// How long a probe takes: whoever waits for one shows it.
const PROBE: Duration = Duration::from_millis(2500);

#[tokio::test]
async fn whoever_is_never_answered_is_locked_out_all_the_same_and_nobody_else_waits() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": TIMEOUT})).await;
    put_secret(&scene, &[("password", b"first-horse-battery-4711")]).await;
    let mut spec = customer(&scene, 1);
    spec["credentials"] = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
    scene.identity("ada", spec).await;
    scene.identity("bob", customer(&scene, 2)).await;
    let ada = scene.ready("ada").await;
    scene.ready("bob").await;
    scene.proxy.reset();
    let id = id_of(&ada);
    let held = scene.proxy.on_where(move |label, path| label == PUT && path.ends_with(&id)).hold();
    put_secret(&scene, &[("password", b"second-horse-battery-4712")]).await;
    scene.patch("ada", json!({"spec": {"state": "Inactive"}})).await;
    // The first time nobody knows whose fault it is.
    let again = eventually("it is tried again", WITHIN, async || (scene.proxy.count(PUT) >= 2).then_some(()));
    again.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.proxy.counts(), scene.log()));
    let bob = Instant::now();
    scene.proxy.on_with(LIST, "ids").delay(PROBE);
    let (mut slowest, mut rounds) = (Duration::ZERO, 0);
    while scene.proxy.count(PUT) < 4 {
        assert!(bob.elapsed() < WITHIN, "{:?}", scene.proxy.counts());
        rounds += 1;
        let begun = Instant::now();
        scene.patch("bob", json!({"spec": {"metadataPublic": {"round": rounds}}})).await;
        scene.ready("bob").await;
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < PROBE, "{slowest:?} in {rounds} rounds");
    let locked_out = eventually("it is inactive", WITHIN, async || {
        (scene.in_kratos(&ada).await.state == State::Inactive).then_some(())
    });
    locked_out.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.proxy.counts(), scene.log()));
    let is_told = |ada: &KratosIdentity| {
        let told = message_of(ada, "Ready");
        (told.contains("no answer within") && told.contains("inactive all the same")).then_some(())
    };
    scene.until("ada", "it is told so", is_told).await;
    scene.proxy.clear_faults();
    held.release();
    scene.ready("ada").await;
}
