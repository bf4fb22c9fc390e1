//! What protection counts and grants is kept in a `ConfigMap` of the instance's, and nowhere else: what it costs, and what becomes
//! of it when it is deleted, garbled, withheld, or isn't there yet.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::jiff::Timestamp;
use kratos_operator::api::protection::ProtectionStatus;
use kratos_operator::api::{KratosInstance, condition};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::protection::{instance_holds, made, protection_of, release};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

const COUNTED_FIRST: &str = "POST configmaps";
const COUNTED: &str = "PATCH configmaps";
const DELETE: &str = "DELETE /admin/identities/{id}";

fn one(number: usize) -> String {
    format!("one-of-many-{number}")
}

async fn instance(scene: &Scene) -> KratosInstance {
    scene.instances().get("default").await.expect("it is there")
}

/// Whether a status has nothing of what is kept elsewhere.
fn is_for_people(protection: &ProtectionStatus) -> bool {
    let ProtectionStatus { reserved, granted, released, kept, last_release, last_keep, .. } = protection;
    let has_earlier = last_release.iter().chain(last_keep).any(|last| !last.earlier.is_empty());
    reserved.is_empty() && granted.is_empty() && released.is_empty() && kept.is_empty() && !has_earlier
}

/// How many were counted of those that still do.
async fn counted(scene: &Scene) -> u32 {
    let kept = scene.kept().await.expect("something was counted");
    kept.reserved.iter().map(|entry| entry.count).sum()
}

async fn write(scene: &Scene, patch: &Value) {
    let name = scene.protections_name().await;
    let patch = Patch::Merge(patch);
    scene.config_maps().patch(&name, &PatchParams::default(), &patch).await.expect("it is accepted");
}

async fn delete_it(scene: &Scene) {
    let name = scene.protections_name().await;
    scene.config_maps().delete(&name, &DeleteParams::default()).await.expect("it can be deleted");
}

/// Waits until the instance says that it can't be read. Returns the message.
async fn told_odd(scene: &Scene) -> String {
    let told = |instance: &KratosInstance| {
        let stalled = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
        (stalled.reason == "DeletionHeld" && stalled.message.starts_with("ConfigMap ")).then_some(())
    };
    let instance = scene.instance_until("default", "it says that it can't be read", told).await;
    let conditions = instance.status.expect("a status").conditions;
    condition::find(&conditions, "Stalled").expect("it is Stalled").message.clone()
}

#[tokio::test]
async fn a_deletion_costs_one_write_of_the_config_map_and_none_of_the_status_and_none_of_it_shows_there() {
    let scene = Scene::settled().await;
    made(&scene, &scene.namespace, 3).await;
    let kept = async || scene.config_maps().get_opt(&scene.protections_name().await).await.expect("an answer");
    assert_eq!(kept().await, None, "nothing was counted");
    scene.delete(&one(0)).await;
    scene.gone(&one(0)).await;
    let map = kept().await.expect("it was counted");
    let owner = &map.owner_references()[0];
    assert_eq!((Some(&owner.uid), owner.controller), (instance(&scene).await.metadata.uid.as_ref(), Some(true)));
    assert_eq!(map.labels()["app.kubernetes.io/component"], "protection");
    assert_eq!(map.annotations()["kratos-operator.dev/protection-of"], "default");

    // How many there are is told once nothing has changed for a while.
    let managed =
        |instance: &KratosInstance| (instance.status.as_ref()?.identities.as_ref()?.managed == 3).then_some(());
    scene.instance_until("default", "it says how many are left", managed).await;
    scene.count_from_now();
    scene.delete(&one(1)).await;
    scene.gone(&one(1)).await;
    assert_eq!(scene.kubernetes_writes(), [COUNTED, "PATCH kratosidentities"]);
    let kept = scene.kept().await.expect("it was counted");
    assert_eq!((counted(&scene).await, kept.granted.len()), (2, 1), "{kept:?}");
    let protection = protection_of(&instance(&scene).await);
    assert!(is_for_people(&protection), "{protection:?}");
}

