//! Second factors that are taken away, once or for good: a real TOTP and real codes, enrolled as people do.

use kratos_operator::api::KratosIdentity;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, merge};
use crate::testenv::kratos::Options;
use crate::testenv::process::eventually;

const EMAIL: &str = "ada@second-factors.example";
const PASSWORD: &str = "correct-horse-battery-4711";
const READ_ONE: &str = "GET /admin/identities/{id}";
const LIST: &str = "GET /admin/identities";

fn ada(changes: Value) -> Value {
    let mut spec = json!({"schemaID": "customer", "traits": {"email": EMAIL}});
    merge(&mut spec, changes);
    spec
}

/// A Kratos that asks whoever has a second factor for it.
async fn strict(resync_interval: &str) -> Scene {
    let scene = Scene::with_kratos(Options { whoami_aal: "highest_available", ..Options::default() }).await;
    scene.instance(json!({ "resyncInterval": resync_interval })).await;
    scene.settle().await;
    scene
}

async fn logs_in(scene: &Scene) -> String {
    scene.kratos.login(EMAIL, PASSWORD).await.expect("Kratos answers").expect("the password holds")
}

/// Enrols both second factors and shows that they are asked for. Returns a session that has given one.
async fn enrolled(scene: &Scene) -> String {
    let session = logs_in(scene).await;
    let totp = scene.kratos.enrol_totp(&session).await.expect("a TOTP");
    let codes = scene.kratos.enrol_lookup_secret(&session).await.expect("codes");
    let by_totp = logs_in(scene).await;
    assert!(!scene.is_logged_in(&by_totp).await, "a password alone isn't enough");
    scene.kratos.step_up_by_totp(&by_totp, &totp).await.expect("the second factor is taken");
    let by_code = logs_in(scene).await;
    scene.kratos.step_up(&by_code, &codes[0]).await.expect("the second factor is taken");
    assert!(scene.is_logged_in(&by_totp).await && scene.is_logged_in(&by_code).await);
    by_totp
}

async fn kinds(scene: &Scene, ada: &KratosIdentity) -> Vec<String> {
    scene.in_kratos(ada).await.credentials.into_keys().filter(|kind| kind != "password").collect()
}

/// Waits until the session is ended, and shows that no second factor is left.
async fn falls_back_to_one_factor(scene: &Scene, ada: &KratosIdentity, session: &str) {
    let ended = eventually("the sessions end", WITHIN, async || (!scene.is_logged_in(session).await).then_some(()));
    ended.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()));
    assert_eq!(kinds(scene, ada).await, [""; 0]);
    assert!(scene.is_logged_in(&logs_in(scene).await).await, "a password is enough");
}

#[tokio::test]
async fn somebody_who_lost_their_second_factors_logs_in_with_one() {
    let scene = strict("1h").await;
    scene.identity("ada", ada(json!({}))).await;
    let resource = scene.ready("ada").await;
    scene.give_password(&resource, PASSWORD).await;
    let session = enrolled(&scene).await;
    assert_eq!(kinds(&scene, &resource).await, ["lookup_secret", "totp"]);
    let reset = |token: &str| ada(json!({"actions": {"resetSecondFactors": {"token": token}}}));
    scene.identity("ada", reset("lost-phone")).await;
    scene.until("ada", "it is done", |ada| ada.status.as_ref()?.actions.as_ref()?.reset_second_factors.clone()).await;
    falls_back_to_one_factor(&scene, &resource, &session).await;
    scene.event(&resource, "SecondFactorsReset").await;
    // Once per token: what is enrolled after that stays.
    let session = enrolled(&scene).await;
    scene.request_reconcile("ada").await;
    assert!(scene.is_logged_in(&session).await);
    assert_eq!(kinds(&scene, &resource).await, ["lookup_secret", "totp"]);
    // And one kind of the two.
    let mut one = reset("lost-phone-again");
    one["actions"]["resetSecondFactors"]["types"] = json!(["TOTP"]);
    scene.identity("ada", one).await;
    let done = |ada: &KratosIdentity| {
        let done = ada.status.as_ref()?.actions.as_ref()?.reset_second_factors.clone()?;
        (done.token.as_deref() == Some("lost-phone-again")).then_some(done.completed_at?)
    };
    scene.until("ada", "it is done", done).await;
    assert_eq!(kinds(&scene, &resource).await, ["lookup_secret"]);
}

