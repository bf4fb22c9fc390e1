//! Grace periods: a deleted resource leaves its identity inactive for a while, the same manifest brings it back, and
//! nobody but the operator's clock decides in between.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kratos_operator::api::{KratosIdentity, KratosInstance};
use kratos_operator::kratos::{Identity, State};
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, is_namespaced};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;

const PASSWORD: &str = "correct-horse-battery-4711";

fn customer(email: &str, period: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}, "deletion": {"gracePeriod": period}})
}

async fn by_id(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

fn mark(identity: &Identity) -> &Value {
    &identity.metadata_admin.read().unwrap()["kratos-operator.dev"]
}

/// Waits until something holds of an identity in Kratos.
async fn until(scene: &Scene, id: &str, what: &str, holds: impl Fn(Option<&Identity>) -> bool) {
    let found = eventually(what, WITHIN, async || holds(by_id(scene, id).await.as_ref()).then_some(())).await;
    if let Err(error) = found {
        panic!("{error}: {:?}\n{}", by_id(scene, id).await.map(|found| found.state), scene.whole_log());
    }
}

/// A resource with a grace period, deleted.
async fn deleted(scene: &Scene, name: &str, email: &str, period: &str) -> KratosIdentity {
    scene.identity(name, customer(email, period)).await;
    let resource = scene.ready(name).await;
    scene.delete(name).await;
    scene.gone(name).await;
    resource
}

#[tokio::test]
async fn the_same_manifest_within_the_period_brings_everything_back_but_the_sessions() {
    let scene = Scene::settled().await;
    let manifest = customer("ada@brought-back.example", "1h");
    scene.identity("ada", manifest.clone()).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@brought-back.example").await;
    scene.count_from_now();
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert_eq!(scene.kratos_writes(), 2, "one write and the sessions: {:?}", scene.proxy.counts());
    let waiting = by_id(&scene, &id_of(&ada)).await.expect("it is there yet");
    assert_eq!(waiting.state, State::Inactive);
    assert!(mark(&waiting)["deleteAfter"].is_string(), "{}", mark(&waiting));
    assert!(!scene.is_logged_in(&token).await);
    assert_eq!(scene.kratos.login("ada@brought-back.example", PASSWORD).await.expect("an answer"), None);
    let note = scene.event(&ada, "IdentityDeactivated").await;
    assert!(note.contains("gracePeriod"), "{note}");

    scene.identity("ada", manifest).await;
    let again = scene.ready("ada").await;
    assert_eq!(id_of(&again), id_of(&ada));
    scene.event(&again, "IdentityRestored").await;
    let back = scene.in_kratos(&again).await;
    assert_eq!(back.state, State::Active);
    assert_eq!((&mark(&back)["deleteAfter"], &mark(&back)["stateBefore"]), (&Value::Null, &Value::Null));
    assert!(!scene.is_logged_in(&token).await, "a session from before doesn't come back to life");
    assert!(scene.kratos.login("ada@brought-back.example", PASSWORD).await.expect("an answer").is_some());
}

#[tokio::test]
async fn what_a_manifest_doesnt_say_the_instance_does_tenants_have_no_less_and_what_runs_is_counted() {
    let scene = Scene::shared().await;
    let changes = json!({
        "allowedNamespaces": {"from": "All"}, "resyncInterval": "1s",
        "defaults": {"deletion": {"gracePeriod": "2h"}}, "protection": {"minimumGracePeriod": "3h"},
    });
    scene.instance(changes).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let home = scene.namespace.clone();
    // What the manifest says, and for how many hours the identity stays; none: it is deleted, or let be.
    let rows = [
        (&home, "home-nothing", json!({}), Some(2)),
        (&home, "home-short", json!({"gracePeriod": "1h"}), Some(1)),
        (&home, "home-at-once", json!({"gracePeriod": "0s"}), None),
        (&tenant, "tenant-nothing", json!({}), Some(3)),
        (&tenant, "tenant-short", json!({"policy": "Delete", "gracePeriod": "1h"}), Some(3)),
        (&tenant, "tenant-at-once", json!({"gracePeriod": "0s"}), Some(3)),
        (&tenant, "tenant-long", json!({"gracePeriod": "4h"}), Some(4)),
        (&tenant, "tenant-orphan", json!({"policy": "Orphan"}), None),
        (&tenant, "tenant-deactivate", json!({"policy": "Deactivate"}), None),
    ];
    let spec = |name: &str, deletion: &Value| {
        let email = format!("{name}@raised-grace.example");
        json!({"schemaID": "customer", "traits": {"email": email}, "deletion": deletion})
    };
    let mut resources = Vec::new();
    for (namespace, name, deletion, _) in &rows {
        scene.identity_in(namespace, name, spec(name, deletion)).await;
    }
    for (namespace, name, ..) in &rows {
        resources.push(scene.ready_in(namespace, name).await);
    }
    for (namespace, name, ..) in &rows {
        scene.identities_in(namespace).delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    }
    let mut ends = Vec::new();
    for ((namespace, name, _, hours), resource) in rows.iter().zip(&resources) {
        scene.gone_in(namespace, name).await;
        let left = by_id(&scene, &id_of(resource)).await;
        let Some(hours) = hours else {
            let state = left.map(|left| (left.state, mark(&left)["deleteAfter"].clone()));
            let expected = match *name {
                "home-at-once" => None,
                "tenant-orphan" => Some((State::Active, Value::Null)),
                _ => Some((State::Inactive, Value::Null)),
            };
            assert_eq!(state, expected, "{name}");
            continue;
        };
        let left = left.expect("it stays for now");
        let end = mark(&left)["deleteAfter"].as_str().expect("a time").to_owned();
        let at: Timestamp = end.parse().expect("a time");
        let minutes = at.duration_since(Timestamp::now()).as_secs() / 60;
        assert!((hours * 60 - 3..=hours * 60).contains(&minutes), "{name}: {minutes} minutes");
        let note = scene.event(resource, "IdentityDeactivated").await;
        assert!(note.contains(&end), "{end}: {note}");
        ends.push(at);
    }
    let until_pending = async |count: u64, next: Option<Timestamp>| {
        let is_so = |instance: &KratosInstance| {
            let pending = instance.status.as_ref()?.pending_deletions.as_ref()?;
            (pending.count == count && pending.next.as_ref().map(|next| next.0) == next).then_some(())
        };
        scene.instance_until("default", &format!("{count} grace periods run"), is_so).await;
    };
    ends.sort_unstable();
    until_pending(6, ends.first().copied()).await;
    let kubectl = scene.cluster.plane.kubectl();
    let shown = kubectl.run(["get", "kinst", "-n", &scene.namespace, "-o", "wide"]).await.expect("it is listed");
    assert!(shown.contains("PENDING DELETIONS"), "{shown}");

    // Brought back, it isn't counted any more.
    scene.identity("home-short", spec("home-short", &json!({"gracePeriod": "1h"}))).await;
    let again = scene.ready("home-short").await;
    assert_eq!(id_of(&again), id_of(&resources[1]));
    until_pending(5, ends.get(1).copied()).await;
}

#[tokio::test]
async fn an_identity_that_was_inactive_before_is_brought_back_inactive() {
    let scene = Scene::settled().await;
    let manifest = customer("ada@blocked-before.example", "1h");
    scene.identity("ada", manifest.clone()).await;
    let ada = scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/state", json!("inactive")).await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    scene.identity("ada", manifest).await;
    let again = scene.ready("ada").await;
    assert_eq!((id_of(&again), scene.in_kratos(&again).await.state), (id_of(&ada), State::Inactive));
}

#[tokio::test]
async fn whoever_is_deactivated_while_a_deletion_waits_is_brought_back_inactive() {
    let scene = Scene::settled().await;
    let manifest = customer("ada@blocked-meanwhile.example", "1h");
    scene.identity("ada", manifest.clone()).await;
    let ada = scene.ready("ada").await;
    let about = format!("/namespaces/{}/", scene.namespace);
    let is_count = move |label: &str, path: &str| label == "POST configmaps" && path.contains(&about);
    let counting = scene.cluster.proxy.on_where(is_count).once().hold();
    scene.delete("ada").await;
    counting.held().await;
    scene.change_in_kratos(&ada, "/state", json!("inactive")).await;
    counting.release();
    scene.gone("ada").await;
    scene.identity("ada", manifest).await;
    let again = scene.ready("ada").await;
    assert_eq!((id_of(&again), scene.in_kratos(&again).await.state), (id_of(&ada), State::Inactive));
}

#[tokio::test]
async fn when_the_period_is_over_the_identity_goes_and_the_instance_says_so() {
    let scene = Scene::settled().await;
    let ada = deleted(&scene, "ada", "ada@over.example", "3s").await;
    assert_eq!(by_id(&scene, &id_of(&ada)).await.map(|ada| ada.state), Some(State::Inactive));
    until(&scene, &id_of(&ada), "the identity goes", |ada| ada.is_none()).await;
    let instance = scene.instances().get("default").await.expect("it is there");
    let events = Api::<k8s_openapi::api::events::v1::Event>::namespaced(scene.client.clone(), &scene.namespace);
    let told = eventually("the instance's event", WITHIN, async || {
        let events = events.list(&kube::api::ListParams::default()).await.ok()?.items.into_iter();
        let about = |event: &k8s_openapi::api::events::v1::Event| {
            event.regarding.as_ref().is_some_and(|regarding| regarding.uid == instance.metadata.uid)
        };
        events.filter(about).find(|event| event.reason.as_deref() == Some("IdentityDeleted")).map(drop)
    });
    told.await.expect("it says so");
}

#[tokio::test]
async fn the_deletion_is_carried_out_after_a_restart_and_without_the_namespace() {
    if is_namespaced() {
        // The Roles go with the namespace, before our finalizers do.
        return;
    }
    let mut scene = Scene::own().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let ada = deleted(&scene, "ada", "ada@restart-grace.example", "20s").await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "grace", customer("grace@restart-grace.example", "20s")).await;
    let grace = scene.ready_in(&tenant, "grace").await;
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces.delete(&tenant, &DeleteParams::default()).await.expect("it can be deleted");
    let gone = eventually("the namespace is gone", WITHIN, async || {
        matches!(namespaces.get_opt(&tenant).await, Ok(None)).then_some(())
    });
    gone.await.expect("it goes");
    scene.operator().kill();
    for id in [id_of(&ada), id_of(&grace)] {
        let waiting = by_id(&scene, &id).await.expect("it is there yet");
        assert_eq!(waiting.state, State::Inactive);
    }
    // Another cluster's is none of ours.
    let others = scene.ours().await.into_iter().find(|identity| identity.id == id_of(&ada)).expect("ada");
    let mut metadata = others.metadata_admin.read().unwrap().clone();
    metadata["kratos-operator.dev"]["cluster"] = json!("another");
    metadata["kratos-operator.dev"]["deleteAfter"] = json!("2020-01-01T00:00:00Z");
    let body = json!({"schema_id": "plain", "traits": {"label": "another's"}, "metadata_admin": metadata});
    let (status, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.expect("an answer");
    assert!(status.is_success(), "{made}");
    scene.operator().restart().expect("it starts");
    for id in [id_of(&ada), id_of(&grace)] {
        until(&scene, &id, "the identity goes", |found| found.is_none()).await;
    }
    assert!(by_id(&scene, made["id"].as_str().expect("an id")).await.is_some());
}

#[tokio::test]
async fn a_deactivation_that_somebody_undid_is_asserted_again() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let ada = deleted(&scene, "ada", "ada@undone.example", "1h").await;
    scene.change_in_kratos(&ada, "/state", json!("active")).await;
    until(&scene, &id_of(&ada), "inactive again", |ada| ada.is_some_and(|ada| ada.state == State::Inactive)).await;
}