#[tokio::test]
async fn what_was_written_and_not_heard_of_when_the_operator_was_killed_goes_and_counts_once() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 2, "window": "1h"}})).await;
    made(&scene, &scene.namespace, 3).await;
    let answers = scene.cluster.proxy.on(COUNTED_FIRST).hold_answer();
    scene.delete(&one(0)).await;
    scene.delete(&one(1)).await;
    answers.held().await;
    let kept = scene.kept_until("it is written", |kept| kept.granted.len() == 2).await;
    assert_eq!(scene.proxy.count(DELETE), 0, "nothing is done before it is heard of");
    scene.operator().kill();
    scene.cluster.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    scene.gone(&one(0)).await;
    scene.gone(&one(1)).await;
    assert_eq!(scene.kept().await.expect("it is there").reserved, kept.reserved, "each counts once");
    scene.delete(&one(2)).await;
    scene.stalled(&one(2), "DeletionHeld").await;
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn where_it_is_deleted_counting_begins_anew_and_what_is_held_stays_so() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 1, "window": "1h"}})).await;
    made(&scene, &scene.namespace, 4).await;
    scene.delete(&one(0)).await;
    scene.gone(&one(0)).await;
    delete_it(&scene).await;
    // One more would be more than may go, if the first one counted.
    scene.delete(&one(1)).await;
    scene.gone(&one(1)).await;
    assert_eq!(counted(&scene).await, 1);
    scene.delete(&one(2)).await;
    scene.stalled(&one(2), "DeletionHeld").await;
    instance_holds(&scene, 1).await;
    delete_it(&scene).await;
    scene.request_instance_reconcile("default").await;
    scene.request_reconcile(&one(2)).await;
    scene.stalled(&one(2), "DeletionHeld").await;
    instance_holds(&scene, 1).await;
    release(&scene, "1").await;
    scene.gone(&one(2)).await;
    assert_eq!(scene.ours().await.len(), 1);
    let instance = scene.instance_ready("default").await;
    assert!(is_for_people(&protection_of(&instance)) && protection_of(&instance).held == 0);
}

#[tokio::test]
async fn one_that_somebody_garbled_holds_everything_and_the_instance_says_what_to_do() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 5}})).await;
    made(&scene, &scene.namespace, 3).await;
    scene.delete(&one(0)).await;
    scene.gone(&one(0)).await;
    write(&scene, &json!({"data": {"state.json": "{\"held\": -1}"}})).await;
    scene.delete(&one(1)).await;
    let told = scene.stalled(&one(1), "DeletionHeld").await;
    assert!(told.contains(&format!("KratosInstance {}/default", scene.namespace)), "{told}");
    let told = told_odd(&scene).await;
    assert_eq!(scene.ours().await.len(), 2);
    // What the message says is typed as it stands there.
    let (_, command) = told.split_once("kubectl ").expect("a command");
    scene.cluster.plane.kubectl().run(command.split_whitespace()).await.expect("it works");
    scene.gone(&one(1)).await;
    scene.instance_ready("default").await;
    assert_eq!(counted(&scene).await, 1, "it began anew");
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn one_that_is_not_the_instances_grants_nothing_and_is_never_written() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 5}})).await;
    let ada = made(&scene, &scene.namespace, 1).await.remove(0);
    let grants = json!({"granted": [ada.metadata.uid]}).to_string();
    let name = scene.protections_name().await;
    let map = json!({"metadata": {"name": name}, "data": {"state.json": grants}});
    let map: ConfigMap = serde_json::from_value(map).expect("a ConfigMap");
    let before = scene.config_maps().create(&PostParams::default(), &map).await.expect("it is accepted");
    scene.delete(&one(0)).await;
    scene.stalled(&one(0), "DeletionHeld").await;
    told_odd(&scene).await;
    assert_eq!(scene.ours().await.len(), 1);
    let after = scene.config_maps().get(&name).await.expect("it is there");
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    delete_it(&scene).await;
    scene.gone(&one(0)).await;
    scene.instance_ready("default").await;
}

