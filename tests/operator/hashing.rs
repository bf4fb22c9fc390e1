//! Passwords in clear text, which the server hashes slowly: they are sent in requests of their own, few at a time, and delay
//! nobody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::many::{BATCH, CREATE, STATUS, all, apply, customer, hold_true, is_ready, name, writes};
use crate::passwords::put_secret;
use crate::scene::{Scene, WITHIN};
use crate::testenv::kratos::Options;
use crate::testenv::labels::Api as Labels;
use crate::testenv::process::eventually;
use crate::testenv::proxy::{Listener, Proxy, Upstream};

const COUNT: usize = 150;
/// Every fifth has one.
const EVERY: usize = 5;
/// At this cost a hash takes no less than a tenth of a second anywhere.
const COST: u32 = 12;
const ONE_HASH: Duration = Duration::from_millis(100);

/// A request that creates: when it came, how many it carries with a password in clear text, and how many without.
#[derive(Clone, Copy, Debug)]
struct Carried {
    at: Instant,
    hashed: usize,
    others: usize,
}

#[derive(Default)]
struct Creates(Mutex<Vec<Carried>>);

impl Creates {
    fn all(&self) -> Vec<Carried> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Listener for Creates {
    fn asked(&self, label: &str, body: &[u8]) {
        if label != BATCH && label != CREATE {
            return;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let creates = match body["identities"].as_array() {
            Some(items) => items.iter().map(|item| item["create"].clone()).collect(),
            None => vec![body],
        };
        let hashed =
            creates.iter().filter(|create| create["credentials"]["password"]["config"]["password"].is_string());
        let hashed = hashed.count();
        let carried = Carried { at: Instant::now(), hashed, others: creates.len() - hashed };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(carried);
    }

    fn wants_answer(&self, _: &str) -> bool {
        false
    }

    fn answered(&self, _: &str, _: &[u8]) {}
}

fn has_password(number: usize) -> bool {
    number.is_multiple_of(EVERY)
}

#[tokio::test]
async fn passwords_that_are_hashed_slowly_are_sent_in_small_batches_side_by_side_and_hold_up_nobody_else() {
    let scene = Scene::own_but_for(Options { bcrypt_cost: COST, ..Options::default() }).await;
    let upstream = Upstream { url: scene.proxy.url(), api: Labels::Kratos, ca: None, token: None };
    let reading = Proxy::start(upstream).expect("a proxy");
    let creates = Arc::new(Creates::default());
    reading.listen(Arc::clone(&creates) as Arc<dyn Listener>);
    scene.instance(json!({"adminURL": reading.url(), "requestTimeout": "30s"})).await;
    scene.settle().await;
    put_secret(&scene, &[("password", b"first-horse-battery-4711")]).await;
    reading.down();
    let spec = |number: usize| {
        if has_password(number) { with_password(&scene, number) } else { customer(&scene, number) }
    };
    apply(&scene, 0..COUNT, spec).await;
    scene.count_from_now();
    reading.up().expect("it listens again");
    let mut resources = all(&scene, "all are Ready", is_ready).await;

    let told = writes(&scene, STATUS);
    let when =
        |number: usize| told.iter().rposition(|path| path.contains(&format!("/{}/", name(number)))).expect("told");
    let last_other = (0..COUNT).filter(|number| !has_password(*number)).map(when).max().expect("there are some");
    let waiting = (0..COUNT).filter(|number| has_password(*number) && when(*number) > last_other).count();
    let hashed = COUNT / EVERY;
    assert!(waiting * 2 > hashed, "{waiting} of {hashed} were hashed still when all others were Ready");

    let requests: Vec<_> = creates.all().into_iter().filter(|carried| carried.hashed > 0).collect();
    assert!(requests.iter().all(|carried| carried.others == 0 && carried.hashed <= 10), "{requests:?}");
    assert!(requests.len() < hashed, "together: {requests:?}");
    // One after another by the server, so that by then the first can't have been answered.
    let is_beside = |pair: &[Carried]| {
        let hashing = ONE_HASH * u32::try_from(pair[0].hashed).unwrap_or_default();
        pair[1].at < pair[0].at + hashing
    };
    assert!(requests.windows(2).any(is_beside), "side by side: {requests:?}");
    resources.retain(|_, resource| is_ready(resource));
    hold_true(&scene, resources.values()).await;
}

#[tokio::test]
async fn creates_that_wait_for_their_passwords_turn_hold_up_nobody_else() {
    const PLACES: usize = 16;
    let mut scene = Scene::own().await;
    let places = ["--concurrency".to_owned(), PLACES.to_string()];
    scene.operator().restart_with(|settings| settings.arguments.extend(places)).expect("it starts");
    scene.instance(json!({"requestTimeout": "300s"})).await;
    scene.settle().await;
    put_secret(&scene, &[("password", b"first-horse-battery-4711")]).await;
    put_follower(&scene, "before").await;
    let follower = json!({
        "schemaID": "customer", "traits": {"email": "follower@hashing.example"},
        "traitsFrom": [{"path": "/username", "secretKeyRef": {"name": "follower", "key": "username"}}],
    });
    scene.identity("follower", follower).await;
    let follower = scene.ready("follower").await;
    scene.count_from_now();
    let is_create = |label: &str, _: &str| label == BATCH || label == CREATE;
    let held = scene.proxy.on_where(is_create).hold();
    apply(&scene, 0..4 * PLACES, |number| with_password(&scene, number)).await;
    held.held_times(1).await;
    // Nobody's reconcile that is more urgent than theirs.
    put_follower(&scene, "after").await;
    let is_after = eventually("the other Secret is followed", WITHIN, async || {
        (scene.in_kratos(&follower).await.traits.read().unwrap()["username"] == json!("after")).then_some(())
    });
    is_after.await.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", scene.proxy.counts(), scene.log()));
    held.release();
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;
    let told = writes(&scene, STATUS).into_iter().filter(|path| !path.contains("/follower/")).count();
    assert_eq!(told, 4 * PLACES, "one status each, however long they wait");
}

/// The Secret that somebody follows.
async fn put_follower(scene: &Scene, username: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "follower"}, "stringData": {"username": username},
    });
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    secrets.patch("follower", &PatchParams::apply("test").force(), &Patch::Apply(&secret)).await.expect("the Secret");
}

