//! A way into an account for the person it is for: issued once, into a Secret of its own, which goes when it is of no use.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kratos_operator::api::{KratosIdentity, condition};
use kratos_operator::kratos::Identity;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Cluster, Scene, Server, WITHIN, id_of, merge, message_of};
use crate::testenv::faults::Answer;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::process::eventually;

const LINK: &str = "POST /admin/recovery/link";
const CODE: &str = "POST /admin/recovery/code";
const NOTE: &str = "PATCH /admin/identities/{id}";
const OWN: &str = "chosen-by-ada-herself-4713";

fn customer(email: &str, changes: Value) -> Value {
    let mut spec = json!({
        "schemaID": "customer", "traits": {"email": email},
        "recovery": {"type": "Link", "secretName": "way-in"}, "deletion": {"policy": "Orphan"},
    });
    merge(&mut spec, changes);
    spec
}

fn asked(token: &str) -> Value {
    json!({"actions": {"recovery": {"token": token}}})
}

fn secrets(scene: &Scene) -> Api<Secret> {
    Api::namespaced(scene.client.clone(), &scene.namespace)
}

async fn secret(scene: &Scene, name: &str) -> Option<Secret> {
    secrets(scene).get_opt(name).await.expect("Secrets can be read")
}

/// What a Secret holds.
async fn content(scene: &Scene, name: &str) -> BTreeMap<String, String> {
    let found = secret(scene, name).await.unwrap_or_else(|| panic!("no Secret {name}: {}", scene.whole_log()));
    let texts = found.data.unwrap_or_default().into_iter();
    texts.map(|(key, value)| (key, String::from_utf8(value.0).expect("text"))).collect()
}

async fn put_secret(scene: &Scene, name: &str) -> Secret {
    let object =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"link": "theirs"}});
    let params = PatchParams::apply("test").force();
    secrets(scene).patch(name, &params, &Patch::Apply(&object)).await.expect("the Secret is accepted")
}

async fn delete_secret(scene: &Scene, name: &str) {
    secrets(scene).delete(name, &DeleteParams::default()).await.expect("it is deleted");
}

async fn secret_goes(scene: &Scene, name: &str) {
    let gone = eventually("the Secret goes", WITHIN * 2, async || secret(scene, name).await.is_none().then_some(()));
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()));
}

/// Waits until the condition has this reason, for the resource's generation. Returns the resource.
async fn stands(scene: &Scene, name: &str, reason: &str) -> KratosIdentity {
    let is_so = |resource: &KratosIdentity| {
        let status = resource.status.as_ref()?;
        let is_current = status.observed_generation == resource.metadata.generation;
        let found = condition::find(&status.conditions, "RecoveryIssued")?;
        let is_true = found.status == "True";
        (is_current && found.reason == reason && is_true == (reason == "RecoveryIssued")).then_some(())
    };
    scene.until(name, reason, is_so).await
}

/// Waits until an action is noted as done with this token.
async fn done(scene: &Scene, name: &str, token: &str) -> KratosIdentity {
    let is_done = |resource: &KratosIdentity| {
        let action = resource.status.as_ref()?.actions.as_ref()?.recovery.as_ref()?;
        (action.token.as_deref() == Some(token) && action.completed_at.is_some()).then_some(())
    };
    scene.until(name, &format!("recovery {token} is done"), is_done).await
}

fn noted(identity: &Identity) -> Value {
    identity.metadata_admin["kratos-operator.dev"]["recovery"].clone()
}

async fn logs_in(scene: &Scene, email: &str, password: &str) -> bool {
    scene.kratos.login(email, password).await.expect("Kratos answers").is_some()
}