#[tokio::test]
async fn an_identity_that_a_resource_of_that_name_may_ask_for_is_left_to_it() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@in-between.example", "4s")).await;
    let ada = scene.ready("ada").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    let mut suspended = customer("ada@in-between.example", "4s");
    suspended["suspend"] = json!(true);
    scene.identity("ada", suspended).await;
    let over = mark(&by_id(&scene, &id_of(&ada)).await.expect("it is there yet"))["deleteAfter"].clone();
    let over: Timestamp = over.as_str().and_then(|over| over.parse().ok()).expect("a time");
    scene.count_from_now();
    let looked = eventually("the operator has looked after the period", WITHIN, async || {
        let is_over = over < Timestamp::now();
        (is_over && scene.proxy.count("GET /admin/identities/{id}") > 0).then_some(())
    });
    looked.await.expect("it looks");
    scene.settle_again("beside").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_some());
    scene.patch("ada", json!({"spec": {"suspend": false}})).await;
    let again = scene.ready("ada").await;
    assert_eq!((id_of(&again), scene.in_kratos(&again).await.state), (id_of(&ada), State::Active));
}

#[tokio::test]
async fn a_grace_period_that_couldnt_be_confirmed_is_taken_back_by_orphan() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@kept-after-all.example", "1h")).await;
    let ada = scene.ready("ada").await;
    scene.proxy.on("DELETE /admin/identities/{id}/sessions").answer(Answer::status(400));
    scene.delete("ada").await;
    scene.stalled("ada", "KratosRejected").await;
    let begun = by_id(&scene, &id_of(&ada)).await.expect("it is there");
    assert!(mark(&begun)["deleteAfter"].is_string(), "{}", mark(&begun));
    scene.proxy.clear_faults();
    scene.patch("ada", json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    scene.gone("ada").await;
    let kept = by_id(&scene, &id_of(&ada)).await.expect("it is there");
    assert_eq!((kept.state, &mark(&kept)["deleteAfter"]), (State::Active, &Value::Null));
}

