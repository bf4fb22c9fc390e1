//! Things that are done once per token: to the end, whatever happens in between, and not again.

use k8s_openapi::jiff::Timestamp;
use kratos_operator::api::KratosIdentity;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, merge};
use crate::testenv::process::eventually;

const PASSWORD: &str = "correct-horse-battery-4711";
const END_ONE: &str = "DELETE /admin/sessions/{id}";

fn customer(email: &str, changes: Value) -> Value {
    let mut spec = json!({"schemaID": "customer", "traits": {"email": email}, "deletion": {"policy": "Orphan"}});
    merge(&mut spec, changes);
    spec
}

fn revoke(token: &str) -> Value {
    json!({"actions": {"revokeSessions": {"token": token}}})
}

/// Waits until an action is noted as done with this token.
pub async fn done(scene: &Scene, name: &str, action: &str, token: &str) -> KratosIdentity {
    let is_done = |resource: &KratosIdentity| {
        let actions = serde_json::to_value(&resource.status.as_ref()?.actions).ok()?;
        (actions[action]["token"] == token && actions[action]["completedAt"].is_string()).then_some(())
    };
    scene.until(name, &format!("{action} {token} is done"), is_done).await
}

/// Logs in once the second is over in which an action began: the sessions of that second are ended.
async fn logs_in_later(scene: &Scene, resource: &KratosIdentity, action: &str, email: &str) -> String {
    let mark = scene.in_kratos(resource).await.metadata_admin.read().unwrap()["kratos-operator.dev"].clone();
    let started_at: Timestamp = mark["actions"][action]["startedAt"].as_str().expect("a time").parse().expect("a time");
    let over = eventually("the second is over", WITHIN, async || (Timestamp::now() > started_at).then_some(()));
    over.await.expect("it passes");
    scene.kratos.login(email, PASSWORD).await.expect("Kratos answers").expect("it logs in")
}

#[tokio::test]
async fn sessions_of_before_are_ended_once_and_later_ones_stay() {
    let scene = Scene::settled().await;
    let email = "ada@revoked.example";
    scene.identity("ada", customer(email, json!({}))).await;
    let ada = scene.ready("ada").await;
    let earlier = [scene.logged_in(&ada, email).await, scene.kratos.login(email, PASSWORD).await.unwrap().unwrap()];
    scene.identity("ada", customer(email, revoke("one"))).await;
    let ada = done(&scene, "ada", "revokeSessions", "one").await;
    for token in &earlier {
        assert!(!scene.is_logged_in(token).await);
    }
    let note = scene.event(&ada, "SessionsEnded").await;
    assert!(note.contains("actions.revokeSessions"), "{note}");
    let later = logs_in_later(&scene, &ada, "revokeSessions", email).await;

    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kubernetes_writes().len(), 1, "that the request was handled");

    // Nor by the same token that left the manifest and came back, nor by one whose mark was wiped.
    scene.identity("ada", customer(email, json!({}))).await;
    scene.ready("ada").await;
    scene.identity("ada", customer(email, revoke("one"))).await;
    scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/metadata_admin", json!({})).await;
    scene.request_reconcile("ada").await;
    assert!(scene.is_logged_in(&later).await);

    // Nor by a resource that takes the identity back.
    scene.delete("ada").await;
    scene.gone("ada").await;
    scene.identity("ada", customer(email, revoke("one"))).await;
    assert_eq!(id_of(&done(&scene, "ada", "revokeSessions", "one").await), id_of(&ada));
    assert!(scene.is_logged_in(&later).await);

    scene.identity("ada", customer(email, revoke("two"))).await;
    done(&scene, "ada", "revokeSessions", "two").await;
    assert!(!scene.is_logged_in(&later).await);
}

#[tokio::test]
async fn a_token_that_is_there_from_the_start_asks_for_nothing() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@fresh.example", revoke("one"))).await;
    let ada = done(&scene, "ada", "revokeSessions", "one").await;
    assert_eq!(scene.kratos_writes(), 1, "the creation: {:?}", scene.proxy.counts());
    let token = scene.logged_in(&ada, "ada@fresh.example").await;
    scene.request_reconcile("ada").await;
    assert!(scene.is_logged_in(&token).await);
}

#[tokio::test]
async fn who_only_looks_sees_what_would_be_done() {
    let scene = Scene::settled().await;
    let email = "ada@would-be.example";
    scene.identity("ada", customer(email, json!({}))).await;
    let token = scene.logged_in(&scene.ready("ada").await, email).await;
    let mut observing = revoke("one");
    merge(&mut observing, json!({"mode": "Observe"}));
    scene.identity("ada", customer(email, observing)).await;
    let drifts = |ada: &KratosIdentity| (ada.status.as_ref()?.drift == ["/actions/revokeSessions"]).then_some(());
    let ada = scene.until("ada", "the drift", drifts).await;
    assert_eq!(ada.status.and_then(|status| status.actions), None);
    assert!(scene.is_logged_in(&token).await);
}

#[tokio::test]
async fn killed_between_intent_doing_and_note_it_is_done_all_the_same() {
    let mut scene = Scene::own().await.with_instance().await;
    for (name, before_doing) in [("intended", true), ("unnoted", false)] {
        let email = format!("{name}@killed.example");
        scene.identity(name, customer(&email, json!({}))).await;
        let token = scene.logged_in(&scene.ready(name).await, &email).await;
        let held = if before_doing { scene.proxy.on(END_ONE).hold() } else { scene.proxy.on(END_ONE).hold_answer() };
        scene.identity(name, customer(&email, revoke("one"))).await;
        held.held().await;
        let begun = scene.in_kratos(&scene.identities().get(name).await.expect("it is there")).await;
        let begun = begun.metadata_admin.read().unwrap()["kratos-operator.dev"]["actions"]["revokeSessions"].clone();
        assert_eq!((begun["token"].as_str(), begun["completedAt"].as_str()), (Some("one"), None));

        scene.operator().kill();
        scene.proxy.clear_faults();
        scene.operator().restart().expect("it starts");
        let resource = done(&scene, name, "revokeSessions", "one").await;
        assert!(!scene.is_logged_in(&token).await);
        let noted =
            scene.in_kratos(&resource).await.metadata_admin.read().unwrap()["kratos-operator.dev"]["actions"].clone();
        assert_eq!(noted["revokeSessions"]["startedAt"], begun["startedAt"], "from when it was begun");
        let later = logs_in_later(&scene, &resource, "revokeSessions", &email).await;
        scene.request_reconcile(name).await;
        assert!(scene.is_logged_in(&later).await);
    }
}
