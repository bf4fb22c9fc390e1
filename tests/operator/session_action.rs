//! `revokeAll`: once per token, to the end, whatever happens in between, and nobody who logged in later.

use kratos_operator::api::KratosSessionPolicy;
use serde_json::{Value, json};

use crate::policing::{END, counts};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

fn revoke_all(token: &str) -> Value {
    json!({
        "identities": {"all": true}, "interval": "1h",
        "actions": {"revokeAll": {"token": token, "reason": "credential leak"}},
    })
}

fn done(policy: &KratosSessionPolicy, token: &str) -> Option<()> {
    let action = policy.status.as_ref()?.actions.as_ref()?.revoke_all.as_ref()?;
    (action.token.as_deref() == Some(token) && action.completed_at.is_some()).then_some(())
}

#[tokio::test]
async fn every_session_of_before_ends_once_and_later_ones_stay() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let before = [scene.log_in("ada@example.com").await, scene.log_in("ada@example.com").await];
    scene.try_policy_in(&scene.namespace, "incident", revoke_all("one")).await.expect("it is accepted");
    let policy = scene.policy_until(&scene.namespace, "incident", "it is done", |policy| done(policy, "one")).await;
    assert_eq!(scene.alive(&[&before[0], &before[1]]).await, [false, false]);
    assert_eq!(counts(&policy), [0, 0, 2, 0, 0]);
    let note = scene.policy_event(&policy, "AllRevoked").await;
    assert!(note.starts_with("revokeAll (credential leak): no session is left that began by "), "{note}");
    let later = scene.log_in("ada@example.com").await;
    scene.run("incident").await;
    assert!(scene.is_logged_in(&later).await, "not again by the same token");
    scene.try_policy_in(&scene.namespace, "incident", revoke_all("two")).await.expect("it is accepted");
    scene.policy_until(&scene.namespace, "incident", "it is done", |policy| done(policy, "two")).await;
    assert!(!scene.is_logged_in(&later).await);
}

/// More sessions than are on a page, and an operator that is killed among them.
#[tokio::test]
async fn killed_in_the_middle_of_a_thousand_it_goes_on_and_spares_who_logged_in_since() {
    const SESSIONS: usize = 1100;
    let mut scene = Scene::own().await.with_instance().await;
    let emails: Vec<_> = (0..20).map(|number| format!("person-{number}@example.com")).collect();
    for email in &emails {
        scene.person(email).await;
    }
    let began = std::time::Instant::now();
    let tokens = scene.many_logins(&emails, SESSIONS).await;
    println!("{SESSIONS} logins took {:?}", began.elapsed());
    // A rule that names more than a page shows, and more than may be.
    let mut observing = json!({
        "identities": {"all": true}, "interval": "1h", "mode": "Observe",
        "rules": [{"name": "one-each", "maxConcurrent": 1, "action": "Revoke"}],
    });
    let policy = scene.policy("few", observing.clone()).await;
    let expected = i64::try_from(SESSIONS).unwrap();
    assert_eq!(counts(&policy), [expected, expected - 20, 0, 0, 0]);
    observing["suspend"] = json!(true);
    scene.try_policy_in(&scene.namespace, "few", observing).await.expect("it is accepted");

    scene.proxy.reset();
    scene.try_policy_in(&scene.namespace, "incident", revoke_all("one")).await.expect("it is accepted");
    let under_way = eventually("some have ended", WITHIN, async || (scene.proxy.count(END) >= 200).then_some(()));
    under_way.await.expect("it is under way");
    scene.operator().kill();
    let left = scene.active_sessions().await;
    assert!(left > 0 && left < SESSIONS, "{left}");
    let later = scene.log_in(&emails[0]).await;
    scene.operator().restart().expect("it starts");
    let policy = scene.policy_until(&scene.namespace, "incident", "it is done", |policy| done(policy, "one")).await;
    assert_eq!(scene.active_sessions().await, 1);
    assert!(scene.is_logged_in(&later).await);
    assert!(!scene.is_logged_in(&tokens[0]).await && !scene.is_logged_in(&tokens[SESSIONS - 1]).await);
    let ended = counts(&policy)[2];
    assert!(ended > 0 && ended <= i64::try_from(left).unwrap(), "{ended} of {left}");
}
