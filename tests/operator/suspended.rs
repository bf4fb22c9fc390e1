//! A suspended instance: nothing at all is sent to its Kratos, whatever happens to its resources meanwhile, nobody becomes
//! unready by it, and all of it is carried out once it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use kratos_operator::api::{KratosInstance, condition};
use kratos_operator::kratos::State;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::many::{all, apply, customer, is_ready, name};
use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::process::eventually;

const COUNT: usize = 12;

fn is_suspended(instance: &KratosInstance) -> Option<()> {
    let status = instance.status.as_ref()?;
    let is_current = status.observed_generation == instance.metadata.generation;
    let found = condition::find(&status.conditions, "Suspended")?;
    (is_current && found.status == "True" && found.reason == "Suspended").then_some(())
}

impl Scene {
    async fn set_suspend(&self, suspend: bool) {
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        self.instances().patch("default", &PatchParams::default(), &patch).await.expect("the patch is accepted");
    }

    /// Suspends the instance, and waits until it says so.
    async fn suspend(&self) -> KratosInstance {
        self.set_suspend(true).await;
        self.instance_until("default", "suspended", is_suspended).await
    }

    async fn resume(&self) -> KratosInstance {
        self.set_suspend(false).await;
        self.instance_ready("default").await
    }
}

#[tokio::test]
async fn nothing_is_sent_while_an_instance_is_suspended_and_all_is_carried_out_after() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"resyncInterval": "1s", "protection": {"maxDeletions": 100}})).await;
    apply(&scene, 0..COUNT, |number| customer(&scene, number)).await;
    let before = all(&scene, "all are Ready", is_ready).await;
    let everything = json!({
        "identities": {"all": true}, "interval": "1s",
        "rules": [{"name": "everything", "expression": "true", "action": "Revoke"}],
    });
    scene.policy("everything", everything).await;

    let instance = scene.suspend().await;
    let conditions = &instance.status.as_ref().expect("a status").conditions;
    assert!(condition::is_true(conditions, "Ready"), "it stays as it was: {conditions:?}");
    assert!(condition::find(conditions, "Reconciling").is_none(), "{conditions:?}");
    scene.count_from_now();
    meanwhile(&scene).await;
    assert_eq!(scene.proxy.counts(), BTreeMap::new(), "the first process");
    scene.operator().restart().expect("it starts");
    // Something that is answered by the new process alone.
    scene.identity("late", customer(&scene, COUNT + 1)).await;
    waits(&scene, "late").await;
    assert_eq!(scene.proxy.counts(), BTreeMap::new(), "the second process");
    let session = scene.logged_in(&before[&name(4)], &crate::many::email(&scene, 4)).await;

    for number in 4..COUNT {
        let now = scene.identities().get(&name(number)).await.expect("it is there");
        let then = &before[&name(number)];
        assert_eq!(now.metadata.resource_version, then.metadata.resource_version, "nobody is told who is Ready");
    }
    assert_eq!(scene.ours().await.len(), COUNT, "nobody was made or deleted");
    assert_eq!(scene.proxy.counts(), BTreeMap::new(), "in all");

    scene.resume().await;
    for gone in [name(0), name(1)] {
        scene.gone(&gone).await;
    }
    all(&scene, "all are Ready", is_ready).await;
    let of = async |name: &str| scene.in_kratos(&scene.ready(name).await).await;
    assert_eq!(of(&name(2)).await.metadata_public.read().unwrap()["plan"], json!("silver"));
    assert_eq!(of(&name(3)).await.state, State::Inactive);
    assert_eq!(of("new").await.metadata_public.read().unwrap()["plan"], json!("gold"));
    assert_eq!(of("late").await.metadata_public.read().unwrap()["plan"], json!("gold"));
    assert_eq!(scene.ours().await.len(), COUNT, "two went, two came");
    let ended =
        eventually("the policy runs again", WITHIN, async || (!scene.is_logged_in(&session).await).then_some(()));
    ended.await.expect("its session ends");
}