#[tokio::test]
async fn a_person_gets_in_by_the_link_in_the_secret_and_sets_a_password() {
    let scene = Scene::settled().await;
    let email = "ada@by-link.example";
    scene.identity("ada", customer(email, json!({}))).await;
    let ada = scene.ready("ada").await;
    assert!(message_of(&stands(&scene, "ada", "RecoveryIssued").await, "RecoveryIssued").contains("way-in"));
    let held = content(&scene, "way-in").await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["expiresAt", "identityID", "link"]);
    assert_eq!(held["identityID"], id_of(&ada));
    let counts = scene.proxy.counts();
    assert_eq!((counts.get(LINK), counts.get(NOTE), counts.get(CODE)), (Some(&1), Some(&1), None), "{counts:?}");

    let expires_at: Timestamp = held["expiresAt"].parse().expect("a time");
    let left = expires_at.duration_since(Timestamp::now()).as_secs();
    assert!((3_400..=3_600).contains(&left), "an hour, where nothing else is said: {left}");
    let shown = ada.status.as_ref().and_then(|status| status.recovery.clone()).expect("it is shown");
    assert_eq!(shown.secret_name.as_deref(), Some("way-in"));
    assert_eq!(shown.expires_at.expect("a time").0.as_second(), expires_at.as_second());

    let object = secret(&scene, "way-in").await.expect("the Secret");
    let [owner] = object.owner_references() else { panic!("{:?}", object.owner_references()) };
    assert_eq!((Some(&owner.uid), owner.controller), (ada.metadata.uid.as_ref(), Some(true)));
    assert!(object.managed_fields().iter().all(|field| field.manager.as_deref() == Some("kratos-operator")));
    assert_eq!(object.labels()["app.kubernetes.io/managed-by"], "kratos-operator");

    assert!(!logs_in(&scene, email, OWN).await);
    scene.kratos.recover_by_link(&held["link"], OWN).await.expect("the link is of use");
    assert!(logs_in(&scene, email, OWN).await);
    scene.event(&ada, "RecoveryIssued").await;
    let token = held["link"].split("token=").nth(1).and_then(|rest| rest.split('&').next()).expect("a token");
    scene.shows_nowhere(&ada, token).await;
    scene.shows_nowhere(&ada, "flow=").await;

    // Nothing of it is done again, and looking costs one read.
    scene.count_from_now();
    scene.ask("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(content(&scene, "way-in").await, held);
    scene.patch("ada", json!({"spec": {"metadataPublic": {"plan": "gold"}}})).await;
    scene.ready("ada").await;
    assert_eq!(scene.proxy.count(LINK), 0);
    assert_eq!(scene.proxy.count(NOTE), 1, "the change");
}

