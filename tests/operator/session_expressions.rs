//! Expressions that give no truth, or that no library should be asked about: each session that can't be judged is counted, the
//! policy says which rule is at fault, and whatever else it says is done.

use kratos_operator::api::KratosSessionPolicy;
use serde_json::{Value, json};

use crate::policing::{about_all, by_rule, condition_of, counts};
use crate::scene::Scene;

fn rules(expression: &str) -> Value {
    about_all(json!([
        {"name": "odd", "expression": expression, "action": "Revoke"},
        {"name": "old", "maxAge": "3s", "action": "Revoke"},
    ]))
}

fn ready(policy: &KratosSessionPolicy) -> (String, String) {
    condition_of(policy, "Ready").expect("it is Ready")
}

#[tokio::test]
async fn a_duration_that_is_none_leaves_its_sessions_alone_one_by_one() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let old = scene.log_in("ada@example.com").await;
    scene.ages(&old, 4).await;
    for (number, duration) in ["1h-2h", "99999999999999999999h", "--1h", "1e300h", "infs"].into_iter().enumerate() {
        let young = scene.log_in("ada@example.com").await;
        let expression = format!("now - timestamp(session.issued_at) > duration('{duration}')");
        // The session that is old enough ends by the other rule, if it is there still.
        let policy = scene.policy("odd", rules(&expression)).await;
        let ended = i64::from(number == 0);
        assert!(counts(&policy)[0] > 0, "{duration}: no session was looked at");
        assert_eq!(counts(&policy)[4], counts(&policy)[0], "{duration}: each of them is counted");
        assert_eq!(by_rule(&policy)[0], ("odd".into(), 0), "{duration}");
        assert!(by_rule(&policy)[1].1 >= ended, "{duration}");
        let (reason, message) = ready(&policy);
        assert!(reason == "Reconciled" && message.contains("couldn't be judged"), "{duration}: {message}");
        assert_eq!(scene.alive(&[&old, &young]).await, [false, true], "{duration}");
    }
}

#[tokio::test]
async fn an_expression_that_is_plainly_no_truth_is_refused_and_no_session_is_looked_at() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let token = scene.log_in("ada@example.com").await;
    scene.count_from_now();
    for expression in ["1", "'yes'", "session.id + 'x'", "session.devices.map(d, true)", "session.active && 'x'"] {
        scene.try_policy_in(&scene.namespace, "odd", rules(expression)).await.expect("it is accepted");
        let message = scene.policy_stalled(&scene.namespace, "odd", "InvalidSpec").await;
        assert_eq!(message, "spec.rules: rule odd: the expression gives something else than true or false; correct it");
    }
    assert_eq!(scene.kratos_requests(), 0, "{:?}", scene.proxy.counts());
    assert!(scene.is_logged_in(&token).await);
}

#[tokio::test]
async fn an_expression_that_turns_out_to_be_no_truth_is_an_invalid_spec_and_the_other_rules_go_on() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let old = scene.log_in("ada@example.com").await;
    scene.ages(&old, 4).await;
    let young = scene.log_in("ada@example.com").await;
    let policy = scene.policy("odd", rules("identity.traits.email")).await;
    let (reason, message) = condition_of(&policy, "Stalled").expect("it is at fault");
    assert_eq!(reason, "InvalidSpec");
    assert!(message.starts_with("the expression of rule odd: gives something else than true or false"), "{message}");
    assert!(message.contains("2 session(s) couldn't be judged") && !message.contains("ada@"), "{message}");
    assert_eq!((counts(&policy), by_rule(&policy)), ([2, 1, 1, 0, 2], vec![("odd".into(), 0), ("old".into(), 1)]));
    assert_eq!(scene.alive(&[&old, &young]).await, [false, true]);
    scene.policy_event(&policy, "InvalidSpec").await;

    let mut selecting = rules("true");
    selecting["identities"] = json!({"expression": "identity.traits.email"});
    let policy = scene.policy("odd", selecting).await;
    let (reason, message) = condition_of(&policy, "Stalled").expect("it is at fault");
    assert!(reason == "InvalidSpec" && message.starts_with("spec.identities.expression: gives"), "{message}");
    assert_eq!(counts(&policy), [1, 0, 0, 0, 1]);
    let policy = scene.policy("odd", rules("identity.traits.email == ''")).await;
    assert_eq!(ready(&policy).0, "Reconciled", "corrected");
}

#[tokio::test]
async fn one_persons_odd_trait_fails_their_session_and_nothing_else() {
    let scene = Scene::policing().await;
    for (name, public) in
        [("ada", json!({"leaver": true})), ("grace", json!({"leaver": "soon"})), ("linus", json!({"leaver": false}))]
    {
        let person = scene.person(&format!("{name}@example.com")).await;
        let operation =
            kratos_operator::kratos::PatchOperation::Replace { path: "/metadata_public".into(), value: public };
        scene.admin().patch_identity(&person.id, &[operation]).await.expect("it is changed");
    }
    let mut sessions = Vec::new();
    for name in ["ada", "grace", "linus"] {
        sessions.push(scene.log_in(&format!("{name}@example.com")).await);
    }
    let policy = scene
        .policy(
            "odd",
            about_all(json!([
                {"name": "leavers", "expression": "identity.metadata_public.leaver", "action": "Revoke"},
            ])),
        )
        .await;
    assert_eq!((counts(&policy), ready(&policy).0), ([3, 1, 1, 0, 1], "Reconciled".to_owned()));
    assert_eq!(scene.alive(&sessions.iter().collect::<Vec<_>>()).await, [false, true, true]);
}

#[tokio::test]
async fn revoking_all_says_of_how_many_nobody_can_tell() {
    let scene = Scene::policing().await;
    scene.person_with("customer", json!({"email": "ada@example.com", "age": 36})).await;
    scene.person("young@example.com").await;
    let (ada, young) = (scene.log_in("ada@example.com").await, scene.log_in("young@example.com").await);
    let policy = scene.policy("all", json!({
        "identities": {"expression": "duration(string(identity.traits.age) + 'h') > duration('1h')"}, "interval": "1h",
        "actions": {"revokeAll": {"token": "one"}},
    })).await;
    assert_eq!(scene.alive(&[&ada, &young]).await, [false, true]);
    assert_eq!(counts(&policy)[2..], [1, 0, 1]);
    let actions =
        policy.status.as_ref().and_then(|status| status.actions.clone()).and_then(|actions| actions.revoke_all);
    let message = actions.and_then(|action| action.message).expect("a message");
    assert!(message.contains("but for 1 of which nobody can tell"), "{message}");
}