#[tokio::test]
async fn what_an_earlier_version_kept_in_the_status_is_taken_over_and_goes_from_there() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 3, "window": "1h"}})).await;
    let all = made(&scene, &scene.namespace, 4).await;
    let uid = |number: usize| all.iter().find(|it| it.name_any() == one(number)).and_then(ResourceExt::uid);
    scene.operator().kill();
    // Two were counted, and one of them is under way.
    let before = json!({
        "held": 0, "missing": 0, "recreating": 0, "granted": [uid(0)],
        "reserved": [{"at": Timestamp::now(), "count": 2, "namespace": scene.namespace}],
        "lastRelease": {"token": "second", "earlier": ["first"]},
    });
    let patch = Patch::Merge(json!({"status": {"protection": before}}));
    scene.instances().patch_status("default", &PatchParams::default(), &patch).await.expect("it is accepted");
    release(&scene, "first").await;
    scene.delete(&one(0)).await;
    scene.operator().restart().expect("it starts");
    scene.gone(&one(0)).await;
    scene.delete(&one(1)).await;
    scene.gone(&one(1)).await;
    assert_eq!(counted(&scene).await, 3, "the one that was granted counts once, and those of before count");
    let is_taken_over = |instance: &KratosInstance| is_for_people(&protection_of(instance)).then_some(());
    let instance = scene.instance_until("default", "it went from the status", is_taken_over).await;
    let last = protection_of(&instance).last_release.expect("what people act on stays");
    assert_eq!(last.token.as_deref(), Some("second"));
    // One more would be too many, and a value that was served releases nothing.
    scene.delete(&one(2)).await;
    scene.stalled(&one(2), "DeletionHeld").await;
    instance_holds(&scene, 1).await;
    let earlier = scene.kept().await.and_then(|kept| kept.last_release).expect("values were served").earlier;
    assert_eq!(earlier, ["first"]);
    release(&scene, "third").await;
    scene.gone(&one(2)).await;
}

#[tokio::test]
async fn a_right_that_lacks_is_named_and_what_waits_goes_on_when_it_is_granted() {
    let scene = Scene::own().await;
    scene.instance(json!({})).await;
    made(&scene, &scene.namespace, 1).await;
    scene.cluster.plane.refuses_on_purpose().expect("a mark");
    let roles = Api::<Role>::namespaced(scene.client.clone(), &scene.namespace);
    let granted = roles.get("kratos-operator").await.expect("it is there").rules;
    let mut less = serde_json::to_value(&granted).expect("JSON");
    for rule in less.as_array_mut().expect("rules") {
        if rule["resources"] == json!(["configmaps"]) {
            rule["verbs"] = json!(["get"]);
        }
    }
    let set = async |rules: &Value| {
        let patch = Patch::Merge(json!({"rules": rules}));
        roles.patch("kratos-operator", &PatchParams::default(), &patch).await.expect("it is accepted");
    };
    set(&less).await;
    let account = format!("--as=system:serviceaccount:{}:{}", crate::rights::OWN, crate::rights::ACCOUNT);
    let arguments = ["auth", "can-i", "create", "configmaps", "-n", &scene.namespace, &account];
    let in_force = eventually("it is withdrawn", WITHIN, async || {
        let answer = scene.cluster.plane.kubectl().output(arguments).await.expect("kubectl answers");
        (!answer.status.success()).then_some(())
    });
    in_force.await.expect("roles are in force");
    scene.delete(&one(0)).await;
    scene.retrying(&one(0), "Progressing").await;
    let lacks = |instance: &KratosInstance| {
        let lacking = condition::find(&instance.status.as_ref()?.conditions, "PermissionsMissing")?;
        lacking.message.contains(&format!("create configmaps in namespace {}", scene.namespace)).then_some(())
    };
    scene.instance_until("default", "it says what lacks", lacks).await;
    assert_eq!(scene.ours().await.len(), 1);
    let word = format!("may not create configmaps in namespace {}", scene.namespace);
    assert_eq!(scene.whole_log().matches(&word).count(), 1, "it is said once\n{}", scene.log());
    set(&serde_json::to_value(&granted).expect("JSON")).await;
    scene.gone(&one(0)).await;
    assert_eq!(counted(&scene).await, 1);
}
