//! How policies run: when, how far, within which limits, and what they do about bad input and a Kratos that goes away.

use std::sync::atomic::{AtomicUsize, Ordering};

use kratos_operator::api::KratosSessionPolicy;
use kratos_operator::kratos::PatchOperation;
use serde_json::{Value, json};

use crate::policing::{END, LIST, about_all, by_rule, condition_of, counts, everything, whose};
use crate::scene::{Scene, WITHIN, merge};
use crate::testenv::process::eventually;

fn with(mut spec: Value, changes: Value) -> Value {
    merge(&mut spec, changes);
    spec
}

#[tokio::test]
async fn who_only_looks_counts_and_changes_nothing() {
    let scene = Scene::policing().await;
    let ada = scene.person("ada@example.com").await;
    let token = scene.log_in("ada@example.com").await;
    let action = json!({"mode": "Observe", "actions": {"revokeAll": {"token": "one"}}});
    let policy = scene.policy("all", with(about_all(everything()), action)).await;
    assert_eq!((counts(&policy), by_rule(&policy)), ([1, 1, 0, 0, 0], vec![("everything".into(), 1)]));
    assert_eq!(condition_of(&policy, "Ready").expect("Ready").0, "Observed");
    // Whose it is shows although no rule reads identities, and where one does.
    assert_eq!(whose(&policy), [(ada.id.clone(), 1)]);
    let schemas = json!({"mode": "Observe", "identities": {"schemaIDs": ["customer", "employe"]}});
    let policy = scene.policy("by-schema", with(about_all(everything()), schemas)).await;
    assert_eq!(whose(&policy), [(ada.id, 1)]);
    let (reason, message) = condition_of(&policy, "Ready").expect("Ready");
    assert!(reason == "Observed" && message.contains("Kratos serves no identity schema employe;"), "{message}");
    assert!(scene.is_logged_in(&token).await);
    // So it is where the instance only observes, and nothing at all is asked where the policy is suspended.
    scene.instance(json!({"mode": "Observe"})).await;
    let policy = scene.policy("all", with(about_all(everything()), json!({"limit": {"maxRevocations": 5}}))).await;
    assert_eq!(condition_of(&policy, "Ready").expect("Ready").0, "Observed");
    scene.instance(json!({})).await;
    scene.count_from_now();
    let suspended = with(about_all(everything()), json!({"suspend": true}));
    let policy = scene.policy("all", suspended).await;
    assert_eq!(condition_of(&policy, "Suspended").expect("Suspended").0, "Suspended");
    // The instance's change may have had it run before.
    if scene.is_logged_in(&token).await {
        assert_eq!(scene.proxy.count(END), 0);
    }
}

#[tokio::test]
async fn more_than_may_be_revoked_is_held_until_somebody_raises_the_limit() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(scene.log_in("ada@example.com").await);
    }
    let sessions: Vec<_> = sessions.iter().collect();
    let limited = |limit: u32| with(about_all(everything()), json!({"limit": {"maxRevocations": limit}}));
    let policy = scene.policy("all", limited(3)).await;
    let (reason, message) = condition_of(&policy, "Stalled").expect("it is held");
    assert_eq!(reason, "RevocationsHeld");
    assert!(
        message.contains("4 sessions are named") && message.contains("raise limit.maxRevocations to 4"),
        "{message}"
    );
    assert_eq!((counts(&policy), by_rule(&policy)), ([4, 4, 0, 0, 0], vec![("everything".into(), 4)]));
    assert_eq!((scene.alive(&sessions).await, scene.proxy.count(END)), (vec![true; 4], 0));
    scene.policy_event(&policy, "RevocationsHeld").await;
    let policy = scene.policy("all", limited(4)).await;
    assert_eq!((counts(&policy), condition_of(&policy, "Stalled")), ([4, 4, 4, 0, 0], None));
    assert_eq!(scene.alive(&sessions).await, [false; 4]);
    scene.log_in("ada@example.com").await;
    let policy = scene.run_in(&scene.namespace, "all").await;
    let total = |policy: &KratosSessionPolicy| policy.status.as_ref().and_then(|status| status.revoked_total);
    assert_eq!((counts(&policy), total(&policy)), ([1, 1, 1, 0, 0], Some(5)), "of all runs");
}

