//! Who has a session policy run, and how soon: no crowd, no hasty interval and no long scan keeps anybody else from a run.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kratos_operator::api::KratosSessionPolicy;
use serde_json::{Value, json};

use crate::policing::{LIST, PASSWORD, about_all, condition_of, everything, settled};
use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

/// Policies of the crowd, and how long Kratos takes for each page of sessions.
const CROWD: usize = 200;
const SLOW: Duration = Duration::from_millis(500);
/// What a person who revokes everything waits at most.
const SOON: Duration = Duration::from_secs(10);

fn counting(interval: &str) -> Value {
    json!({"identities": {"all": true}, "interval": interval, "mode": "Observe", "rules": everything()})
}

/// With a tenant that has somebody who is logged in.
async fn with_tenant() -> (Scene, String) {
    let scene = Scene::policing().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "requestTimeout": "20s"})).await;
    let tenant = scene.other_namespace("crowd", &[]).await;
    let email = format!("tenant@{tenant}.example");
    scene.identity_in(&tenant, "tenant", json!({"schemaID": "customer", "traits": {"email": email}})).await;
    let resource = scene.ready_in(&tenant, "tenant").await;
    scene.give_password(&resource, PASSWORD).await;
    scene.log_in(&email).await;
    (scene, tenant)
}

/// Has all sessions revoked. Returns how long that took.
async fn revoke_all(scene: &Scene, token: &str) -> Duration {
    let mut spec = about_all(json!([]));
    spec["actions"] = json!({"revokeAll": {"token": token}});
    let begun = Instant::now();
    scene.policy("incident", spec).await;
    begun.elapsed()
}

#[tokio::test]
async fn an_administrators_revocation_waits_for_no_crowd_of_policies() {
    let (scene, tenant) = with_tenant().await;
    scene.person("ada@example.com").await;
    let ada = scene.log_in("ada@example.com").await;
    scene.proxy.on(LIST).delay(SLOW);
    let apply = |number: usize| {
        let (scene, tenant) = (&scene, tenant.as_str());
        async move { scene.try_policy_in(tenant, &format!("crowd-{number}"), counting("1s")).await.map(drop) }
    };
    let applied: Vec<_> = stream::iter((0..CROWD).map(apply)).buffer_unordered(8).collect().await;
    assert!(applied.iter().all(Result::is_ok), "{applied:?}");
    let runs = eventually("the crowd runs", WITHIN, async || (scene.proxy.count(LIST) > 4).then_some(()));
    runs.await.expect("it does");
    let took = revoke_all(&scene, "one").await;
    assert!(took < SOON, "{took:?}");
    assert!(!scene.is_logged_in(&ada).await);
    // Nor does a run that nobody asked for in a hurry.
    let begun = Instant::now();
    scene.run("incident").await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn scans_that_hang_keep_no_revocation_waiting() {
    let (scene, tenant) = with_tenant().await;
    scene.person("ada@example.com").await;
    let ada = scene.log_in("ada@example.com").await;
    let held = scene.proxy.on(LIST).times(4).hold_answer();
    for number in 0..6 {
        let name = format!("scan-{number}");
        scene.try_policy_in(&tenant, &name, counting("1h")).await.expect("it is accepted");
    }
    held.held_times(4).await;
    let took = revoke_all(&scene, "one").await;
    assert!(took < SOON, "{took:?}");
    assert!(!scene.is_logged_in(&ada).await);
    held.release();
    scene.policy_until(&tenant, "scan-5", "it has run", settled).await;
}

#[tokio::test]
async fn elsewhere_the_shortest_interval_is_thirty_seconds_and_a_condition_says_so() {
    let (scene, tenant) = with_tenant().await;
    let policy = scene.policy_in(&tenant, "hasty", counting("1s")).await;
    let (reason, message) = condition_of(&policy, "IntervalLimited").expect("it is said");
    assert_eq!(reason, "IntervalLimited");
    assert!(message.contains("spec.interval is 1s") && message.contains("every 30s"), "{message}");
    assert_eq!(condition_of(&policy, "Ready").expect("Ready").0, "Observed");

    let began = |policy: &KratosSessionPolicy| policy.status.as_ref()?.last_run.as_ref()?.started_at.clone();
    let first = began(&policy).expect("it has run");
    // Beside the instance it runs as often as it asks to, and meanwhile the other one doesn't.
    scene.policy("brisk", counting("1s")).await;
    for _ in 0..5 {
        let before = began(&scene.policies_in(&scene.namespace).get("brisk").await.expect("it is there"));
        let again = |policy: &KratosSessionPolicy| (began(policy) != before).then_some(());
        let policy = scene.policy_until(&scene.namespace, "brisk", "it runs again", again).await;
        assert_eq!(condition_of(&policy, "IntervalLimited"), None);
    }
    let policy = scene.policies_in(&tenant).get("hasty").await.expect("it is there");
    assert_eq!(began(&policy), Some(first.clone()), "not every second");
    // At once, though, where somebody changed it; and what was limited isn't said of one that isn't.
    let changed = Instant::now();
    let policy = scene.policy_in(&tenant, "hasty", counting("45s")).await;
    assert!(changed.elapsed() < SOON && began(&policy) != Some(first), "{:?}", changed.elapsed());
    assert_eq!(condition_of(&policy, "IntervalLimited"), None);
}

#[tokio::test]
async fn an_identity_that_is_toggled_costs_one_run_more_in_thirty_seconds() {
    let scene = Scene::policing().await;
    let state =
        |state: &str| json!({"schemaID": "customer", "traits": {"email": "toggled@example.com"}, "state": state});
    scene.identity("toggled", state("Active")).await;
    scene.ready("toggled").await;
    scene.person("ada@example.com").await;
    scene.log_in("ada@example.com").await;
    scene.policy("counted", counting("1h")).await;
    scene.count_from_now();
    let begun = Instant::now();
    let mut toggled = 0;
    while begun.elapsed() < Duration::from_secs(15) {
        for word in ["Inactive", "Active"] {
            scene.identity("toggled", state(word)).await;
            scene.ready("toggled").await;
        }
        toggled += 1;
    }
    assert!(toggled > 3, "{toggled}");
    assert_eq!(scene.proxy.count(LIST), 1, "the first one at once: {:?}", scene.proxy.counts());
    // What somebody asks for waits for nothing.
    let took = revoke_all(&scene, "one").await;
    assert!(took < SOON, "{took:?}");
    // And the last one isn't lost.
    let runs = eventually("it runs once more", WITHIN, async || {
        let runs = scene
            .proxy
            .seen()
            .into_iter()
            .filter(|seen| seen.label == LIST && seen.at > begun + Duration::from_secs(25));
        (runs.count() > 0).then_some(())
    });
    runs.await.expect("it does");
}
