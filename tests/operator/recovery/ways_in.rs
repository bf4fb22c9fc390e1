//! A person gets in by what the Secret holds, and the Secret is the resource's own: others' are left as they are.

use k8s_openapi::jiff::Timestamp;
use kratos_operator::api::{KratosIdentity, condition};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{
    CODE, LINK, NOTE, OWN, asked, content, customer, delete_secret, done, logs_in, noted, put_secret, secret,
    secret_goes, stands,
};
use crate::scene::{Scene, id_of, merge, message_of};

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
    scene.request_reconcile("ada").await;
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
    scene.request_reconcile("ada").await;
    assert_eq!((scene.proxy.count(LINK), secret(&scene, "way-in").await), (0, None));
    scene.patch("ada", json!({"spec": asked("again")})).await;
    done(&scene, "ada", "again").await;
    stands(&scene, "ada", "RecoveryIssued").await;
    assert_eq!(scene.proxy.count(LINK), 1);
}

#[tokio::test]
async fn a_link_leads_on_where_kratos_allows_it_and_is_refused_elsewhere() {
    let scene = Scene::settled().await;
    let leading = |to: &str| customer("ada@leads-on.example", json!({"recovery": {"returnTo": to}}));
    scene.identity("ada", leading("https://elsewhere.example/in")).await;
    let ada = stands(&scene, "ada", "KratosRejected").await;
    let told = message_of(&ada, "RecoveryIssued");
    assert!(told.contains("selfservice.allowed_return_urls") && !told.contains("elsewhere"), "{told}");
    let welcome = "https://app.example.com/welcome?from=mail";
    scene.identity("ada", leading(welcome)).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    let settings = scene.kratos.opened(&content(&scene, "way-in").await["link"]).await.expect("the link is of use");
    assert_eq!(settings["return_to"], welcome);
}

#[tokio::test]
async fn a_code_is_for_a_browser_or_for_an_application() {
    let scene = Scene::settled().await;
    let code = |flow_type: &str| {
        let secret_name = flow_type.to_lowercase();
        let recovery = json!({"type": "Code", "flowType": flow_type, "secretName": secret_name});
        customer("ada@applications.example", json!({ "recovery": recovery }))
    };
    scene.identity("ada", code("API")).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    let flow = scene.kratos.api_flow(&content(&scene, "api").await["link"]).await.expect("an application sees it");
    assert_eq!(flow["type"], "api");
    scene.identity("ada", code("Browser")).await;
    stands(&scene, "ada", "RecoveryIssued").await;
    let browsers = content(&scene, "browser").await;
    let flow = scene.kratos.api_flow(&browsers["link"]).await;
    assert!(flow.is_err() || flow.is_ok_and(|flow| flow["type"] == "browser"));
    scene.kratos.recover_by_code(&browsers["link"], &browsers["code"], OWN).await.expect("the code is of use");
}