#[tokio::test]
async fn bad_expressions_get_a_clear_condition_and_other_policies_go_on() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    for (name, expression, words) in [
        ("uncompilable", "session.", "rule bad: the expression isn't valid CEL at column 9"),
        ("unknown", "person.name == ''", "names the variable \"person\""),
        ("deep", &*("(".repeat(1000) + "true" + &")".repeat(1000)), "nested too deeply"),
    ] {
        let rules = json!([{"name": "bad", "expression": expression, "action": "Revoke"}]);
        scene.try_policy_in(&scene.namespace, name, about_all(rules)).await.expect("it is accepted");
        let message = scene.policy_stalled(&scene.namespace, name, "InvalidSpec").await;
        assert!(message.contains(words), "{message}");
    }
    let token = scene.log_in("ada@example.com").await;
    let rules = json!([{"name": "text", "expression": "session.id", "action": "Revoke"}]);
    let policy = scene.policy("of-another-type", about_all(rules)).await;
    assert_eq!(counts(&policy), [1, 0, 0, 0, 1]);
    assert!(scene.is_logged_in(&token).await);
    scene.policy("good", about_all(everything())).await;
    assert!(!scene.is_logged_in(&token).await);
    // Names tell rules apart: the API server sees to it.
    let twice =
        json!([{"name": "a", "maxAge": "1h", "action": "Revoke"}, {"name": "a", "maxAge": "2h", "action": "Revoke"}]);
    let refused = scene.try_policy_in(&scene.namespace, "twice", about_all(twice)).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("duplicate entries")));
}

#[tokio::test]
async fn a_slow_expression_fails_on_few_sessions_and_ends_the_run_on_many() {
    let scene = Scene::policing().await;
    let ada = scene.person("ada@example.com").await;
    let items: Vec<_> = (0..400).map(|number| format!("item {number}")).collect();
    let value = json!({ "items": items });
    let operation = PatchOperation::Replace { path: "/metadata_public".into(), value };
    scene.admin().patch_identity(&ada.id, &[operation]).await.expect("it is changed");
    let token = scene.log_in("ada@example.com").await;
    let slow = "identity.metadata_public.items.all(a, identity.metadata_public.items.all(b, a + b != ''))";
    let rules = json!([{"name": "slow", "expression": slow, "action": "Revoke"}]);
    let policy = scene.policy("slow", about_all(rules)).await;
    assert_eq!(counts(&policy), [1, 0, 0, 0, 1]);
    scene.many_logins(&["ada@example.com".to_owned()], 100).await;
    scene.ask_for_a_run(&scene.namespace, "slow").await;
    let message = scene.policy_stalled(&scene.namespace, "slow", "InvalidSpec").await;
    assert!(message.contains("takes more work than it may"), "{message}");
    assert!(scene.is_logged_in(&token).await);
}

#[tokio::test]
async fn a_run_during_which_kratos_goes_away_says_how_far_it_came_and_the_next_one_goes_on() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let tokens = scene.many_logins(&["ada@example.com".to_owned()], 30).await;
    scene.proxy.on_where(|label, _| label == END && ENDED.fetch_add(1, Ordering::Relaxed) >= 10).refuse();
    // No connection either, from then on: the instance's probes fail too.
    scene.proxy.on_where(|label, _| label != END && ENDED.load(Ordering::Relaxed) > 10).refuse();
    scene.try_policy_in(&scene.namespace, "all", about_all(everything())).await.expect("it is accepted");
    let says = |policy: &KratosSessionPolicy| {
        condition_of(policy, "Reconciling").filter(|(_, it)| it.contains("were revoked"))
    };
    let policy = scene.policy_until(&scene.namespace, "all", "it says how far it came", says).await;
    let (reason, message) = condition_of(&policy, "Reconciling").expect("it was there");
    assert_eq!(reason, "KratosUnavailable");
    let [sessions, matched, revoked, _, failed] = counts(&policy);
    assert!((1..30).contains(&revoked), "{message}");
    assert!(message.contains(&format!("{revoked} of 30 sessions were revoked")), "{message}");
    assert_eq!((sessions, matched, failed), (30, 30, 1));
    let asked = scene.proxy.count(END) + scene.proxy.count(LIST);
    let before = scene.proxy.count("GET /admin/identities");
    let probed = eventually("probes fail", WITHIN, async || {
        (scene.proxy.count("GET /admin/identities") > before + 1).then_some(())
    });
    probed.await.expect("the instance is probed");
    assert_eq!(
        scene.proxy.count(END) + scene.proxy.count(LIST),
        asked,
        "nothing but probes goes to an instance that is down"
    );

    scene.proxy.clear_faults();
    let is_done = |policy: &KratosSessionPolicy| crate::policing::settled(policy).filter(|()| counts(policy)[0] < 30);
    let policy = scene.policy_until(&scene.namespace, "all", "the rest is done", is_done).await;
    assert_eq!(condition_of(&policy, "Ready").expect("Ready").0, "Reconciled");
    assert_eq!(scene.active_sessions().await, 0);
    assert!(!scene.is_logged_in(&tokens[0]).await);
}

