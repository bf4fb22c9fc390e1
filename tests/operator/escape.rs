//! People who leave the instance's rules by changing their own address: what their manifest takes away still reaches them,
//! and nothing else does. Nor does a reconcile that comes to nothing for another reason keep anybody logged in.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kratos_operator::api::KratosIdentity;
use kratos_operator::api::identity::IdentityState;
use kratos_operator::kratos::{Identity, State};
use serde_json::{Value, json};

use crate::many::CHANGE;
use crate::scene::{Scene, WITHIN, merge, message_of, reason_of};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;

const DOMAIN: &str = "identifiers.all(i, i.endsWith('@team-a.example'))";
const PASSWORD: &str = "correct-horse-battery-4711";

struct Escaped {
    scene: Scene,
    tenant: String,
    /// The resource, as it was when it was Ready.
    ada: KratosIdentity,
    spec: Value,
    /// Her session.
    token: String,
    /// The address that she has given herself.
    elsewhere: String,
}

/// A managed person of a tenant, logged in, who has changed her own address to one that the rules don't admit.
async fn escaped(changes: Value) -> Escaped {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": [{"expression": DOMAIN, "message": "other domains are others'"}]})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let email = format!("ada.{}@team-a.example", scene.namespace);
    let mut spec = json!({"schemaID": "customer", "traits": {"email": email}, "traitsPolicy": "CreateOnly"});
    merge(&mut spec, changes);
    scene.identity_in(&tenant, "ada", spec.clone()).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    let token = scene.logged_in(&ada, &email).await;
    let elsewhere = format!("ada.{}@team-b.example", scene.namespace);
    let own = json!({"email": elsewhere, "name": {"first": "Augusta"}});
    scene.kratos.change_own_traits(&token, &own).await.expect("people change their own traits");
    Escaped { scene, tenant, ada, spec, token, elsewhere }
}

impl Escaped {
    /// Changes the manifest.
    async fn wants(&self, changes: Value) {
        let mut spec = self.spec.clone();
        merge(&mut spec, changes);
        self.scene.identity_in(&self.tenant, "ada", spec).await;
    }

    async fn in_kratos(&self) -> Identity {
        self.scene.in_kratos(&self.ada).await
    }

    async fn is_logged_in(&self) -> bool {
        self.scene.is_logged_in(&self.token).await
    }

    /// Waits until she is inactive in Kratos and in the status. Returns the condition's message.
    async fn is_locked_out(&self) -> String {
        let (scene, tenant) = (&self.scene, &self.tenant);
        let is_inactive =
            |ada: &KratosIdentity| (ada.status.as_ref()?.state == Some(IdentityState::Inactive)).then_some(());
        scene.until_in(tenant, "ada", "she is inactive", is_inactive).await;
        assert_eq!(self.in_kratos().await.state, State::Inactive);
        assert!(!self.is_logged_in().await);
        scene.stalled_in(tenant, "ada", "NotPermitted").await
    }

    /// Her sessions don't come back to life.
    async fn for_good(&self) {
        self.scene.change_in_kratos(&self.ada, "/state", json!("active")).await;
        assert!(!self.is_logged_in().await);
    }
}

