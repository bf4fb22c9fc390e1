//! What goes wrong for a while: a Kratos that is down, that fails or wants to be left alone, a Kubernetes that doesn't
//! take a write. It costs little while it lasts, and is made good afterwards.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kratos_operator::api::{KratosInstance, condition};
use kratos_operator::kratos::PatchOperation;
use rstest::rstest;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::faults::{Answer, Case};
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

const CREATE: &str = "POST /admin/identities";
const CHANGE: &str = "PATCH /admin/identities/{id}";
const LIST: &str = "GET /admin/identities";
const STATUS: &str = "PATCH kratosidentities/status";
const RESOURCE: &str = "PATCH kratosidentities";
const REQUEST: &str = "kratos-operator.dev/reconcile-requested-at";

/// Tests share a Kratos: addresses are of this one alone.
fn customer(scene: &Scene, name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@{}.example", scene.namespace)}})
}

/// An answer as Kratos itself gives it.
fn refusal(status: u16) -> Answer {
    Answer::status(status).json(&json!({"error": {"code": status, "status": "No", "message": "as the test asked for"}}))
}

/// What the API server answers.
fn status_object(code: u16, reason: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as the test asked for",
        "reason": reason, "code": code,
    });
    Answer::status(code).json(&status)
}

/// The operator's requests of this sort to the API server, about one resource of this test.
fn on_resource(scene: &Scene, label: &'static str, name: &str) -> Case {
    let about = format!("/namespaces/{}/kratosidentities/{name}", scene.namespace);
    scene.cluster.proxy.on_where(move |found, path| found == label && path.contains(&about))
}

fn seen(scene: &Scene, label: &str) -> Vec<RecordedRequest> {
    scene.proxy.seen().into_iter().filter(|seen| seen.label == label).collect()
}

