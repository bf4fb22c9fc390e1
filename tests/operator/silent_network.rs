//! A network between the operator and the API server that dies without a word: nothing is refused, nothing is answered.

use std::time::{Duration, Instant};

use kube::api::ListParams;

use crate::many::{all, apply, customer, is_ready};
use crate::scene::Scene;
use crate::testenv::wire::{Dead, Wire};

/// Until everything is made good, once connections are to be had.
const MADE_GOOD: Duration = Duration::from_secs(45);
const OUTAGE: Duration = Duration::from_secs(40);
const NEW: usize = 20;

/// Some resources are Ready.
async fn scene() -> (Scene, Wire) {
    let (scene, wire) = Scene::own_by_wire().await;
    apply(&scene, 0..NEW, |number| customer(&scene, number)).await;
    all(&scene, "all are Ready", is_ready).await;
    (scene, wire)
}

/// All of the scene's resources are Ready in time.
async fn made_good(scene: &Scene, what: &str, since: Instant) {
    all(scene, "all are Ready", is_ready).await;
    let took = since.elapsed();
    println!("{what}: {took:?}");
    assert!(took <= MADE_GOOD, "{what}: it took {took:?}\n{}", scene.log());
}

#[tokio::test]
async fn connections_that_are_dead_are_left_for_new_ones() {
    let (scene, wire) = scene().await;
    for (round, dead) in [(1, Dead::Silent), (2, Dead::Acknowledging)] {
        wire.kill(dead);
        let begun = Instant::now();
        apply(&scene, NEW * round..NEW * (round + 1), |number| customer(&scene, number)).await;
        made_good(&scene, &format!("{dead:?}"), begun).await;
    }
}

#[tokio::test]
async fn when_the_network_is_back_nobody_waits_for_long() {
    let (scene, wire) = scene().await;
    wire.cut().expect("the wire is cut");
    let begun = Instant::now();
    apply(&scene, NEW..NEW * 2, |number| customer(&scene, number)).await;
    // The time is what this is about: everything that is tried meanwhile has found out.
    tokio::time::sleep_until((begun + OUTAGE).into()).await;
    let reached = scene.identities().list(&ListParams::default()).await.expect("a list").items;
    assert_eq!(reached.iter().filter(|resource| is_ready(resource)).count(), NEW, "nothing gets through");
    wire.mend().expect("the wire is mended");
    made_good(&scene, "outage", Instant::now()).await;
}
