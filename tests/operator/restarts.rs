//! Whatever is killed, at whatever moment, and started again: nothing is lost, nothing is made twice, and what agreed
//! before is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::PatchOperation;
use serde_json::{Value, json};

use crate::many::ids_by_name;
use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;

const CREATE: &str = "POST /admin/identities";
const LIST: &str = "GET /admin/identities";
const STATUS: &str = "PATCH kratosidentities/status";
const RESOURCE: &str = "PATCH kratosidentities";
const REQUEST: &str = "kratos-operator.dev/reconcile-requested-at";

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@restart.example")}})
}

/// Nothing about it is unique: found by its mark alone.
fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

/// Waits until Kratos has answered a listing.
async fn listed(proxy: &Proxy) {
    let answered = eventually("a listing is answered", WITHIN, async || {
        let is_answered =
            |seen: &crate::testenv::proxy::RecordedRequest| seen.label == LIST && seen.status == Some(200);
        proxy.seen().iter().any(|seen| is_answered(seen) && !has(&seen.parameters, "ids")).then_some(())
    });
    answered.await.expect("the operator lists");
}

fn has(parameters: &[String], name: &str) -> bool {
    parameters.iter().any(|parameter| parameter == name)
}

#[tokio::test]
async fn killed_between_create_and_status_it_finds_what_it_made() {
    let mut scene = Scene::own().await.with_instance().await;
    let statuses = scene.cluster.proxy.on(STATUS).hold();
    scene.identity("ada", customer("ada")).await;
    scene.identity("box", plain("box")).await;
    statuses.held_times(2).await;
    let made = ids_by_name(&scene).await;
    assert_eq!(made.keys().collect::<Vec<_>>(), ["ada", "box"]);

    scene.operator().kill();
    scene.cluster.proxy.clear_faults();
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    for name in ["ada", "box"] {
        assert_eq!(id_of(&scene.ready(name).await), made[name], "{name}");
    }
    assert_eq!(ids_by_name(&scene).await, made);
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn killed_between_finalizer_and_create_it_creates_one() {
    let mut scene = Scene::own().await.with_instance().await;
    let creates = scene.proxy.on(CREATE).hold();
    // One after the other: together they would share a request.
    scene.identity("ada", customer("ada")).await;
    creates.held().await;
    scene.identity("box", plain("box")).await;
    creates.held_times(2).await;
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    let ids = BTreeMap::from([
        ("ada".to_owned(), id_of(&scene.ready("ada").await)),
        ("box".to_owned(), id_of(&scene.ready("box").await)),
    ]);
    assert_eq!(ids_by_name(&scene).await, ids);
    // By itself each, or both in one: nothing is asked for twice.
    let (alone, together) = (scene.proxy.count(CREATE), scene.proxy.count("PATCH /admin/identities"));
    assert!(matches!((alone, together), (2, 0) | (0, 1)), "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn a_create_on_its_way_when_the_operator_was_killed_is_found_although_it_arrives_after_the_listing() {
    let mut scene = Scene::own().await.with_instance().await;
    let creates = scene.proxy.on(CREATE).times(2).carry_out_late();
    // One after the other: together they would share a request.
    scene.identity("ada", customer("ada")).await;
    creates.held().await;
    scene.identity("box", plain("box")).await;
    creates.held_times(2).await;
    scene.operator().kill();
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    listed(&scene.proxy).await;
    creates.release();
    let ids = BTreeMap::from([
        ("ada".to_owned(), id_of(&scene.ready("ada").await)),
        ("box".to_owned(), id_of(&scene.ready("box").await)),
    ]);
    assert_eq!(ids_by_name(&scene).await, ids);
}

#[tokio::test]
async fn killed_between_kratos_delete_and_the_finalizer_it_lets_the_resource_go() {
    let mut scene = Scene::own().await.with_instance().await;
    scene.identity("ada", customer("ada")).await;
    scene.identity("box", plain("box")).await;
    scene.ready("ada").await;
    scene.ready("box").await;
    let finalizers = scene.cluster.proxy.on(RESOURCE).hold();
    scene.delete("ada").await;
    scene.delete("box").await;
    finalizers.held_times(2).await;
    assert_eq!(ids_by_name(&scene).await, BTreeMap::new());

    scene.operator().kill();
    scene.cluster.proxy.clear_faults();
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    scene.gone("ada").await;
    scene.gone("box").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(ids_by_name(&scene).await, BTreeMap::new());
}

#[tokio::test]
async fn after_a_restart_a_second_look_at_everything_changes_nothing() {
    let mut scene = Scene::own().await.with_instance().await;
    let all = every_sort_of_resource(&scene).await;
    let before = scene.ours().await;
    scene.operator().kill();
    scene.count_from_now();
    scene.operator().restart().expect("it starts");

    // A reconcile that was asked for notes the request: the one write that tells that there was a reconcile.
    let mut writes = Vec::new();
    for old in &all {
        let (namespace, name) = place(old);
        let patch = json!({"metadata": {"annotations": {REQUEST: "again"}}});
        let params = kube::api::PatchParams::default();
        let api = scene.identities_in(&namespace);
        api.patch(&name, &params, &kube::api::Patch::Merge(&patch)).await.expect("it is asked for");
        let looked_at = |now: &KratosIdentity| {
            let status = now.status.clone()?;
            (status.last_handled_reconcile_at.as_deref() == Some("again")).then_some(())
        };
        let now = scene.until_in(&namespace, &name, "looked at", looked_at).await;
        let (mut now, old) = (now.status.unwrap_or_default(), old.status.clone().unwrap_or_default());
        now.last_handled_reconcile_at.clone_from(&old.last_handled_reconcile_at);
        assert_eq!(now, old, "{name}");
        writes.push(STATUS);
    }
    // The first listing of the new process counts what there is by now, in the instance's status.
    let written = scene.kubernetes_writes().into_iter().filter(|label| label != "PATCH kratosinstances/status");
    assert_eq!(written.collect::<Vec<_>>(), writes);
    let carried_out = scene.proxy.seen().into_iter().filter(|seen| !seen.label.starts_with("GET "));
    let carried_out: Vec<_> = carried_out.filter(|seen| seen.status.is_none_or(|status| status < 400)).collect();
    assert!(carried_out.is_empty(), "{carried_out:?}");
    assert_eq!(scene.ours().await, before);
}

/// Resources of every sort, each settled: what their statuses say shall stay.
async fn every_sort_of_resource(scene: &Scene) -> Vec<KratosIdentity> {
    let with = |name: &str, changes: Value| {
        let mut spec = customer(name);
        crate::scene::merge(&mut spec, changes);
        spec
    };
    let mut all = Vec::new();
    let ready = [
        ("ada", customer("ada")),
        ("box", plain("box")),
        ("inactive", with("inactive", json!({"state": "Inactive"}))),
        ("exact", with("exact", json!({"traitsPolicy": "Exact", "metadataPublic": {"plan": "gold", "since": null}}))),
        ("once", with("once", json!({"traitsPolicy": "CreateOnly", "metadataAdmin": {"costCenter": "42"}}))),
        ("drifted", with("drifted", json!({"traits": {"age": 36}}))),
        ("paused", with("paused", json!({"traits": {"age": 36}}))),
        ("spaced", json!({"schemaID": "customer", "traits": {"email": "Spaced@Restart.example"}})),
    ];
    for (name, spec) in ready {
        scene.identity(name, spec).await;
        all.push(scene.ready(name).await);
    }
    // What is different but not enforced.
    for (name, change) in [("drifted", json!({"mode": "Observe"})), ("paused", json!({"suspend": true}))] {
        scene.patch(name, json!({ "spec": change })).await;
        let settles = |now: &KratosIdentity| reason_of(now, "Ready", "True").filter(|_| is_current(now));
        let settled = scene.until(name, "settled", settles).await;
        let older = PatchOperation::Replace { path: "/traits/age".into(), value: json!(99) };
        scene.admin().patch_identity(&id_of(&settled), &[older]).await.expect("it is changed");
    }
    request_reconcile(scene, "drifted", "once").await;
    scene.identity("unseen", with("unseen", json!({"mode": "Observe"}))).await;
    scene.until("unseen", "observed", |now| reason_of(now, "Drifted", "True")).await;
    scene.identity("wrong", with("wrong", json!({"traits": {"age": -1}}))).await;
    scene.stalled("wrong", "TraitsRejected").await;
    scene.identity("lost", with("lost", json!({"schemaID": "nobody"}))).await;
    scene.stalled("lost", "SchemaNotFound").await;
    scene.identity("twin", customer("ada")).await;
    scene.stalled("twin", "IdentityConflict").await;
    let elsewhere = scene.other_namespace("elsewhere", &[]).await;
    scene.identity_in(&elsewhere, "stranger", customer("stranger")).await;
    scene.stalled_in(&elsewhere, "stranger", "NotPermitted").await;

    let mut all = Vec::new();
    for namespace in [&scene.namespace, &elsewhere] {
        let found = scene.identities_in(namespace).list(&kube::api::ListParams::default()).await.expect("a list");
        all.extend(found.items);
    }
    assert_eq!(all.len(), 13);
    all
}

fn place(resource: &KratosIdentity) -> (String, String) {
    (resource.metadata.namespace.clone().unwrap_or_default(), resource.metadata.name.clone().unwrap_or_default())
}

fn is_current(resource: &KratosIdentity) -> bool {
    resource.status.as_ref().and_then(|status| status.observed_generation) == resource.metadata.generation
}

/// Asks for a reconcile and waits for it.
async fn request_reconcile(scene: &Scene, name: &str, token: &str) {
    scene.patch(name, json!({"metadata": {"annotations": {REQUEST: token}}})).await;
    let served = |now: &KratosIdentity| {
        let status = now.status.as_ref()?;
        (status.last_handled_reconcile_at.as_deref() == Some(token)).then_some(())
    };
    scene.until(name, "looked at", served).await;
}

#[tokio::test]
async fn when_kratos_or_the_api_server_is_restarted_changes_still_arrive() {
    let scene = Scene::own().await.with_instance().await;
    scene.identity("ada", customer("ada")).await;
    scene.ready("ada").await;

    scene.kratos.stop().expect("Kratos ends");
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    scene.retrying("ada", "KratosUnavailable").await;
    let is_down = |instance: &kratos_operator::api::KratosInstance| {
        let conditions = &instance.status.as_ref()?.conditions;
        let found = kratos_operator::api::condition::find(conditions, "Reconciling")?;
        (found.reason == "KratosUnavailable").then_some(())
    };
    scene.instance_until("default", "KratosUnavailable", is_down).await;
    scene.kratos.start_again().await.expect("Kratos starts");
    scene.instance_ready("default").await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["age"], 36);

    scene.cluster.plane.restart_apiserver().await.expect("it starts");
    scene.patch("ada", json!({"spec": {"traits": {"age": 37}}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["age"], 37);
    scene.identity("new", customer("new")).await;
    scene.ready("new").await;
}

#[tokio::test]
async fn asked_to_end_it_finishes_what_it_began_and_ends_well() {
    let mut scene = Scene::own().await.with_instance().await;
    let answer = scene.proxy.on(CREATE).hold_answer();
    scene.identity("ada", customer("ada")).await;
    answer.held().await;
    let mut operator = scene.operator.take().expect("its own");
    let log = operator.log_path();
    let ending = tokio::task::spawn_blocking(move || operator.stop());
    let heard = eventually("it has heard", WITHIN, async || {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("stopping")).map(drop)
    });
    heard.await.expect("it hears");
    answer.release();
    let ended = tokio::time::timeout(Duration::from_secs(10), ending).await.expect("within ten seconds");
    let status = ended.expect("no panic").expect("it was waited for");
    assert_eq!(status.code(), Some(0));
    scene.ready("ada").await;
}

#[tokio::test]
async fn told_to_stop_before_it_has_seen_anything_it_ends_at_once() {
    let mut scene = Scene::own().await;
    for kind in ["LIST kratosinstances", "LIST kratossessionpolicies"] {
        scene.operator().kill();
        let list = scene.cluster.proxy.on(kind).hold();
        scene.operator().restart().expect("it starts");
        list.held().await;
        let mut operator = scene.operator.take().expect("an operator");
        let ending = tokio::task::spawn_blocking(move || (operator.stop(), operator));
        let (ended, operator) = tokio::time::timeout(WITHIN, ending).await.expect("it ends").expect("no panic");
        assert!(ended.expect("it ends").success());
        scene.operator = Some(operator);
        scene.cluster.proxy.clear_faults();
    }
}