#[tokio::test]
async fn a_person_gets_in_by_the_code_in_the_secret_and_a_new_token_gives_another_one() {
    let scene = Scene::settled().await;
    let email = "ada@by-code.example";
    let code = |changes: Value| {
        let mut spec = json!({"recovery": {"type": "Code", "expiresIn": "30m"}});
        merge(&mut spec, changes);
        customer(email, spec)
    };
    scene.identity("ada", code(json!({}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    let first = content(&scene, "way-in").await;
    assert_eq!(first.keys().collect::<Vec<_>>(), ["code", "expiresAt", "identityID", "link"]);
    scene.identity("ada", code(asked("lost-it"))).await;
    let ada = done(&scene, "ada", "lost-it").await;
    let second = content(&scene, "way-in").await;
    assert_ne!((&second["code"], &second["link"]), (&first["code"], &first["link"]));
    scene.kratos.recover_by_code(&second["link"], &second["code"], OWN).await.expect("the code is of use");
    assert!(logs_in(&scene, email, OWN).await);
    // Earlier ones work until they expire: that is documented.
    scene.kratos.recover_by_code(&first["link"], &first["code"], "another-horse-4714").await.expect("it is of use");
    scene.shows_nowhere(&ada, &second["code"]).await;
    scene.shows_nowhere(&ada, "flow=").await;

    // The same token, and one that left the manifest, ask for nothing.
    scene.identity("ada", code(json!({}))).await;
    scene.ready("ada").await;
    scene.identity("ada", code(asked("lost-it"))).await;
    scene.ready("ada").await;
    assert_eq!(scene.proxy.count(CODE), 2);
    assert_eq!(content(&scene, "way-in").await, second);
}

#[tokio::test]
async fn another_type_and_another_secret_are_another_recovery_and_the_former_secret_goes() {
    let scene = Scene::settled().await;
    let email = "ada@another-way.example";
    scene.identity("ada", customer(email, json!({}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    scene.identity("ada", customer(email, json!({"recovery": {"type": "Code"}}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    assert!(content(&scene, "way-in").await.contains_key("code"), "in the same Secret");
    scene.identity("ada", customer(email, json!({"recovery": {"type": "Code", "secretName": "other-way-in"}}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    assert!(content(&scene, "other-way-in").await.contains_key("code"));
    assert_eq!(secret(&scene, "way-in").await, None);

    // What leaves the manifest takes its Secret along, and what comes back is another one.
    scene.identity("ada", customer(email, json!({"recovery": null}))).await;
    let ada = scene.until("ada", "no recovery", |ada: &KratosIdentity| {
        let status = ada.status.as_ref()?;
        let is_current = status.observed_generation == ada.metadata.generation;
        (is_current && condition::find(&status.conditions, "RecoveryIssued").is_none()).then_some(())
    });
    let ada = ada.await;
    assert_eq!(secret(&scene, "other-way-in").await, None);
    assert_eq!(ada.status.as_ref().and_then(|status| status.recovery.clone()), None);
    assert_eq!(noted(&scene.in_kratos(&ada).await), Value::Null);
    scene.count_from_now();
    scene.identity("ada", customer(email, json!({}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    assert_eq!(scene.proxy.count(LINK), 1);

    // The resource takes it along as well.
    scene.delete("ada").await;
    scene.gone("ada").await;
    secret_goes(&scene, "way-in").await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_as_it_is_until_it_goes() {
    let scene = Scene::settled().await;
    let theirs = put_secret(&scene, "way-in").await;
    scene.identity("ada", customer("ada@foreign.example", json!({}))).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("Secret way-in") && message.contains("delete it"), "{message}");
    scene.stays_refused("ada", "InvalidSpec").await;
    assert_eq!(secret(&scene, "way-in").await, Some(theirs));
    assert_eq!(scene.proxy.count(LINK), 0);
    delete_secret(&scene, "way-in").await;
    stands(&scene, "ada", "RecoveryIssued").await;
    scene.ready("ada").await;
    assert_ne!(content(&scene, "way-in").await["link"], "theirs");
}

#[tokio::test]
async fn a_secret_that_comes_while_the_recovery_is_issued_is_left_as_it_is() {
    let scene = Scene::settled().await;
    let held = scene.proxy.on(LINK).once().hold();
    scene.identity("ada", customer("ada@raced.example", json!({}))).await;
    held.held().await;
    let theirs = put_secret(&scene, "way-in").await;
    held.release();
    scene.stalled("ada", "InvalidSpec").await;
    assert_eq!(secret(&scene, "way-in").await, Some(theirs));
    // A Secret that the manifest reads from is refused by itself.
    let password = json!({"credentials": {"password": {"secretKeyRef": {"name": "way-in", "key": "link"}}}});
    scene.identity("bob", customer("bob@raced.example", password)).await;
    let message = scene.stalled("bob", "InvalidSpec").await;
    assert!(message.contains("reads from"), "{message}");
}

#[tokio::test]
async fn a_secret_that_somebody_deleted_is_missed_at_once_and_not_silently_issued_again() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@deleted.example", json!({}))).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    scene.count_from_now();
    delete_secret(&scene, "way-in").await;
    let ada = stands(&scene, "ada", "RecoverySecretGone").await;
    let message = message_of(&ada, "RecoveryIssued");
    assert!(message.contains("new token in actions.recovery"), "{message}");
    scene.ask("ada").await;
    assert_eq!((scene.proxy.count(LINK), secret(&scene, "way-in").await), (0, None));
    scene.patch("ada", json!({"spec": asked("again")})).await;
    done(&scene, "ada", "again").await;
    stands(&scene, "ada", "RecoveryIssued").await;
    assert_eq!(scene.proxy.count(LINK), 1);
}

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
    scene.ask("ada").await;
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
    assert!(message.contains("taken over"), "{message}");
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
    let operator = cluster.start_operator(vec![namespace.clone()]);
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

    // Whatever looks at it meanwhile.
    let reads = scene.proxy.count("GET /admin/identities/{id}");
    let looked = eventually("it is looked at", WITHIN, async || {
        (scene.proxy.count("GET /admin/identities/{id}") >= reads + 2).then_some(())
    });
    looked.await.expect("it is");
    assert_eq!(scene.proxy.count(LINK), 1);
    scene.ask("ada").await;
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
        let made = scene.ours().await.into_iter().find(|made| made.traits["email"] == email).expect("an identity");
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
    scene.ask("written").await;
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
    scene.ask("ada").await;
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
    old.ask("ada").await;
    stands(&old, "ada", "RecoveryIssued").await;
    assert_eq!(old.proxy.count(LINK), 0);
    // Nor by a process that has never seen the mark: the status tells.
    old.operator().kill();
    old.change_in_kratos(&ada, "/metadata_admin", json!({})).await;
    old.operator().restart().expect("it starts");
    old.ask("ada").await;
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
    scene.ask("ada").await;
    stands(&scene, "ada", "RecoveryIssued").await;
}