/// What happens to resources while their instance is suspended.
async fn meanwhile(scene: &Scene) {
    for number in [0, 1] {
        scene.delete(&name(number)).await;
    }
    scene.patch(&name(2), json!({"spec": {"metadataPublic": {"plan": "silver"}}})).await;
    scene.patch(&name(3), json!({"spec": {"state": "Inactive"}})).await;
    scene.identity("new", customer(scene, COUNT)).await;
    for who in [name(0), name(2), name(3), "new".to_owned()] {
        waits(scene, &who).await;
    }
    // A policy that is new waits too.
    let spec = json!({
        "instanceRef": {"name": "default", "namespace": scene.namespace}, "identities": {"all": true},
        "rules": [{"name": "all", "expression": "true", "action": "Revoke"}],
    });
    scene.try_policy_in(&scene.namespace, "late", spec).await.expect("the policy is accepted");
    let waits = |policy: &kratos_operator::api::KratosSessionPolicy| {
        let found = condition::find(&policy.status.as_ref()?.conditions, "Reconciling")?;
        (found.reason == "InstanceNotReady" && found.message.contains("is suspended")).then_some(())
    };
    scene.policy_until(&scene.namespace, "late", "it waits", waits).await;
    // A resync, a reconcile that somebody asks for, and other settings would send something.
    let asked = json!({"metadata": {"annotations": {"kratos-operator.dev/reconcile-requested-at": "now"}}});
    let asked = Patch::Merge(asked);
    scene.instances().patch("default", &PatchParams::default(), &asked).await.expect("the annotation is accepted");
    let settings = Patch::Merge(json!({"spec": {"requestTimeout": "2s", "resyncInterval": "2s"}}));
    scene.instances().patch("default", &PatchParams::default(), &settings).await.expect("the patch is accepted");
    scene.instance_until("default", "still suspended", is_suspended).await;
    // The time is what this is about: a resync and a run of each policy would come in it.
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// A resource says that it waits since its instance is suspended.
async fn waits(scene: &Scene, who: &str) {
    let message = scene.retrying(who, "InstanceNotReady").await;
    assert!(message.contains("is suspended") && message.contains("spec.suspend"), "{message}");
}

#[tokio::test]
async fn an_instance_that_is_born_suspended_is_asked_for_nothing_and_lets_go_of_whom_it_never_had() {
    let scene = Scene::shared().await;
    let spec = scene.instance_spec(json!({"suspend": true, "adminURL": scene.proxy.url()}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    let instance = scene.instance_until("default", "suspended", is_suspended).await;
    let conditions = instance.status.expect("a status").conditions;
    assert!(condition::find(&conditions, "Ready").is_none(), "nobody has looked at it: {conditions:?}");
    scene.identity("ada", customer(&scene, 0)).await;
    waits(&scene, "ada").await;
    scene.identity("bob", customer(&scene, 1)).await;
    waits(&scene, "bob").await;
    // Orphan lets go whoever is being deleted, as ever.
    scene.delete("bob").await;
    let orphan = json!({"spec": {"deletion": {"policy": "Orphan"}}});
    let api = scene.identities();
    if api.get_opt("bob").await.expect("an answer").is_some() {
        let _ = api.patch("bob", &PatchParams::default(), &Patch::Merge(&orphan)).await;
    }
    scene.gone("bob").await;
    assert_eq!(scene.proxy.counts(), BTreeMap::new());
    scene.resume().await;
    scene.ready("ada").await;
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_status_says_that_nothing_is_sent() {
    let scene = Scene::settled().await;
    let held = scene.proxy.on("POST /admin/identities").hold_answer();
    let held_batches = scene.proxy.on("PATCH /admin/identities").hold_answer();
    scene.identity("ada", json!({"schemaID": "plain", "traits": {"label": "ada"}})).await;
    let sent = eventually("it is sent", WITHIN, async || {
        let counts = [crate::many::CREATE, crate::many::BATCH].map(|label| scene.proxy.count(label));
        (counts.iter().sum::<usize>() > 0).then_some(())
    });
    sent.await.expect("a create");
    scene.set_suspend(true).await;
    let (mut was_early, until) = (false, tokio::time::Instant::now() + Duration::from_secs(1));
    while tokio::time::Instant::now() < until {
        was_early |= is_suspended(&scene.instances().get("default").await.expect("it is there")).is_some();
    }
    assert!(!was_early, "its answer is still to come");
    held.release();
    held_batches.release();
    scene.instance_until("default", "suspended", is_suspended).await;
    scene.count_from_now();
    let made = scene.ready("ada").await;
    assert_eq!(scene.ours().await.iter().filter(|identity| identity.id == id_of(&made)).count(), 1);
    assert_eq!(scene.proxy.counts(), BTreeMap::new());
    scene.resume().await;
    assert_eq!(id_of(&scene.ready("ada").await), id_of(&made));
}

#[tokio::test]
async fn an_instance_that_is_deleted_while_it_is_suspended_stays_for_whoever_refers_to_it() {
    let scene = Scene::settled().await;
    scene.suspend().await;
    scene.count_from_now();
    scene.instances().delete("default", &DeleteParams::default()).await.expect("it can be deleted");
    scene.delete("settling").await;
    waits(&scene, "settling").await;
    assert!(scene.instances().get_opt("default").await.expect("an answer").is_some(), "it is held");
    assert_eq!(scene.proxy.counts(), BTreeMap::new());
    scene.set_suspend(false).await;
    scene.gone("settling").await;
    let gone = eventually("the instance goes", WITHIN, async || {
        scene.instances().get_opt("default").await.ok().filter(Option::is_none).map(drop)
    });
    gone.await.expect("nobody refers to it any more");
    assert_eq!(scene.ours().await.len(), 0);
}

#[tokio::test]
async fn whom_a_suspended_instance_does_not_admit_is_not_told_that_it_is_suspended() {
    let scene = Scene::settled().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.suspend().await;
    scene.count_from_now();
    let spec: Value = json!({"schemaID": "plain", "traits": {"label": "theirs"}});
    scene.identity_in(&tenant, "theirs", spec).await;
    let message = scene.stalled_in(&tenant, "theirs", "NotPermitted").await;
    assert!(!message.contains("suspended"), "{message}");
    assert_eq!(scene.proxy.counts(), BTreeMap::new());
    let settling = scene.identities().get("settling").await.expect("it is there");
    assert!(reason_of(&settling, "Ready", "True").is_some());
}