#[tokio::test]
async fn second_factors_that_must_not_exist_go_whenever_they_are_seen() {
    let scene = strict("1s").await;
    scene.identity("ada", ada(json!({}))).await;
    let resource = scene.ready("ada").await;
    scene.give_password(&resource, PASSWORD).await;
    let session = enrolled(&scene).await;
    let listed = scene.proxy.seen();
    assert!(
        !listed.iter().any(|seen| seen.parameters.iter().any(|name| name == "include_credential")),
        "no credentials are listed while no manifest speaks of them"
    );
    scene.identity("ada", ada(json!({"credentials": {"absent": ["TOTP", "LookupSecret", "WebAuthn"]}}))).await;
    scene.ready("ada").await;
    falls_back_to_one_factor(&scene, &resource, &session).await;

    // Nothing differs: listings that show credentials, and nothing read or written one by one.
    scene.settle().await;
    let lists = eventually("some listings", WITHIN, async || {
        let shows = |name: &String| name == "include_credential";
        let seen = scene.proxy.seen();
        (seen.iter().filter(|seen| seen.label == LIST && seen.parameters.iter().any(shows)).count() > 2).then_some(())
    });
    lists.await.expect("they come");
    assert_eq!((scene.kratos_writes(), scene.proxy.count(READ_ONE)), (0, 0), "{:?}", scene.proxy.counts());

    // Enrolled behind our back: found by a listing.
    let session = enrolled(&scene).await;
    falls_back_to_one_factor(&scene, &resource, &session).await;
    let resource = scene.ready("ada").await;
    scene.shows_nowhere(&resource, PASSWORD).await;
}

#[tokio::test]
async fn sessions_stay_where_the_manifest_says_so_and_who_only_looks_is_told() {
    let scene = strict("1s").await;
    scene.identity("ada", ada(json!({}))).await;
    let resource = scene.ready("ada").await;
    scene.give_password(&resource, PASSWORD).await;
    let session = enrolled(&scene).await;
    let absent = |mode: &str| {
        let credentials = json!({"absent": ["TOTP", "LookupSecret"], "revokeSessions": false});
        ada(json!({ "mode": mode, "credentials": credentials }))
    };
    scene.identity("ada", absent("Observe")).await;
    let drifts = |ada: &KratosIdentity| {
        (ada.status.as_ref()?.drift == ["/credentials/lookup_secret", "/credentials/totp"]).then_some(())
    };
    scene.until("ada", "the drift", drifts).await;
    scene.settle().await;
    let lists = eventually("some listings", WITHIN, async || (scene.proxy.count(LIST) > 2).then_some(()));
    lists.await.expect("they come");
    assert_eq!((scene.kratos_writes(), scene.proxy.count(READ_ONE)), (0, 0), "it is told once");
    scene.identity("ada", absent("Enforce")).await;
    scene.ready("ada").await;
    assert_eq!(kinds(&scene, &resource).await, [""; 0]);
    assert!(scene.is_logged_in(&session).await);
}

#[tokio::test]
async fn killed_in_between_the_sessions_end_all_the_same() {
    let mut scene = Scene::own().await.with_instance().await;
    // With a request unsent, or carried out and unanswered.
    let places = [
        ("first", "DELETE /admin/identities/{id}/credentials/lookup_secret", true),
        ("between", "DELETE /admin/identities/{id}/credentials/totp", true),
        ("unended", "DELETE /admin/identities/{id}/sessions", true),
        ("ended", "DELETE /admin/identities/{id}/sessions", false),
    ];
    for (name, at, unsent) in places {
        let email = format!("{name}@killed-second-factors.example");
        let spec = json!({"schemaID": "customer", "traits": {"email": email}});
        scene.identity(name, spec.clone()).await;
        let resource = scene.ready(name).await;
        let session = scene.logged_in(&resource, &email).await;
        scene.kratos.enrol_totp(&session).await.expect("a TOTP");
        scene.kratos.enrol_lookup_secret(&session).await.expect("codes");
        let held = if unsent { scene.proxy.on(at).hold() } else { scene.proxy.on(at).hold_answer() };
        let mut without = spec;
        without["credentials"] = json!({"absent": ["TOTP", "LookupSecret"]});
        scene.identity(name, without).await;
        held.held().await;
        let mark = scene.in_kratos(&resource).await.metadata_admin.read().unwrap()["kratos-operator.dev"].clone();
        assert_eq!(mark["sessionsPending"], json!(true), "the intent comes first");
        scene.operator().kill();
        scene.proxy.clear_faults();
        scene.operator().restart().expect("it starts");
        scene.ready(name).await;
        scene.request_reconcile(name).await;
        assert_eq!(kinds(&scene, &resource).await, [""; 0]);
        assert!(!scene.is_logged_in(&session).await, "{name}");
        scene.count_from_now();
        scene.request_reconcile(name).await;
        assert_eq!(scene.kratos_writes(), 0, "{name}: {:?}", scene.proxy.counts());
    }
}