#[tokio::test]
async fn nothing_is_deleted_for_a_namespace_that_isnt_admitted_any_more() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "ada", customer("ada@withdrawn-grace.example", "10s")).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    scene.identities_in(&tenant).delete("ada", &DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(&tenant, "ada").await;
    scene.instance(json!({"allowedNamespaces": {"from": "Same"}})).await;
    // One of the instance's own namespace, whose period ends later, shows that the time has come.
    let grace = deleted(&scene, "grace", "grace@withdrawn-grace.example", "10s").await;
    until(&scene, &id_of(&grace), "the other one goes", |found| found.is_none()).await;
    assert_eq!(by_id(&scene, &id_of(&ada)).await.map(|ada| ada.state), Some(State::Inactive));
}

#[tokio::test]
async fn an_instance_that_only_observes_deletes_nothing_until_it_enforces_again() {
    let scene = Scene::settled().await;
    let ada = deleted(&scene, "ada", "ada@observed-grace.example", "8s").await;
    scene.instance(json!({"mode": "Observe"})).await;
    let waiting = by_id(&scene, &id_of(&ada)).await.expect("it is there yet");
    let over: Timestamp = mark(&waiting)["deleteAfter"].as_str().and_then(|over| over.parse().ok()).expect("a time");
    scene.count_from_now();
    let passed = eventually("the period is over", WITHIN, async || (over < Timestamp::now()).then_some(()));
    passed.await.expect("time passes");
    scene.identity("beside", json!({"schemaID": "plain", "traits": {"label": "beside"}})).await;
    scene.ready("beside").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(by_id(&scene, &id_of(&ada)).await, Some(waiting));
    scene.instance(json!({"mode": "Enforce"})).await;
    until(&scene, &id_of(&ada), "the identity goes", |found| found.is_none()).await;
}