/// The pauses between requests, once there were this many.
async fn pauses(scene: &Scene, label: &str, requests: usize) -> Vec<Duration> {
    let all = eventually("it is tried again and again", WITHIN, async || {
        Some(seen(scene, label)).filter(|seen| seen.len() >= requests)
    });
    let all = all.await.expect("it is tried again");
    all.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

/// Waits for so many complete listings, not counting what asks for single ids.
async fn listings(scene: &Scene, count: usize) {
    let is_full =
        |seen: &RecordedRequest| !seen.parameters.iter().any(|name| name == "ids" || name == "credentials_identifier");
    let before = seen(scene, LIST).iter().filter(|seen| is_full(seen)).count();
    let listed = eventually("the instance is listed", WITHIN, async || {
        let now = seen(scene, LIST).iter().filter(|seen| is_full(seen) && seen.status.is_some()).count();
        (now >= before + count).then_some(())
    });
    listed.await.expect("it is listed");
}

/// Writes of the operator about identities. (The instance's status counts what others make in the shared Kratos.)
fn identity_writes(scene: &Scene) -> Vec<String> {
    let writes = scene.kubernetes_writes().into_iter();
    writes.filter(|label| label != "PATCH kratosinstances/status").collect()
}

fn is_down(instance: &KratosInstance) -> Option<()> {
    let conditions = &instance.status.as_ref()?.conditions;
    let found = condition::find(conditions, "Reconciling")?;
    (found.reason == "KratosUnavailable").then_some(())
}

/// A gateway answers while nothing stands behind it, or connections are closed without a byte; either way attempts are
/// counted. A probe whose connection was lost is sent up to three times: the connection might have been stale.
#[rstest]
#[case::a_gateway_says_so(false, 1)]
#[case::connections_are_closed(true, 3)]
#[tokio::test]
async fn a_kratos_that_is_down_is_probed_now_and_then_whatever_the_number_of_identities(
    #[case] closes: bool,
    #[case] attempts: usize,
) {
    let scene = Scene::shared().await.with_instance().await;
    let named = |kind: &str, count: usize| (0..count).map(|number| format!("{kind}-{number}")).collect::<Vec<_>>();
    let (old, new) = (named("old", 10), named("new", 20));
    for name in &old {
        scene.identity(name, customer(&scene, name)).await;
    }
    for name in &old {
        scene.ready(name).await;
    }

    let down = scene.proxy.on("*");
    if closes {
        down.refuse();
    } else {
        down.answer(Answer::status(503));
    }
    scene.count_from_now();
    for name in &new {
        scene.identity(name, customer(&scene, name)).await;
    }
    for name in &old {
        scene.patch(name, json!({"metadata": {"annotations": {REQUEST: "while it is down"}}})).await;
    }
    scene.instance_until("default", "KratosUnavailable", is_down).await;
    // Those that were told so are those that were new.
    for name in &new {
        scene.retrying(name, "KratosUnavailable").await;
    }
    scene.proxy.reset();
    let pauses = pauses(&scene, LIST, 2 * attempts + 1).await;
    assert_eq!(scene.proxy.count("*"), scene.proxy.count(LIST), "nothing but probes: {:?}", scene.proxy.counts());
    let between: Vec<_> = pauses.iter().filter(|pause| pause.as_secs_f64() > 0.45).collect();
    assert!(between.len() >= 2 && pauses.len() < attempts * (between.len() + 1), "{pauses:?}");
    let about_old =
        |seen: &&RecordedRequest| seen.path.contains("/kratosidentities/old-") && seen.label.starts_with("PATCH");
    let about_us = |seen: &&RecordedRequest| seen.path.contains(&format!("/namespaces/{}/", scene.namespace));
    let written = scene.kubernetes_seen();
    let written: Vec<_> = written.iter().filter(about_old).filter(about_us).collect();
    assert!(written.is_empty(), "those that were Ready are left as they are: {written:?}");

    scene.proxy.clear_faults();
    for name in old.iter().chain(&new) {
        scene.ready(name).await;
    }
    assert_eq!(scene.ours().await.len(), 30);
}

#[tokio::test]
async fn deletion_waits_for_a_kratos_that_is_down_unless_the_identity_is_to_stay() {
    let scene = Scene::shared().await.with_instance().await;
    for name in ["ada", "bob"] {
        scene.identity(name, customer(&scene, name)).await;
    }
    let (ada, bob) = (scene.ready("ada").await, scene.ready("bob").await);
    scene.proxy.down();
    for name in ["ada", "bob"] {
        scene.delete(name).await;
        let told = scene.retrying(name, "KratosUnavailable").await;
        assert!(told.contains("deletion.policy to Orphan"), "{told}");
    }
    scene.patch("bob", json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    scene.gone("bob").await;
    scene.proxy.up().expect("it is up");
    scene.gone("ada").await;
    assert_eq!(scene.admin().get_identity(&id_of(&ada), &[]).await, Ok(None));
    scene.in_kratos(&bob).await;
}

/// How the instance stands, with the times since when.
async fn conditions(scene: &Scene) -> Vec<Condition> {
    let instance = scene.instances().get("default").await.expect("it is there");
    instance.status.expect("a status").conditions
}

#[tokio::test]
async fn one_identity_that_kratos_fails_on_is_tried_ever_less_often_and_stops_no_other() {
    let scene = Scene::shared().await.with_instance().await;
    for name in ["ada", "bob"] {
        scene.identity(name, customer(&scene, name)).await;
    }
    let ada = id_of(&scene.ready("ada").await);
    scene.ready("bob").await;
    let well = conditions(&scene).await;
    scene.count_from_now();
    scene.proxy.on_where(move |label, path| label == CHANGE && path.ends_with(&ada)).answer(refusal(500));
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    let pauses = pauses(&scene, CHANGE, 4).await;
    for (pause, least) in pauses.iter().zip([0.5, 1.0, 2.0]) {
        assert!(pause.as_secs_f64() >= least, "{pauses:?}");
    }
    let told = scene.retrying("ada", "KratosUnavailable").await;
    assert!(told.contains("500") && !told.contains("as the test asked for"), "{told}");
    scene.patch("bob", json!({"spec": {"traits": {"age": 37}}})).await;
    scene.ready("bob").await;
    assert_eq!(conditions(&scene).await, well, "the instance is well");
    let told = scene.kubernetes_writes().into_iter().filter(|write| write.contains("kratosinstances")).count();
    assert!(told <= 1, "{told} writes of the instance: it says how many there are, and nothing else");
    // Not the server's: others are served, and have been since each of its failures.
    let told = scene.stalled("ada", "KratosRejected").await;
    assert!(told.contains("500") && told.contains("although Kratos serves others"), "{told}");
    scene.proxy.clear_faults();
    scene.ready("ada").await;
}

#[tokio::test]
async fn a_kratos_that_refuses_writes_but_answers_reads_is_not_hammered() {
    let scene = Scene::shared().await.with_instance().await;
    scene.identity("ada", customer(&scene, "ada")).await;
    scene.ready("ada").await;
    scene.proxy.reset();
    scene.proxy.on(CHANGE).answer(refusal(403));
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    let pauses = pauses(&scene, CHANGE, 4).await;
    assert!(pauses[2] >= Duration::from_secs(1), "{pauses:?}");
    scene.retrying("ada", "KratosUnavailable").await;
    scene.proxy.clear_faults();
    scene.ready("ada").await;
}

#[tokio::test]
async fn a_kratos_that_asks_to_be_called_later_is_called_later() {
    let scene = Scene::shared().await.with_instance().await;
    scene.identity("ada", customer(&scene, "ada")).await;
    scene.ready("ada").await;
    scene.proxy.reset();
    scene.proxy.on(CHANGE).once().answer(refusal(429).header("Retry-After", "4"));
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    scene.retrying("ada", "Throttled").await;
    scene.ready("ada").await;
    let pauses = pauses(&scene, CHANGE, 2).await;
    // Spread by a tenth, so that those that were refused together don't come back together.
    assert!(pauses[0] >= Duration::from_millis(3600), "{pauses:?}");
}

#[tokio::test]
async fn a_status_that_kubernetes_did_not_take_is_written_later() {
    let scene = Scene::shared().await.with_instance().await;
    for (name, answer) in [("ada", status_object(500, "InternalError")), ("bob", status_object(409, "Conflict"))] {
        on_resource(&scene, STATUS, name).once().answer(answer);
        scene.identity(name, customer(&scene, name)).await;
    }
    let ids = [id_of(&scene.ready("ada").await), id_of(&scene.ready("bob").await)];
    let ours: Vec<_> = scene.ours().await.into_iter().map(|identity| identity.id).collect();
    assert!(ours.len() == 2 && ids.iter().all(|id| ours.contains(id)), "{ids:?} {ours:?}");
}

#[tokio::test]
async fn a_finalizer_that_met_a_conflict_is_written_later() {
    let scene = Scene::shared().await.with_instance().await;
    let instances = format!("/namespaces/{}/kratosinstances/default", scene.namespace);
    let is_instance = move |label: &str, path: &str| label == "PATCH kratosinstances" && path.ends_with(&instances);
    scene.cluster.proxy.on_where(is_instance).once().answer(status_object(409, "Conflict"));
    // One that is new, and one that has been known for a while.
    let mut known = customer(&scene, "known");
    known["suspend"] = json!(true);
    scene.identity("known", known).await;
    on_resource(&scene, RESOURCE, "new").once().answer(status_object(409, "Conflict"));
    scene.identity("new", customer(&scene, "new")).await;
    scene.ready("new").await;
    let made = scene.until("known", "suspended", |known| known.status.clone()).await.metadata.creation_timestamp;
    let known_for = || made.as_ref().map(|made| k8s_openapi::jiff::Timestamp::now().duration_since(made.0));
    let aged =
        eventually("it has been known for five seconds", WITHIN, async || known_for().filter(|age| age.as_secs() > 5));
    aged.await.expect("time passes");
    on_resource(&scene, RESOURCE, "known").once().answer(status_object(409, "Conflict"));
    scene.patch("known", json!({"spec": {"suspend": false}})).await;
    scene.ready("known").await;
    assert_eq!(scene.ours().await.len(), 2);
}

#[tokio::test]
async fn resyncs_write_nothing_where_nothing_differs_and_correct_what_does_with_one_read_and_one_write() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s", "fullScanInterval": "1s"})).await;
    let mut specs = vec![("ada", customer(&scene, "ada")), ("idle", customer(&scene, "idle"))];
    specs[1].1["state"] = json!("Inactive");
    for (name, spec) in specs {
        scene.identity(name, spec).await;
        scene.ready(name).await;
    }
    let ada = scene.ready("ada").await;
    listings(&scene, 1).await;
    scene.count_from_now();
    listings(&scene, 3).await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(identity_writes(&scene), Vec::<String>::new());

    let drift = PatchOperation::Add { path: "/metadata_admin/kratos-operator.dev/ownedPaths".into(), value: json!([]) };
    scene.admin().patch_identity(&id_of(&ada), &[drift]).await.expect("it is changed");
    let corrected = eventually("it is corrected", WITHIN, async || {
        let ada = scene.in_kratos(&ada).await;
        let mark = &ada.metadata_admin.read().unwrap()["kratos-operator.dev"];
        (mark["ownedPaths"] == json!(["/traits/email"])).then_some(())
    });
    corrected.await.expect("drift is corrected");
    listings(&scene, 2).await;
    let counts = scene.proxy.counts();
    assert_eq!((counts.get("GET /admin/identities/{id}"), counts.get(CHANGE)), (Some(&1), Some(&1)), "{counts:?}");
    assert_eq!(scene.kratos_writes(), 1, "{counts:?}");
    assert_eq!(identity_writes(&scene), Vec::<String>::new());
    assert_eq!(scene.proxy.count(CREATE), 0);
}

#[tokio::test]
async fn a_refusal_that_nothing_explains_is_told_as_kratos_own_and_not_repeated() {
    let scene = Scene::shared().await.with_instance().await;
    scene.identity("ada", customer(&scene, "ada")).await;
    scene.ready("ada").await;
    scene.proxy.on(CHANGE).answer(refusal(400));
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    let told = scene.stalled("ada", "KratosRejected").await;
    assert!(told.contains("patch_identity") && !told.contains("as the test asked for"), "{told}");
    assert_eq!(scene.proxy.count(CHANGE), 1);
    scene.proxy.clear_faults();
    scene.request_reconcile("ada").await;
    scene.ready("ada").await;
}