#[tokio::test]
async fn who_is_to_be_inactive_is_wherever_they_have_gone() {
    let escaped = escaped(json!({})).await;
    let Escaped { scene, tenant, elsewhere, .. } = &escaped;
    escaped.wants(json!({"state": "Inactive", "metadataPublic": {"plan": "gold"}})).await;
    let message = escaped.is_locked_out().await;
    assert!(message.contains("rule 1") && message.contains("inactive all the same"), "{message}");
    let there = escaped.in_kratos().await;
    let email = &there.traits.read().expect("they can be read")["email"];
    assert!(*email == json!(elsewhere) && there.metadata_public.is_null(), "nothing else");
    scene.event(&escaped.ada, "IdentityDeactivated").await;
    // Said once, done once.
    scene.count_from_now();
    let again = scene.request_reconcile_in(tenant, "ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(reason_of(&again, "Stalled", "True").as_deref(), Some("NotPermitted"));
    assert_eq!(scene.stalled_in(tenant, "ada", "NotPermitted").await, message);
    scene.shows_nowhere(&again, elsewhere).await;
    // What somebody made active again is deactivated again.
    escaped.for_good().await;
    scene.request_reconcile_in(tenant, "ada").await;
    assert_eq!(escaped.in_kratos().await.state, State::Inactive);
}

#[tokio::test]
async fn a_window_closes_wherever_they_have_gone() {
    let end = Timestamp::from_second(Timestamp::now().as_second() + 10).expect("a time");
    let escaped = escaped(json!({"validity": {"notAfter": end}})).await;
    escaped.scene.request_reconcile_in(&escaped.tenant, "ada").await;
    let message = escaped.is_locked_out().await;
    assert!(message.contains("inactive all the same"), "{message}");
    let late = Timestamp::now().duration_since(end);
    assert!(late < SignedDuration::from_secs(5), "{late:?}");
    escaped.for_good().await;
}

#[tokio::test]
async fn sessions_end_once_and_nothing_is_taken_that_keeps_others_out() {
    let escaped = escaped(json!({})).await;
    let Escaped { scene, tenant, elsewhere, token, .. } = &escaped;
    let codes = scene.kratos.enrol_lookup_secret(token).await.expect("codes");
    assert!(!codes.is_empty());
    let kinds = |identity: &Identity| identity.credentials.keys().cloned().collect::<Vec<_>>();
    let before = kinds(&escaped.in_kratos().await);
    escaped
        .wants(json!({
            "actions": {"revokeSessions": {"token": "one"}, "resetSecondFactors": {"token": "one"}},
            "credentials": {"absent": ["LookupSecret"]},
        }))
        .await;
    let is_done = |ada: &KratosIdentity| {
        let actions = ada.status.as_ref()?.actions.clone()?;
        actions.revoke_sessions?.completed_at?;
        assert!(actions.reset_second_factors.is_none(), "not even begun");
        Some(())
    };
    scene.until_in(tenant, "ada", "the sessions have ended", is_done).await;
    assert!(!escaped.is_logged_in().await);
    scene.stalled_in(tenant, "ada", "NotPermitted").await;
    let there = escaped.in_kratos().await;
    assert_eq!((kinds(&there), there.state), (before, State::Active));
    assert!(there.credentials.contains_key("lookup_secret"));
    // Who logs in later stays.
    let later = scene.kratos.login(elsewhere, PASSWORD).await.expect("an answer").expect("the password holds");
    scene.count_from_now();
    scene.request_reconcile_in(tenant, "ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert!(scene.is_logged_in(&later).await);
}

#[tokio::test]
async fn owned_traits_are_put_back_where_that_is_what_the_rules_want() {
    let escaped = escaped(json!({"traitsPolicy": "Merge"})).await;
    let Escaped { scene, tenant, spec, .. } = &escaped;
    // Together with what waits for it; and the sessions of somebody who stays active go on.
    escaped.wants(json!({"metadataPublic": {"plan": "gold"}})).await;
    scene.ready_in(tenant, "ada").await;
    let there = escaped.in_kratos().await;
    assert_eq!(there.traits, json!({"email": spec["traits"]["email"], "name": {"first": "Augusta"}}));
    assert_eq!(there.metadata_public, json!({"plan": "gold"}));
    assert!(escaped.is_logged_in().await);
}

#[tokio::test]
async fn nothing_is_put_back_where_the_rules_wouldnt_admit_the_result() {
    // A trait of her own keeps her outside of them, whatever her address is.
    let scene = Scene::shared().await;
    let rule =
        json!([{"expression": "!has(identity.traits.newsletter) && !has(identity.traits.age)", "message": "no"}]);
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": rule})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let email = format!("grace.{}@team-a.example", scene.namespace);
    let spec = json!({"schemaID": "customer", "traits": {"email": email}});
    scene.identity_in(&tenant, "grace", spec.clone()).await;
    let grace = scene.ready_in(&tenant, "grace").await;
    let token = scene.logged_in(&grace, &email).await;
    let elsewhere = format!("hopper.{}@team-b.example", scene.namespace);
    let own = json!({"email": elsewhere, "name": {"first": "Grace"}, "newsletter": true});
    scene.kratos.change_own_traits(&token, &own).await.expect("people change their own traits");
    scene.count_from_now();
    let asked = scene.request_reconcile_in(&tenant, "grace").await;
    assert_eq!(reason_of(&asked, "Stalled", "True").as_deref(), Some("NotPermitted"));
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.in_kratos(&grace).await.traits, own);
}

#[tokio::test]
async fn a_manifest_that_breaks_the_rules_itself_still_takes_away() {
    let escaped = escaped(json!({})).await;
    let Escaped { scene, tenant, .. } = &escaped;
    let wrong = json!({"email": format!("ada.{}@team-c.example", scene.namespace)});
    escaped.wants(json!({"traits": wrong, "state": "Inactive"})).await;
    escaped.is_locked_out().await;
    escaped.wants(json!({"traits": wrong, "state": "Active"})).await;
    scene.stalled_in(tenant, "ada", "NotPermitted").await;
    assert_eq!(escaped.in_kratos().await.state, State::Inactive, "it gives nothing");
}

#[tokio::test]
async fn rules_that_cant_be_asked_keep_nobody_logged_in() {
    let escaped = escaped(json!({})).await;
    let scene = &escaped.scene;
    let rules = json!([{"expression": "identity.", "message": "no"}]);
    let spec = scene.instance_spec(json!({"allowedNamespaces": {"from": "All"}, "rules": rules}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    let message = scene.stalled_in(&escaped.tenant, "ada", "NotPermitted").await;
    assert!(message.contains("is wrong"), "{message}");
    escaped.wants(json!({"state": "Inactive"})).await;
    let message = escaped.is_locked_out().await;
    assert!(message.contains("is wrong"), "{message}");
    // Nor do they let anybody in again, which is said.
    escaped.wants(json!({"state": "Active"})).await;
    let is_told = |ada: &KratosIdentity| {
        let message = message_of(ada, "Stalled");
        (message.contains("is wrong") && message.ends_with("stays inactive until then")).then_some(())
    };
    scene.until_in(&escaped.tenant, "ada", "it is said that she stays inactive", is_told).await;
}

#[tokio::test]
async fn where_nothing_may_be_changed_nothing_is() {
    let escaped = escaped(json!({})).await;
    let Escaped { scene, tenant, .. } = &escaped;
    let takes = json!({"state": "Inactive", "actions": {"revokeSessions": {"token": "one"}}});
    let untouched = async |what: &str| {
        assert_eq!(scene.kratos_writes(), 0, "{what}: {:?}", scene.proxy.counts());
        assert_eq!(escaped.in_kratos().await.state, State::Active, "{what}");
        assert!(escaped.is_logged_in().await, "{what}");
    };
    for held in [json!({"mode": "Observe"}), json!({"suspend": true})] {
        let mut changes = takes.clone();
        merge(&mut changes, held.clone());
        scene.count_from_now();
        escaped.wants(changes).await;
        scene.request_reconcile_in(tenant, "ada").await;
        untouched(&held.to_string()).await;
    }
    // An instance that is only observed; then a namespace that isn't admitted any more.
    scene
        .apply_instance(
            &scene.namespace,
            "default",
            scene.instance_spec(json!({
                "allowedNamespaces": {"from": "All"}, "rules": [{"expression": DOMAIN, "message": "other domains are others'"}], "mode": "Observe",
            })),
        )
        .await;
    scene.instance_ready("default").await;
    escaped.wants(takes.clone()).await;
    scene.request_reconcile_in(tenant, "ada").await;
    untouched("an instance in Observe").await;
    scene.instance(json!({"rules": [{"expression": DOMAIN, "message": "other domains are others'"}]})).await;
    scene.count_from_now();
    scene.request_reconcile_in(tenant, "ada").await;
    let message = scene.stalled_in(tenant, "ada", "NotPermitted").await;
    assert!(message.contains("doesn't admit namespace"), "{message}");
    assert_eq!(scene.proxy.counts(), [].into());
    untouched("consent withdrawn").await;
}

#[tokio::test]
async fn whatever_else_is_wrong_whoever_is_managed_is_locked_out() {
    let scene = Scene::settled().await;
    let email = |name: &str| format!("{name}@{}.example", scene.namespace);
    let spec = |name: &str, changes: Value| {
        let mut spec = json!({"schemaID": "customer", "traits": {"email": email(name)}});
        merge(&mut spec, changes);
        spec
    };
    scene.identity("taken", spec("taken", json!({}))).await;
    scene.ready("taken").await;
    let last = json!({"credentials": {"absent": ["Password"]}});
    let adopts = json!({"adoption": {"policy": "IfUnowned", "identifier": email("nobody")}});
    let secret = json!({"traitsFrom": [{"path": "/age", "secretKeyRef": {"name": "nobody", "key": "age"}}]});
    for (name, wrong, reason) in [
        ("conflict", json!({"traits": {"email": email("taken")}}), "IdentityConflict"),
        ("traits", json!({"traits": {"age": -1}}), "TraitsRejected"),
        ("schema", json!({"schemaID": "nobody"}), "SchemaNotFound"),
        ("password", last, "UnsupportedByServer|InvalidSpec"),
        ("secret", secret, "SecretNotReady"),
        ("adoption", adopts, "Reconciled"),
    ] {
        scene.identity(name, spec(name, json!({}))).await;
        let resource = scene.ready(name).await;
        let token = scene.logged_in(&resource, &email(name)).await;
        let mut changes = wrong;
        merge(&mut changes, json!({"state": "Inactive"}));
        if name == "schema" {
            // What fails is tried again by itself, although the rest waits for somebody.
            scene.proxy.on(CHANGE).times(2).answer(Answer::status(500));
        }
        scene.identity(name, spec(name, changes)).await;
        let is_inactive = |resource: &KratosIdentity| {
            let is_current = resource.status.as_ref()?.observed_generation == resource.metadata.generation;
            (is_current && resource.status.as_ref()?.state == Some(IdentityState::Inactive)).then_some(())
        };
        let resource = scene.until(name, "inactive", is_inactive).await;
        let found = ["Stalled", "Reconciling", "Ready"].iter().find_map(|type_| reason_of(&resource, type_, "True"));
        assert!(reason.split('|').any(|reason| found.as_deref() == Some(reason)), "{name}: {found:?}");
        assert_eq!(scene.in_kratos(&resource).await.state, State::Inactive, "{name}");
        assert!(!scene.is_logged_in(&token).await, "{name}");
    }
    let failed = scene.proxy.seen().into_iter().filter(|seen| seen.label == CHANGE && seen.status == Some(500));
    assert_eq!(failed.count(), 2, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_or_a_write_that_always_fails_keeps_nobody_logged_in() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": "1s"})).await;
    scene.settle().await;
    let email = format!("ada@{}.example", scene.namespace);
    let mut spec = json!({"schemaID": "customer", "traits": {"email": email}});
    scene.identity("ada", spec.clone()).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, &email).await;
    // The change as a whole fails each time; what only takes away is asked for by itself.
    let fails =
        Answer::status(500).json(&json!({"error": {"code": 500, "status": "Internal Server Error", "message": "no"}}));
    scene.proxy.on("PUT /admin/identities/{id}").answer(fails);
    spec["state"] = json!("Inactive");
    spec["credentials"] = json!({"oidc": [{"provider": "google", "subject": format!("ada-{}", scene.namespace)}]});
    scene.identity("ada", spec).await;
    let locked_out = eventually("she is locked out", WITHIN.min(Duration::from_secs(30)), async || {
        (scene.in_kratos(&ada).await.state == State::Inactive && !scene.is_logged_in(&token).await).then_some(())
    });
    locked_out.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn what_is_done_although_the_rest_can_not_be_shows_and_undoing_it_corrects_no_drift() {
    let scene = Scene::settled().await;
    let email = format!("ada@{}.example", scene.namespace);
    let sound = json!({"schemaID": "customer", "traits": {"email": email}, "state": "Active"});
    let with = |changes: Value| {
        let mut spec = sound.clone();
        merge(&mut spec, changes);
        spec
    };
    scene.identity("ada", sound.clone()).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, &email).await;
    let wrong = json!({"traits": {"age": -1}, "actions": {"revokeSessions": {"token": "one"}}});
    scene.identity("ada", with(wrong.clone())).await;
    let message = scene.stalled("ada", "TraitsRejected").await;
    assert!(message.contains("revokeSessions is done all the same"), "{message}");
    assert!(!scene.is_logged_in(&token).await);
    let again = scene.request_reconcile("ada").await;
    let actions = again.status.as_ref().and_then(|status| status.actions.clone()).unwrap_or_default();
    assert!(actions.revoke_sessions.is_some_and(|done| done.completed_at.is_some()));
    assert_eq!(message_of(&again, "Ready"), message, "it doesn't change from look to look");
    scene.event(&ada, "SessionsEnded").await;

    let mut locked = wrong;
    merge(&mut locked, json!({"state": "Inactive"}));
    scene.identity("ada", with(locked)).await;
    let message = scene.stalled("ada", "TraitsRejected").await;
    assert!(message.contains("inactive all the same"), "{message}");
    let locked = scene.request_reconcile("ada").await;
    assert_eq!(locked.status.as_ref().and_then(|status| status.state), Some(IdentityState::Inactive));

    // As it was before: what the lock-out did is undone by whoever did it.
    scene.identity("ada", sound.clone()).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.state, State::Active);
    scene.event(&ada, "IdentityActivated").await;
    let reasons: Vec<_> = scene.events(&ada).await.into_iter().map(|(reason, _)| reason).collect();
    assert!(!reasons.iter().any(|reason| reason == "DriftCorrected"), "{reasons:?}");
    // Whoever is let be inactive by a manifest that doesn't say so any more is told.
    scene.identity("ada", with(json!({"state": "Inactive"}))).await;
    scene.ready("ada").await;
    let mut silent = sound.clone();
    silent.as_object_mut().expect("a spec").remove("state");
    scene.identity("ada", silent).await;
    let ada = scene.ready("ada").await;
    let message = message_of(&ada, "Ready");
    assert!(message.contains("the operator leaves the state as it is: Inactive"), "{message}");
    assert_eq!(scene.in_kratos(&ada).await.state, State::Inactive);
}
