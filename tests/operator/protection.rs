//! Of many deletions that come together none goes until somebody says that they are meant; one by one they go as always.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kratos_operator::api::protection::ProtectionStatus;
use kratos_operator::api::{KratosIdentity, KratosInstance, condition};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, id_of, message_of, reason_of};
use crate::testenv::process::eventually;

/// Hundreds take their time on a small machine.
const LONG: Duration = Duration::from_mins(5);
/// How resources begin that are made many at a time.
const ONE_OF_MANY: &str = "one-of-many-";
const INSTANCE_STATUS: &str = "PATCH kratosinstances/status";
/// What is counted, once there is something.
const COUNT: &str = "PATCH configmaps";

pub fn plain(label: &str, policy: &Value) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}, "deletion": policy})
}

/// Applies resources, several at a time, and waits until all are Ready.
pub async fn made(scene: &Scene, namespace: &str, count: usize) -> Vec<KratosIdentity> {
    let applied = (0..count).map(|number| {
        let name = format!("{ONE_OF_MANY}{number}");
        async move { scene.identity_in(namespace, &name, plain(&name, &json!({}))).await }
    });
    futures::stream::iter(applied).buffer_unordered(16).collect::<Vec<_>>().await;
    listed(scene, namespace, "all are Ready", |all| {
        let made = all.iter().filter(|one| one.name_any().starts_with(ONE_OF_MANY));
        made.filter(|one| reason_of(one, "Ready", "True").is_some()).count() == count
    })
    .await
}

/// Waits until something holds of all resources of a namespace.
pub async fn listed(
    scene: &Scene,
    namespace: &str,
    what: &str,
    holds: impl Fn(&[KratosIdentity]) -> bool,
) -> Vec<KratosIdentity> {
    let api = scene.identities_in(namespace);
    let found = eventually(what, LONG, async || {
        let all = api.list(&ListParams::default()).await.ok()?.items;
        holds(&all).then_some(all)
    });
    found
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log().lines().rev().take(40).collect::<String>()))
}

pub fn are_held(all: &[KratosIdentity], count: usize) -> bool {
    let held = all.iter().filter(|one| is_held(one)).count();
    held == count && all.len() == count
}

fn is_held(one: &KratosIdentity) -> bool {
    reason_of(one, "Stalled", "True").as_deref() == Some("DeletionHeld")
}

pub async fn delete_all(scene: &Scene, namespace: &str) {
    let all = scene.identities_in(namespace);
    all.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("they can be deleted");
}

async fn delete_namespace(scene: &Scene, namespace: &str) {
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces.delete(namespace, &DeleteParams::default()).await.expect("it can be deleted");
}

async fn namespace_gone(scene: &Scene, namespace: &str) {
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    let gone = eventually("the namespace is gone", LONG, async || {
        matches!(namespaces.get_opt(namespace).await, Ok(None)).then_some(())
    });
    gone.await.expect("it goes");
}

pub fn protection_of(instance: &KratosInstance) -> ProtectionStatus {
    instance.status.as_ref().and_then(|status| status.protection.clone()).unwrap_or_default()
}

/// Waits until the instance says, in conditions and status, that so many are held. Returns the message.
pub async fn instance_holds(scene: &Scene, count: u32) -> String {
    let told = |instance: &KratosInstance| {
        let stalled = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?.clone();
        let is_told = stalled.reason == "DeletionHeld" && stalled.message.starts_with(&format!("{count} deletions"));
        (is_told && protection_of(instance).held == count).then_some(())
    };
    let instance = scene.instance_until("default", &format!("{count} are held"), told).await;
    let conditions = instance.status.expect("a status").conditions;
    condition::find(&conditions, "Stalled").expect("it is Stalled").message.clone()
}

pub async fn release(scene: &Scene, token: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"kratos-operator.dev/release": token}}}));
    scene.instances().patch("default", &PatchParams::default(), &patch).await.expect("it is accepted");
}

/// Ids of this test's identities in Kratos whose mark names the namespace.
pub async fn ids_in(scene: &Scene, namespace: &str) -> BTreeSet<String> {
    let all = scene.ours().await.into_iter();
    let here =
        all.filter(|one| one.metadata_admin.read().unwrap()["kratos-operator.dev"]["namespace"] == json!(namespace));
    here.map(|one| one.id).collect()
}