fn with_password(scene: &Scene, number: usize) -> Value {
    let mut spec = customer(scene, number);
    spec["credentials"] = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
    spec
}

#[tokio::test]
async fn a_thousand_with_passwords_that_are_hashed_fast_share_requests_and_cost_two_writes_each() {
    const COUNT: usize = 1000;
    let scene = Scene::own().await;
    let upstream = Upstream { url: scene.proxy.url(), api: Labels::Kratos, ca: None, token: None };
    let reading = Proxy::start(upstream).expect("a proxy");
    let creates = Arc::new(Creates::default());
    reading.listen(Arc::clone(&creates) as Arc<dyn Listener>);
    scene.instance(json!({"adminURL": reading.url(), "requestTimeout": "30s"})).await;
    scene.settle().await;
    put_secret(&scene, &[("password", b"first-horse-battery-4711")]).await;
    scene.count_from_now();
    let begun = Instant::now();
    apply(&scene, 0..COUNT, |number| with_password(&scene, number)).await;
    let resources = all(&scene, "all are Ready", is_ready).await;
    let took = begun.elapsed();
    let sizes: Vec<_> = creates.all().into_iter().map(|carried| carried.hashed).filter(|count| *count > 0).collect();
    println!("{took:?} {sizes:?}");
    assert!(sizes.len() <= COUNT / 10, "{took:?} {sizes:?}");
    assert_eq!(writes(&scene, STATUS).len(), COUNT, "one status each");
    hold_true(&scene, resources.values()).await;
}
