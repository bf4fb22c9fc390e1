//! Kratos comes back with another database: nothing is made or deleted there until somebody says that it is meant, or
//! the identities are back.

use std::collections::BTreeMap;

use kratos_operator::api::protection::ProtectionStatus;
use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::many::ids_by_name;
use crate::scene::{Scene, id_of, merge};
use crate::testenv::kratos::{Kratos, Options};

const CREATE: &str = "POST /admin/identities";
const BATCH: &str = "PATCH /admin/identities";

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("one-of-many-{number}")).collect()
}

/// Resources that are Ready: the ids of their identities by name.
async fn made(scene: &Scene, count: usize) -> BTreeMap<String, String> {
    for name in names(count) {
        scene.identity(&name, plain(&name)).await;
    }
    ids(scene, count).await
}

async fn ids(scene: &Scene, count: usize) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for name in names(count) {
        ids.insert(name.clone(), id_of(&scene.ready(&name).await));
    }
    ids
}

fn protection_of(instance: &KratosInstance) -> ProtectionStatus {
    instance.status.as_ref().and_then(|status| status.protection.clone()).unwrap_or_default()
}

/// Waits until the instance says that so many are missing.
pub async fn misses(scene: &Scene, count: u32) -> KratosInstance {
    let told = |instance: &KratosInstance| {
        let stalled = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
        let is_told =
            stalled.reason == "IdentitiesMissing" && stalled.message.starts_with(&format!("{count} identities"));
        (is_told && protection_of(instance).missing == count).then_some(())
    };
    scene.instance_until("default", "identities are missing", told).await
}

async fn release(scene: &Scene, token: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"kratos-operator.dev/release": token}}}));
    scene.instances().patch("default", &PatchParams::default(), &patch).await.expect("it is accepted");
}

#[tokio::test]
async fn in_an_empty_database_nothing_is_made_or_let_go_and_when_the_right_one_is_back_all_goes_on() {
    let scene = Scene::own().await;
    scene.instance(json!({"resyncInterval": "1s", "protection": {"maxMissing": 5}})).await;
    let before = made(&scene, 12).await;
    scene.kratos.exchange_database().await.expect("it starts with an empty one");
    scene.proxy.reset();
    let instance = misses(&scene, 12).await;
    let message =
        &condition::find(&instance.status.as_ref().expect("a status").conditions, "Stalled").expect("so").message;
    assert!(message.contains("kubectl annotate kinst default"), "{message}");

    scene.identity("newcomer", plain("newcomer")).await;
    scene.retrying("newcomer", "InstanceNotReady").await;
    scene.patch("one-of-many-0", json!({"spec": {"traits": {"label": "changed"}}})).await;
    scene.retrying("one-of-many-0", "InstanceNotReady").await;
    scene.delete("one-of-many-1").await;
    let told = scene.retrying("one-of-many-1", "InstanceNotReady").await;
    assert!(told.contains("deletion.policy to Orphan"), "{told}");
    // Those that were Ready stay as they were.
    scene.ready("one-of-many-2").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(ids_by_name(&scene).await.len(), 0);

    scene.kratos.exchange_database().await.expect("it starts with the one of before");
    scene.instance_ready("default").await;
    scene.gone("one-of-many-1").await;
    let mut expected = before;
    expected.remove("one-of-many-1");
    expected.insert("newcomer".into(), id_of(&scene.ready("newcomer").await));
    let changed = scene.ready("one-of-many-0").await;
    assert_eq!(scene.in_kratos(&changed).await.traits.read().unwrap()["label"], "changed");
    assert_eq!(ids_by_name(&scene).await, expected);
    assert_eq!(scene.proxy.count(CREATE), 1);
    let protection = protection_of(&scene.instance_ready("default").await);
    assert_eq!((protection.missing, protection.recreating), (0, 0));
}

#[tokio::test]
async fn a_process_that_starts_over_an_empty_database_makes_nothing_until_released_and_then_each_once_whatever_is_killed()
 {
    let mut scene = Scene::own().await.with_instance().await;
    let before = made(&scene, 30).await;
    release(&scene, "of last year").await;
    scene.operator().kill();
    scene.kratos.exchange_database().await.expect("it starts with an empty one");
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    misses(&scene, 30).await;
    scene.patch("one-of-many-0", json!({"spec": {"traits": {"label": "changed"}}})).await;
    scene.retrying("one-of-many-0", "InstanceNotReady").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());

    // Once more: what it was told before counts no more than in the process of before.
    scene.operator().restart().expect("it starts");
    misses(&scene, 30).await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());

    let creates = scene.proxy.on_where(|label, _| matches!(label, CREATE | BATCH)).hold();
    release(&scene, "it is meant").await;
    creates.held().await;
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    let is_done = |instance: &KratosInstance| {
        let ProtectionStatus { missing, recreating, last_release, .. } = protection_of(instance);
        (missing == 0 && recreating == 0 && last_release?.token? == "it is meant").then_some(())
    };
    scene.instance_until("default", "all are made again", is_done).await;
    let after = ids(&scene, 30).await;
    assert!(before.iter().all(|(name, id)| after[name] != *id));
    assert_eq!(ids_by_name(&scene).await, after);
    // Those that were on their way when it was killed may have been carried out, or not.
    assert_eq!(scene.ours().await.len(), 30, "once each");

    // Another time it is asked for again.
    scene.kratos.exchange_database().await.expect("it starts with the one of before");
    scene.operator().restart().expect("it starts");
    misses(&scene, 30).await;
}

#[tokio::test]
async fn a_wrong_url_leads_nowhere_and_the_right_one_leads_back() {
    let scene = Scene::shared().await;
    let protected = json!({"protection": {"maxMissing": 2}});
    scene.instance(protected.clone()).await;
    let before = made(&scene, 4).await;
    let wrong = Kratos::start(Options::default()).await.expect("another Kratos");
    let mut changes = json!({"adminURL": wrong.admin_url(), "publicURL": wrong.public_url()});
    merge(&mut changes, protected.clone());
    scene.apply_instance(&scene.namespace, "default", scene.instance_spec(changes)).await;
    misses(&scene, 4).await;
    scene.delete("one-of-many-0").await;
    scene.retrying("one-of-many-0", "InstanceNotReady").await;
    let (status, there) = wrong.raw(reqwest::Method::GET, "admin/identities", &Value::Null).await.expect("it answers");
    assert_eq!((status.as_u16(), there), (200, json!([])));

    scene.instance(protected).await;
    scene.gone("one-of-many-0").await;
    let mut expected = before;
    expected.remove("one-of-many-0");
    assert_eq!(ids_by_name(&scene).await, expected);
}