#[tokio::test]
async fn of_five_hundred_that_go_with_their_namespace_none_goes_until_released_whatever_is_killed() {
    let mut scene = Scene::own().await;
    let everybody = json!({"allowedNamespaces": {"from": "All"}, "protection": {"maxDeletions": 20}});
    scene.instance(everybody.clone()).await;
    let other_instance = scene.instance_spec(everybody);
    scene.apply_instance(&scene.namespace, "other", other_instance).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let beside = scene.other_namespace("beside", &[]).await;
    made(&scene, &tenant, 500).await;
    scene.identity_in(&beside, "ada", plain("ada", &json!({}))).await;
    let ada = scene.ready_in(&beside, "ada").await;
    let elsewhere = json!({"instanceRef": {"name": "other", "namespace": scene.namespace}});
    let mut spec = plain("grace", &json!({}));
    crate::scene::merge(&mut spec, elsewhere);
    scene.identity_in(&beside, "grace", spec).await;
    let grace = scene.ready_in(&beside, "grace").await;
    scene.count_from_now();

    delete_namespace(&scene, &tenant).await;
    // While they wait for others, and once some are held.
    listed(&scene, &tenant, "some are being deleted", |all| {
        all.iter().any(|one| one.metadata.deletion_timestamp.is_some())
    })
    .await;
    scene.operator().kill();
    scene.operator().restart().expect("it starts");
    scene.instance_until("default", "some are held", |instance| (protection_of(instance).held > 0).then_some(())).await;
    scene.operator().kill();
    scene.operator().restart().expect("it starts");
    let held = listed(&scene, &tenant, "all are held", |all| are_held(all, 500)).await;
    let message = instance_holds(&scene, 500).await;
    assert!(message.contains("kubectl annotate kinst default"), "{message}");
    assert_eq!(ids_in(&scene, &tenant).await.len(), 500);
    let message = message_of(&held[0], "Stalled");
    let release_it =
        format!("kubectl annotate kinst default -n {} --overwrite kratos-operator.dev/release=", scene.namespace);
    assert!(message.contains(&release_it) && message.contains("deletion.policy to Orphan"), "{message}");
    for (label, what) in [(INSTANCE_STATUS, "instances"), (COUNT, "what is counted")] {
        let writes = scene.kubernetes_seen().iter().filter(|seen| seen.label == label).count();
        assert!(writes <= 40, "{writes} writes of {what}");
    }

    // That namespace's alone is held, through this instance and not through another one; and all else goes on.
    scene.identities_in(&beside).delete("ada", &DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(&beside, "ada").await;
    scene.identities_in(&beside).delete("grace", &DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(&beside, "grace").await;
    scene.identity_in(&beside, "bob", plain("bob", &json!({}))).await;
    scene.ready_in(&beside, "bob").await;
    let left = ids_in(&scene, &beside).await;
    assert!(!left.contains(&id_of(&ada)) && !left.contains(&id_of(&grace)));
    instance_holds(&scene, 500).await;

    // Nothing goes by being asked again, nor by another start.
    scene.operator().restart().expect("it starts");
    let asked = held[1].metadata.name.clone().expect("a name");
    scene.request_reconcile_in(&tenant, &asked).await;
    scene.stalled_in(&tenant, &asked, "DeletionHeld").await;
    instance_holds(&scene, 500).await;
    assert_eq!(ids_in(&scene, &tenant).await.len(), 500);

    // One is let go without its identity.
    let kept = id_of(&held[0]);
    let name = held[0].metadata.name.clone().expect("a name");
    let orphan = Patch::Merge(json!({"spec": {"deletion": {"policy": "Orphan"}}}));
    scene.identities_in(&tenant).patch(&name, &PatchParams::default(), &orphan).await.expect("it is accepted");
    scene.gone_in(&tenant, &name).await;
    instance_holds(&scene, 499).await;

    release(&scene, "it is meant").await;
    namespace_gone(&scene, &tenant).await;
    assert_eq!(ids_in(&scene, &tenant).await, BTreeSet::from([kept]));
    let instance = scene.instance_ready("default").await;
    let kept = scene.kept().await.expect("it was counted");
    let counted: Vec<_> = kept.reserved.iter().map(|entry| (entry.namespace.as_deref(), entry.count)).collect();
    let held = (kept.held, protection_of(&instance).held);
    assert_eq!((held, counted), ((0, 0), vec![(Some(beside.as_str()), 1)]), "ada's counts on");

    // The next ones are held again, by the same value of the annotation.
    let again = scene.other_namespace("again", &[]).await;
    made(&scene, &again, 25).await;
    delete_all(&scene, &again).await;
    listed(&scene, &again, "all are held", |all| are_held(all, 25)).await;
    instance_holds(&scene, 25).await;
    assert_eq!(ids_in(&scene, &again).await.len(), 25);
}

#[tokio::test]
async fn the_namespace_of_the_instance_itself_waits_for_the_release_too() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 2}})).await;
    made(&scene, &scene.namespace, 7).await;
    scene.delete("one-of-many-6").await;
    scene.gone("one-of-many-6").await;
    let counted = scene.kept().await.expect("it was counted").reserved;
    delete_namespace(&scene, &scene.namespace).await;
    listed(&scene, &scene.namespace, "all are held", |all| are_held(all, 6)).await;
    instance_holds(&scene, 6).await;
    assert_eq!(scene.ours().await.len(), 6);
    // The namespace takes its ConfigMaps with it, and lets none be made: what was counted is kept in the status.
    let instance = scene.instances().get("default").await.expect("it is there");
    assert_eq!(protection_of(&instance).reserved, counted);
    release(&scene, "1").await;
    namespace_gone(&scene, &scene.namespace).await;
    assert_eq!(scene.ours().await.len(), 0);
}

