//! What was issued isn't issued again, and expires in time, whatever dies, is rebuilt or wiped meanwhile.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{LINK, NOTE, OWN, content, customer, logs_in, noted, secret, secret_goes, stands};
use crate::scene::{Scene, WITHIN, message_of};
use crate::testenv::process::eventually;

#[tokio::test]
async fn killed_between_intent_issuing_and_note_it_is_issued_all_the_same() {
    let mut scene = Scene::own().await.with_instance().await;
    for (name, until) in [("intended", 0), ("issued", 1), ("written", 2)] {
        let email = format!("{name}@killed-recovery.example");
        let spec = customer(&email, json!({"recovery": {"secretName": name}}));
        let held = match until {
            0 => scene.proxy.on(LINK).hold(),
            1 => scene.proxy.on(LINK).hold_answer(),
            _ => scene.proxy.on(NOTE).hold(),
        };
        scene.identity(name, spec).await;
        held.held().await;
        let made = scene
            .ours()
            .await
            .into_iter()
            .find(|made| made.traits.read().unwrap()["email"] == email)
            .expect("an identity");
        let begun = noted(&made);
        assert_eq!((begun["secretName"].as_str(), begun["issuedAt"].as_str()), (Some(name), None));
        let before = secret(&scene, name).await;
        assert_eq!(before.is_some(), until == 2);

        scene.operator().kill();
        scene.proxy.clear_faults();
        scene.operator().restart().expect("it starts");
        let resource = stands(&scene, name, "RecoveryIssued").await;
        let after = noted(&scene.in_kratos(&resource).await);
        assert_eq!(after["startedAt"], begun["startedAt"], "from when it was begun");
        assert!(after["issuedAt"].is_string());
        assert_ne!(secret(&scene, name).await.map(|secret| secret.data), before.map(|secret| secret.data));
        scene.kratos.recover_by_link(&content(&scene, name).await["link"], OWN).await.expect("it is of use");
        assert!(logs_in(&scene, &email, OWN).await);
    }
    // And never again, whoever starts.
    let before = content(&scene, "written").await;
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    scene.request_reconcile("written").await;
    assert_eq!((scene.proxy.count(LINK), scene.kratos_writes()), (0, 0), "{:?}", scene.proxy.counts());
    assert_eq!(content(&scene, "written").await, before);
}

#[tokio::test]
async fn it_expires_to_the_second_while_the_operator_runs_and_at_once_when_it_comes_back() {
    let mut scene = Scene::own().await.with_instance().await;
    let mut ends = Vec::new();
    for (name, expires_in) in [("ada", "60s"), ("sue", "62s"), ("bob", "90s")] {
        let recovery = json!({"recovery": {"secretName": name, "expiresIn": expires_in}});
        scene.identity(name, customer(&format!("{name}@expires.example"), recovery)).await;
        let resource = stands(&scene, name, "RecoveryIssued").await;
        let shown = resource.status.and_then(|status| status.recovery).and_then(|recovery| recovery.expires_at);
        ends.push(shown.expect("a time").0);
    }
    // One that needs nobody's consent to end.
    scene.patch("sue", json!({"spec": {"suspend": true}})).await;
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    secret_goes(&scene, "ada").await;
    let late = Timestamp::now().duration_since(ends[0]);
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(5), "{late:?}");
    let ada = stands(&scene, "ada", "RecoveryExpired").await;
    assert!(message_of(&ada, "RecoveryIssued").contains("new token"), "{}", message_of(&ada, "RecoveryIssued"));
    assert_eq!(
        ada.status.and_then(|status| status.recovery).and_then(|shown| shown.secret_name).as_deref(),
        Some("ada")
    );
    secret_goes(&scene, "sue").await;
    stands(&scene, "sue", "RecoveryExpired").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());

    scene.operator().kill();
    let over = eventually("bob's has expired", WITHIN, async || (Timestamp::now() > ends[2]).then_some(()));
    over.await.expect("time passes");
    assert!(secret(&scene, "bob").await.is_some(), "nobody has deleted it");
    // Nor does it take Kratos.
    scene.proxy.down();
    scene.operator().restart().expect("it starts");
    secret_goes(&scene, "bob").await;
    stands(&scene, "bob", "RecoveryExpired").await;
}

#[tokio::test]
async fn a_rebuilt_cluster_and_a_wiped_mark_issue_nothing_again() {
    let mut old = Scene::own().await.with_instance().await;
    let spec = || customer("ada@rebuilt-recovery.example", json!({}));
    old.identity("ada", spec()).await;
    let ada = stands(&old, "ada", "RecoveryIssued").await;
    old.change_in_kratos(&ada, "/metadata_admin", json!({})).await;
    old.count_from_now();
    old.request_reconcile("ada").await;
    stands(&old, "ada", "RecoveryIssued").await;
    assert_eq!(old.proxy.count(LINK), 0);
    // Nor by a process that has never seen the mark: the status tells.
    old.operator().kill();
    old.change_in_kratos(&ada, "/metadata_admin", json!({})).await;
    old.operator().restart().expect("it starts");
    old.request_reconcile("ada").await;
    let ada = stands(&old, "ada", "RecoveryIssued").await;
    assert_eq!(old.proxy.count(LINK), 0);
    assert!(noted(&old.in_kratos(&ada).await)["issuedAt"].is_string());
    let lost = old.instance_ready("default").await.status.and_then(|status| status.cluster_id).expect("an id");

    let new = old.rebuilt().await;
    new.instance(json!({"reclaimFrom": [lost]})).await;
    new.identity("ada", spec()).await;
    stands(&new, "ada", "RecoverySecretGone").await;
    assert_eq!((new.proxy.count(LINK), secret(&new, "way-in").await), (0, None));
}
