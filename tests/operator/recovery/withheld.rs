//! Who gets no way in: because of a state, a mode, an adoption, a method that is switched off, a missing permission.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kratos_operator::api::{KratosIdentity, condition};
use kratos_operator::kratos::State;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use super::{LINK, OWN, asked, content, customer, done, noted, secret, secret_goes, stands};
use crate::scene::{Cluster, Scene, Server, WITHIN, merge, message_of};
use crate::testenv::faults::Answer;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::process::eventually;

#[tokio::test]
async fn nothing_is_issued_for_an_inactive_identity_and_what_was_goes_with_its_state() {
    let scene = Scene::settled().await;
    let email = "ada@inactive.example";
    scene.identity("ada", customer(email, json!({"state": "Inactive"}))).await;
    let ada = scene.ready("ada").await;
    stands(&scene, "ada", "IdentityInactive").await;
    assert_eq!((scene.proxy.count(LINK), noted(&scene.in_kratos(&ada).await)), (0, Value::Null));
    scene.identity("ada", customer(email, json!({"state": "Active"}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    let link = content(&scene, "way-in").await["link"].clone();

    scene.identity("ada", customer(email, json!({"state": "Inactive"}))).await;
    stands(&scene, "ada", "IdentityInactive").await;
    assert_eq!(secret(&scene, "way-in").await, None);
    assert!(scene.kratos.recover_by_link(&link, OWN).await.is_err(), "of no use meanwhile");
    scene.identity("ada", customer(email, json!({"state": "Active"}))).await;
    stands(&scene, "ada", "RecoverySecretGone").await;
    assert_eq!(scene.proxy.count(LINK), 1, "once");

    // Whoever else deactivates it: it can't be used.
    scene.identity("ada", customer(email, asked("again"))).await;
    done(&scene, "ada", "again").await;
    scene.change_in_kratos(&ada, "/state", json!("inactive")).await;
    scene.request_reconcile("ada").await;
    stands(&scene, "ada", "IdentityInactive").await;
    assert_eq!(secret(&scene, "way-in").await, None);
}

#[tokio::test]
async fn it_comes_and_goes_with_the_window_of_validity() {
    let scene = Scene::settled().await;
    let second = |from_now: i64| Timestamp::from_second(Timestamp::now().as_second() + from_now).expect("a time");
    let window = json!({"validity": {"notBefore": second(4), "notAfter": second(14)}});
    scene.identity("ada", customer("ada@window-recovery.example", window)).await;
    stands(&scene, "ada", "IdentityInactive").await;
    assert_eq!(secret(&scene, "way-in").await, None);
    stands(&scene, "ada", "RecoveryIssued").await;
    assert!(content(&scene, "way-in").await.contains_key("link"));
    stands(&scene, "ada", "IdentityInactive").await;
    assert_eq!(secret(&scene, "way-in").await, None);
}

#[tokio::test]
async fn who_is_locked_out_although_the_manifest_is_broken_loses_the_secret_too() {
    let scene = Scene::settled().await;
    let email = "ada@locked-out.example";
    scene.identity("ada", customer(email, json!({}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    scene.identity("ada", customer(email, json!({"state": "Inactive", "schemaID": "no-such-schema"}))).await;
    scene.stalled("ada", "SchemaNotFound").await;
    stands(&scene, "ada", "IdentityInactive").await;
    assert_eq!(secret(&scene, "way-in").await, None);
}

#[tokio::test]
async fn a_secret_that_cannot_be_deleted_is_told_and_tried_again_and_its_owner_is_locked_out_all_the_same() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    scene.settle().await;
    let email = "ada@kept-way-in.example";
    let named = json!({"recovery": {"secretName": "way-in-that-stays"}});
    scene.identity("ada", customer(email, named.clone())).await;
    let ada = stands(&scene, "ada", "RecoveryIssued").await;
    let here = format!("/namespaces/{}/secrets/way-in-that-stays", scene.namespace);
    let is_about_it = move |label: &str, path: &str| label == "DELETE secrets" && path.contains(&here);
    // What an account without the right is told.
    let no = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403});
    scene.cluster.proxy.on_where(is_about_it.clone()).times(2).answer(Answer::status(403).json(&no));
    let mut locked_out = named;
    merge(&mut locked_out, json!({"state": "Inactive", "schemaID": "no-such-schema"}));
    scene.identity("ada", customer(email, locked_out)).await;
    let told = scene.stalled("ada", "SchemaNotFound").await;
    assert!(told.ends_with("the identity is inactive all the same, and its sessions are ended"), "{told}");
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);
    let log = scene.whole_log();
    let line = log.lines().find(|line| line.contains("way-in-that-stays") && line.contains("couldn't be deleted"));
    assert!(line.is_some_and(|line| line.contains("it is tried again")), "{}", scene.log());

    // By itself, at a resync.
    secret_goes(&scene, "way-in-that-stays").await;
    stands(&scene, "ada", "IdentityInactive").await;
    let seen = scene.cluster.proxy.seen().into_iter();
    let tries: Vec<_> = seen.filter(|seen| is_about_it(&seen.label, &seen.path)).map(|seen| seen.status).collect();
    assert_eq!(tries, [Some(403), Some(403), Some(200)]);
}

#[tokio::test]
async fn who_only_looks_is_suspended_or_admitted_no_more_issues_nothing() {
    let scene = Scene::settled().await;
    let email = "ada@only-looks.example";
    let without = json!({"recovery": null});
    for name in ["observing", "suspended"] {
        scene.identity(name, customer(&format!("{name}.{email}"), without.clone())).await;
        scene.ready(name).await;
    }
    scene.identity("observing", customer(&format!("observing.{email}"), json!({"mode": "Observe"}))).await;
    let drifts = |found: &KratosIdentity| (found.status.as_ref()?.drift == ["/recovery"]).then_some(());
    scene.until("observing", "what would be done", drifts).await;
    scene.identity("suspended", customer(&format!("suspended.{email}"), json!({"suspend": true}))).await;
    let is_suspended =
        |found: &KratosIdentity| condition::is_true(&found.status.as_ref()?.conditions, "Suspended").then_some(());
    scene.until("suspended", "suspended", is_suspended).await;

    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    scene.identity_in(&tenant, "theirs", customer(&format!("theirs.{email}"), without.clone())).await;
    scene.ready_in(&tenant, "theirs").await;
    scene.instance(json!({"allowedNamespaces": {"from": "Same"}})).await;
    scene.identity_in(&tenant, "theirs", customer(&format!("theirs.{email}"), json!({}))).await;
    scene.stalled_in(&tenant, "theirs", "NotPermitted").await;
    assert_eq!((scene.proxy.count(LINK), secret(&scene, "way-in").await), (0, None));
    let theirs = Api::<Secret>::namespaced(scene.client.clone(), &tenant);
    assert_eq!(theirs.get_opt("way-in").await.expect("an answer"), None);
}

#[tokio::test]
async fn whoever_adopts_an_account_gets_no_way_into_it_but_beside_the_instance() {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "adoptionFrom": "Allowed"})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let mut ids = Vec::new();
    for name in ["theirs", "ours"] {
        let body = json!({"schema_id": "customer", "traits": {"email": format!("{name}@taken-over.example")}});
        let (_, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.expect("an answer");
        ids.push(made["id"].as_str().expect("it is made").to_owned());
    }
    let adopting = |id: &str| {
        let mut spec = customer("x", json!({"adoption": {"policy": "IfUnowned", "identityID": id}}));
        spec["traits"] = json!({});
        spec
    };
    scene.identity_in(&tenant, "theirs", adopting(&ids[0])).await;
    let message = scene.stalled_in(&tenant, "theirs", "InvalidSpec").await;
    assert!(message.contains("spec.recovery") && message.contains("adopted"), "{message}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    // Nor once it is adopted, by the same resource or by one that takes its place and doesn't speak of adoption.
    let mut later = adopting(&ids[0]);
    later.as_object_mut().expect("a spec").remove("recovery");
    scene.identity_in(&tenant, "theirs", later).await;
    scene.ready_in(&tenant, "theirs").await;
    scene.identity_in(&tenant, "theirs", adopting(&ids[0])).await;
    scene.stalled_in(&tenant, "theirs", "InvalidSpec").await;
    scene.identities_in(&tenant).delete("theirs", &DeleteParams::default()).await.expect("it is deleted");
    scene.gone_in(&tenant, "theirs").await;
    scene.identity_in(&tenant, "theirs", customer("theirs@taken-over.example", json!({}))).await;
    scene.stalled_in(&tenant, "theirs", "InvalidSpec").await;
    assert_eq!(scene.proxy.count(LINK), 0);

    scene.identity("ours", adopting(&ids[1])).await;
    stands(&scene, "ours", "RecoveryIssued").await;
}

/// A scene whose Kratos issues no recovery.
async fn without_recovery() -> Scene {
    let kratos = Kratos::start(Options { recovery: false, ..Options::default() }).await.expect("Kratos starts");
    let cluster = Arc::new(Cluster::start().await);
    let namespace = "without-recovery".to_owned();
    let operator = cluster.start_operator(vec![namespace.clone()]).await;
    Scene::set(cluster, Server::Own(Arc::new(kratos)), Some(operator), namespace).await
}

#[tokio::test]
async fn where_recovery_is_disabled_the_identity_is_ready_apart_from_it_and_kratos_is_asked_at_sensible_times() {
    let scene = without_recovery().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let email = "ada@disabled.example";
    scene.identity("ada", customer(email, json!({}))).await;
    scene.ready("ada").await;
    let ada = stands(&scene, "ada", "RecoveryDisabled").await;
    let message = message_of(&ada, "RecoveryIssued");
    assert!(message.contains("recovery link") && message.contains("enable it"), "{message}");
    assert_eq!((scene.proxy.count(LINK), secret(&scene, "way-in").await), (1, None));

    // Whatever enqueues it meanwhile.
    let reads = scene.proxy.count("GET /admin/identities/{id}");
    let looked = eventually("it is looked at", WITHIN, async || {
        (scene.proxy.count("GET /admin/identities/{id}") >= reads + 2).then_some(())
    });
    looked.await.expect("it is");
    assert_eq!(scene.proxy.count(LINK), 1);
    scene.request_reconcile("ada").await;
    assert_eq!(scene.proxy.count(LINK), 2, "on request");
    scene.identity("ada", customer(email, asked("please"))).await;
    let asked = eventually("it is asked for", WITHIN, async || (scene.proxy.count(LINK) >= 3).then_some(()));
    asked.await.expect("with a new token");
    stands(&scene, "ada", "RecoveryDisabled").await;

    // By itself, once the server was away.
    scene.kratos.stop().expect("Kratos stops");
    let is_down = |instance: &kratos_operator::api::KratosInstance| {
        condition::is_true(&instance.status.as_ref()?.conditions, "Reconciling").then_some(())
    };
    scene.instance_until("default", "down", is_down).await;
    scene.kratos.restart_with(|options| options.recovery = true).await.expect("Kratos starts");
    done(&scene, "ada", "please").await;
    stands(&scene, "ada", "RecoveryIssued").await;
    scene.kratos.recover_by_link(&content(&scene, "way-in").await["link"], OWN).await.expect("it is of use");
}

#[tokio::test]
async fn where_secrets_may_not_be_written_nothing_is_issued_and_the_identity_is_ready() {
    let scene = Scene::settled().await;
    // What an account without the right is told; a quota or an admission rule says no otherwise.
    let here = format!("/namespaces/{}/", scene.namespace);
    let is_write = move |label: &str, path: &str| label == "POST secrets" && path.contains(&here);
    let no = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403});
    scene.cluster.proxy.on_where(is_write).once().answer(Answer::status(403).json(&no));
    scene.identity("ada", customer("ada@forbidden.example", json!({}))).await;
    let ada = scene.ready("ada").await;
    stands(&scene, "ada", "SecretNotReady").await;
    let message = message_of(&ada, "RecoveryIssued");
    assert!(message.contains("HTTP 403") && message.contains("create"), "{message}");
    assert_eq!(scene.proxy.count(LINK), 0, "Kratos isn't asked for what couldn't be kept");
    scene.request_reconcile("ada").await;
    stands(&scene, "ada", "RecoveryIssued").await;
}