#[tokio::test]
async fn single_revocations_that_fail_are_counted_and_tried_again() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let tokens = [scene.log_in("ada@example.com").await, scene.log_in("ada@example.com").await];
    let id = scene.session_of(&tokens[0]).await.id;
    let broken = format!("/admin/sessions/{id}");
    let fault = crate::testenv::faults::Answer::status(500).json(&json!({"error": {"code": 500, "message": "no"}}));
    scene.proxy.on_where(move |label, path| label == END && path == broken).times(3).answer(fault);
    let rules = json!([{"name": "aged", "maxAge": "100ms", "action": "Revoke"}]);
    scene.ages(&tokens[1], 1).await;
    scene.try_policy_in(&scene.namespace, "all", about_all(rules)).await.expect("it is accepted");
    let is_done = |policy: &KratosSessionPolicy| crate::policing::settled(policy);
    scene.policy_until(&scene.namespace, "all", "the rest is done", is_done).await;
    assert_eq!(scene.alive(&[&tokens[0], &tokens[1]]).await, [false, false]);
    assert!(scene.proxy.count(END) >= 4, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn policies_run_regularly_and_when_somebody_is_locked_out() {
    let scene = Scene::policing().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@example.com"}})).await;
    scene.ready("ada").await;
    scene.person("grace@example.com").await;
    let ends_inactive = json!({
        "identities": {"expression": "identity.state == 'inactive'"}, "interval": "1h",
        "rules": [{"name": "locked-out", "expression": "true", "action": "Revoke"}],
    });
    let policy = scene.policy("locked-out", ends_inactive).await;
    assert_eq!(counts(&policy), [0, 0, 0, 0, 0]);
    assert!(condition_of(&policy, "Ready").expect("Ready").1.contains("no session"));
    scene.count_from_now();
    scene
        .identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@example.com"}, "state": "Inactive"}))
        .await;
    let runs = eventually("it runs", WITHIN, async || (scene.proxy.count(LIST) >= 1).then_some(()));
    runs.await.expect("a run when somebody became inactive");

    let frequent = with(about_all(everything()), json!({"interval": "1s"}));
    scene.policy("frequent", frequent).await;
    let token = scene.log_in("grace@example.com").await;
    let ended = eventually("a later session ends", WITHIN, async || (!scene.is_logged_in(&token).await).then_some(()));
    ended.await.expect("by the next run");
}

#[tokio::test]
async fn sessions_of_people_that_kratos_has_as_inactive_can_be_named() {
    let scene = Scene::policing().await;
    let ada = scene.person("ada@example.com").await;
    scene.log_in("ada@example.com").await;
    let value = json!("inactive");
    let operation = PatchOperation::Replace { path: "/state".into(), value };
    scene.admin().patch_identity(&ada.id, &[operation]).await.expect("it is changed");
    let spec = with(
        about_all(everything()),
        json!({"identities": {"all": true, "expression": "identity.state == 'inactive'"}}),
    );
    let policy = scene.policy("inactive", spec).await;
    assert_eq!(counts(&policy), [1, 1, 1, 0, 0]);
    let operation = PatchOperation::Replace { path: "/state".into(), value: json!("active") };
    scene.admin().patch_identity(&ada.id, &[operation]).await.expect("it is changed");
    assert_eq!(scene.active_sessions().await, 0, "it doesn't come back to life with her");
}
