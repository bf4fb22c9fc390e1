//! Creates whose answer never came. Kratos has no idempotency key: what was made is found by its mark, by identifiers
//! or by a listing that began late enough, and nothing is made twice.

use futures::StreamExt;
use kratos_operator::kratos::{BatchItem, CreateIdentity};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

const CREATE: &str = "POST /admin/identities";
const BATCH: &str = "PATCH /admin/identities";
const LIST: &str = "GET /admin/identities";

/// Tests share a Kratos: addresses are of this one alone.
fn customer(scene: &Scene, name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@{}.example", scene.namespace)}})
}

/// Nothing about it is unique: found by its mark alone.
fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

/// An instance that waits for one second only, held and listed already.
async fn settled() -> Scene {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": "1s"})).await;
    scene.identity("first", plain("first")).await;
    scene.ready("first").await;
    scene.proxy.reset();
    scene
}

/// The ids of the identities that are ours, sorted.
async fn ours(scene: &Scene) -> Vec<String> {
    let mut ids: Vec<_> = scene.ours().await.into_iter().map(|identity| identity.id).collect();
    ids.sort();
    ids
}

/// The ids that these resources name, sorted, once they are Ready.
async fn ready_ids(scene: &Scene, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(id_of(&scene.ready(name).await));
    }
    ids.sort();
    ids
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_found_by_its_mark() {
    let scene = settled().await;
    // Alone or together, as it happens.
    scene.proxy.on_where(|label, _| matches!(label, CREATE | BATCH)).times(2).lose_answer();
    scene.identity("ada", customer(&scene, "ada")).await;
    scene.identity("box", plain("box")).await;
    assert_eq!(ready_ids(&scene, &["first", "ada", "box"]).await, ours(&scene).await);
    let asked = scene.proxy.count(CREATE) + 2 * scene.proxy.count(BATCH);
    assert_eq!(asked, 2, "each was asked for once");
}

#[tokio::test]
async fn a_create_that_never_arrived_is_made_once_that_is_certain() {
    let scene = settled().await;
    scene.proxy.on(CREATE).once().refuse();
    scene.identity("box", plain("box")).await;
    assert_eq!(ready_ids(&scene, &["first", "box"]).await, ours(&scene).await);
    let creates: Vec<_> = scene.proxy.seen().into_iter().filter(|seen| seen.label == CREATE).collect();
    assert_eq!(creates.len(), 2);
    // The time-out and five seconds: for so long the first one could have been under way.
    let waited = creates[1].at - creates[0].at;
    assert!(waited.as_secs_f64() >= 6.0, "{waited:?}");
}

#[tokio::test]
async fn a_create_that_is_carried_out_after_its_time_out_is_found_by_a_listing() {
    let scene = settled().await;
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    scene.identity("box", plain("box")).await;
    create.held().await;
    scene.proxy.reset();
    let given_up = eventually("the instance is probed, since there was no answer in time", WITHIN, async || {
        (scene.proxy.count(LIST) > 0).then_some(())
    });
    given_up.await.expect("it is probed");
    create.release();
    assert_eq!(ready_ids(&scene, &["first", "box"]).await, ours(&scene).await);
    assert_eq!(scene.proxy.count(CREATE), 0, "it was asked for once");
}

#[tokio::test]
async fn a_create_that_is_carried_out_after_it_was_repeated_conflicts_with_its_like() {
    let scene = settled().await;
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    scene.identity("ada", customer(&scene, "ada")).await;
    // Its address is looked up, nobody has it, so it is asked for again.
    let ids = ready_ids(&scene, &["first", "ada"]).await;
    create.release();
    let late = eventually("the first one is answered", WITHIN, async || {
        let creates = scene.proxy.seen().into_iter().filter(|seen| seen.label == CREATE);
        creates.map(|seen| seen.status).collect::<Option<Vec<_>>>()
    });
    assert_eq!(late.await.expect("it is carried out"), [409, 201]);
    assert_eq!(ids, ours(&scene).await);
}

#[tokio::test]
async fn a_listing_that_fails_midway_concludes_nothing() {
    let mut scene = Scene::own().await.with_instance().await;
    // So many others that ours are spread over several pages.
    let other = CreateIdentity {
        schema_id: "plain".to_owned(),
        traits: json!({"label": "somebody else"}),
        ..CreateIdentity::default()
    };
    for _ in 0..4 {
        let items: Vec<_> = (0..250).map(|_| BatchItem { create: other.clone(), patch_id: None }).collect();
        scene.admin().batch_patch_identities(&items).await.expect("they are created");
    }
    let names: Vec<_> = (0..12).map(|number| format!("box-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let statuses = scene.cluster.proxy.on("PATCH kratosidentities/status").hold();
    futures::stream::iter(&names).for_each(async |name| drop(scene.identity(name, plain(name)).await)).await;
    statuses.held_times(names.len()).await;
    scene.operator().kill();
    scene.cluster.proxy.clear_faults();
    scene.proxy.reset();

    // Six times, since a read is repeated twice: two listings fail.
    scene.proxy.on_with(LIST, "page_token").times(6).answer(
        crate::testenv::faults::Answer::status(500)
            .json(&json!({"error": {"code": 500, "status": "Internal Server Error", "message": "no"}})),
    );
    scene.operator().restart().expect("it starts");
    assert_eq!(ready_ids(&scene, &names).await, ours(&scene).await);
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
}