#[tokio::test]
async fn another_person_of_the_same_name_neither_inherits_the_identity_nor_keeps_it_from_going() {
    let scene = Scene::settled().await;
    let ada = deleted(&scene, "ada", "ada@earlier-person.example", "6s").await;
    scene.identity("ada", customer("ada@later-person.example", "1h")).await;
    let other = scene.ready("ada").await;
    assert_ne!(id_of(&other), id_of(&ada));
    until(&scene, &id_of(&ada), "the earlier identity goes", |found| found.is_none()).await;
    assert_eq!(scene.in_kratos(&other).await.state, State::Active);
}

#[tokio::test]
async fn whoever_meets_an_identity_that_waits_for_its_deletion_is_told_whose_it_was_and_until_when() {
    let scene = Scene::settled().await;
    let ada = deleted(&scene, "ada", "ada@still-kept.example", "1h").await;
    scene.identity("grace", customer("ada@still-kept.example", "0s")).await;
    let message = scene.stalled("grace", "IdentityConflict").await;
    let waiting = by_id(&scene, &id_of(&ada)).await.expect("it is there yet");
    let until = mark(&waiting)["deleteAfter"].as_str().expect("a time").to_owned();
    assert!(message.contains("KratosIdentity ada's, which was deleted") && message.contains(&until), "{message}");
    scene.identity("ada", customer("ada@still-kept.example", "1h")).await;
    scene.ready("ada").await;
    scene.request_reconcile("grace").await;
    let message = scene.stalled("grace", "IdentityConflict").await;
    assert!(message.contains("belongs to the KratosIdentity ada"), "{message}");
}