#[tokio::test]
async fn an_operator_that_writes_no_secrets_tries_nothing_and_says_what_to_set() {
    let mut scene = Scene::own().await;
    let off = |settings: &mut crate::testenv::operator::Settings| {
        settings.arguments = vec!["--recovery-secrets=false".to_owned()];
    };
    scene.operator().restart_with(off).expect("it starts");
    scene.instance(json!({})).await;
    scene.identity("ada", customer("ada@switched-off.example", json!({}))).await;
    scene.ready("ada").await;
    let ada = stands(&scene, "ada", "RecoveryDisabled").await;
    let message = message_of(&ada, "RecoveryIssued");
    assert!(message.contains("recoverySecrets.enabled") && message.contains("--recovery-secrets"), "{message}");
    // The operator's own key is another matter.
    let here = format!("/namespaces/{}/secrets", scene.namespace);
    let seen = scene.cluster.proxy.seen();
    let written = seen.iter().filter(|seen| seen.label == "POST secrets" && seen.path.contains(&here));
    assert_eq!((scene.proxy.count(LINK), written.count()), (0, 0));

    let on = |settings: &mut crate::testenv::operator::Settings| settings.arguments.clear();
    scene.operator().restart_with(on).expect("it starts");
    stands(&scene, "ada", "RecoveryIssued").await;
}