#[tokio::test]
async fn those_that_come_together_go_together_or_not_at_all_and_what_trickles_in_counts() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 4, "window": "1h"}})).await;
    let names: Vec<_> = made(&scene, &scene.namespace, 8).await.iter().map(ResourceExt::name_any).collect();
    // One alone, and two together: three of four.
    let begun = Instant::now();
    scene.delete(&names[0]).await;
    scene.gone(&names[0]).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "it waits for company: {:?}", begun.elapsed());
    for name in &names[1..3] {
        scene.delete(name).await;
    }
    for name in &names[1..3] {
        scene.gone(name).await;
    }
    // One more may go, and two come: neither goes. A resource whose identity stays doesn't count.
    scene.patch(&names[7], json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    for name in [&names[3], &names[4], &names[7]] {
        scene.delete(name).await;
    }
    for name in &names[3..5] {
        scene.stalled(name, "DeletionHeld").await;
    }
    scene.gone(&names[7]).await;
    instance_holds(&scene, 2).await;
    assert_eq!(scene.ours().await.len(), 5);
    release(&scene, "1").await;
    for name in &names[3..5] {
        scene.gone(name).await;
    }
    // The count began anew: as many as may come together go.
    for name in &names[5..7] {
        scene.delete(name).await;
    }
    for name in &names[5..7] {
        scene.gone(name).await;
    }
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn every_way_of_losing_an_identity_counts_once_and_what_keeps_it_does_not() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 3, "window": "1h"}})).await;
    let free = [
        ("orphan", json!({"policy": "Orphan"}), json!({})),
        ("suspended", json!({}), json!({"spec": {"suspend": true}})),
        ("observing", json!({}), json!({"spec": {"mode": "Observe"}})),
        ("gone", json!({}), json!({})),
    ];
    for (name, policy, change) in free {
        scene.identity(name, plain(name, &policy)).await;
        let resource = scene.ready(name).await;
        scene.patch(name, change).await;
        if name == "gone" {
            scene.admin().delete_identity(&id_of(&resource)).await.expect("it is deleted");
        }
        scene.delete(name).await;
        scene.gone(name).await;
    }
    let counting = [
        ("deleted", json!({})),
        ("deactivated", json!({"policy": "Deactivate"})),
        ("postponed", json!({"gracePeriod": "2h"})),
    ];
    for (name, policy) in &counting {
        scene.identity(name, plain(name, policy)).await;
        scene.ready(name).await;
        scene.delete(name).await;
        scene.gone(name).await;
    }
    for (name, policy) in counting {
        let name = format!("{name}-again");
        scene.identity(&name, plain(&name, &policy)).await;
        scene.ready(&name).await;
        scene.delete(&name).await;
        scene.stalled(&name, "DeletionHeld").await;
    }
    instance_holds(&scene, 3).await;
}

#[tokio::test]
async fn holding_ends_by_itself_with_the_last_of_what_is_held_and_old_values_release_nothing() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 0}})).await;
    release(&scene, "of last year").await;
    for name in ["ada", "grace"] {
        scene.identity(name, plain(name, &json!({}))).await;
        scene.ready(name).await;
        scene.delete(name).await;
        scene.stalled(name, "DeletionHeld").await;
    }
    instance_holds(&scene, 2).await;
    release(&scene, "of last year").await;
    for name in ["ada", "grace"] {
        scene.request_reconcile(name).await;
        scene.stalled(name, "DeletionHeld").await;
    }
    for name in ["ada", "grace"] {
        scene.patch(name, json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
        scene.gone(name).await;
    }
    assert_eq!(scene.ours().await.len(), 2);
    let instance = scene.instance_ready("default").await;
    assert_eq!(protection_of(&instance).held, 0);
}

#[tokio::test]
async fn what_was_counted_when_the_operator_was_killed_goes_and_counts_once() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 2, "window": "1h"}})).await;
    made(&scene, &scene.namespace, 3).await;
    let deletes = scene.proxy.on("DELETE /admin/identities/{id}").hold();
    scene.delete("one-of-many-0").await;
    scene.delete("one-of-many-1").await;
    deletes.held_times(2).await;
    assert_eq!(scene.kept().await.expect("they are counted").granted.len(), 2);
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    scene.gone("one-of-many-0").await;
    scene.gone("one-of-many-1").await;
    scene.delete("one-of-many-2").await;
    scene.stalled("one-of-many-2", "DeletionHeld").await;
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn while_the_count_cannot_be_written_nothing_is_deleted() {
    let scene = Scene::shared().await.with_instance().await;
    made(&scene, &scene.namespace, 2).await;
    let about = format!("/namespaces/{}/configmaps", scene.namespace);
    let refused = scene.cluster.proxy.on_where(move |label, path| label == "POST configmaps" && path.contains(&about));
    refused.answer(crate::testenv::faults::Answer::status(500));
    scene.delete("one-of-many-0").await;
    scene.retrying("one-of-many-0", "Progressing").await;
    assert_eq!(scene.ours().await.len(), 2);
}
