//! What each rule ends and what it leaves, proven by whoami and by `expires_at`.

use kratos_operator::api::KratosSessionPolicy;
use serde_json::{Value, json};

use crate::policing::{LIST, about_all, by_rule, condition_of, counts};
use crate::scene::Scene;
use crate::testenv::kratos::Options;

fn revoke(name: &str, conditions: Value) -> Value {
    let mut rule = json!({"name": name, "action": "Revoke"});
    crate::scene::merge(&mut rule, conditions);
    rule
}

fn ready(policy: &KratosSessionPolicy) -> (String, String) {
    condition_of(policy, "Ready").expect("it is Ready")
}

#[tokio::test]
async fn sessions_that_are_too_old_end_and_nothing_but_the_sessions_is_asked_for() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let old = scene.log_in("ada@example.com").await;
    scene.ages(&old, 10).await;
    let young = scene.log_in("ada@example.com").await;
    scene.count_from_now();
    let policy = scene.policy("ages", about_all(json!([revoke("too-old", json!({"maxAge": "10s"}))]))).await;
    assert_eq!(scene.alive(&[&old, &young]).await, [false, true]);
    assert_eq!((counts(&policy), by_rule(&policy)), ([2, 1, 1, 0, 0], vec![("too-old".into(), 1)]));
    assert_eq!(ready(&policy), ("Reconciled".into(), "the rules were applied".into()));
    assert_eq!(scene.kratos_requests(), 2, "a page and an end: {:?}", scene.proxy.counts());
    let listed = scene.proxy.seen().into_iter().find(|seen| seen.label == LIST).expect("a listing");
    assert!(!listed.parameters.contains(&"expand".to_owned()), "{listed:?}");
    assert_eq!(scene.kubernetes_writes(), ["PATCH kratossessionpolicies/status"], "one write a run");
    let note = scene.policy_event(&policy, "SessionsRevoked").await;
    assert_eq!(note, "1 session(s) were ended, of 2 looked at; named by rule: too-old 1");
}

#[tokio::test]
async fn the_newest_sessions_stay_also_where_somebody_logs_in_or_goes_meanwhile() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let grace = scene.person("grace@example.com").await;
    let mut ada = Vec::new();
    for _ in 0..5 {
        ada.push(scene.log_in("ada@example.com").await);
    }
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(scene.log_in("grace@example.com").await);
    }
    let held = scene.proxy.on_with(LIST, "expand").once().hold_answer();
    let spec = about_all(json!([revoke("few-devices", json!({"maxConcurrent": 3}))]));
    scene.try_policy_in(&scene.namespace, "few", spec).await.expect("it is accepted");
    held.held().await;
    // After the page was made: one more login, two sessions that end by themselves, and somebody who is gone.
    ada.push(scene.log_in("ada@example.com").await);
    for ended in [&ada[3], &ada[4]] {
        let id = scene.session_of(ended).await.id;
        scene.admin().disable_session(&id).await.expect("it ends");
    }
    scene.admin().delete_identity(&grace.id).await.expect("she is gone");
    scene.person("new@example.com").await;
    let newcomer = scene.log_in("new@example.com").await;
    held.release();
    let policy = scene.policy_until(&scene.namespace, "few", "it has run", crate::policing::settled).await;
    // Of ada's live ones the three newest stay: the page said that the oldest of these was beyond.
    assert_eq!(scene.alive(&ada.iter().collect::<Vec<_>>()).await, [false, true, true, false, false, true]);
    assert!(scene.is_logged_in(&newcomer).await);
    assert_eq!(counts(&policy), [9, 3, 1, 0, 0], "grace's is gone with her");
    scene.log_in("ada@example.com").await;
    let policy = scene.run("few").await;
    assert_eq!(counts(&policy), [5, 1, 1, 0, 0]);
    assert_eq!(scene.alive(&[&ada[1], &ada[2]]).await, [false, true]);
}

#[tokio::test]
async fn a_missing_second_factor_ends_sessions_of_those_who_have_one() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    scene.person("grace@example.com").await;
    let enrolling = scene.log_in("ada@example.com").await;
    let codes = scene.kratos.enrol_lookup_secret(&enrolling).await.expect("codes");
    let both = scene.log_in("ada@example.com").await;
    scene.kratos.step_up(&both, &codes[0]).await.expect("the second factor");
    let one = scene.log_in("ada@example.com").await;
    let unenrolled = scene.log_in("grace@example.com").await;
    let sessions = [&enrolling, &both, &one, &unenrolled];

    let rule = |changes: Value| {
        let mut rule = revoke("second-factor", json!({"minimumAssurance": "AAL2"}));
        crate::scene::merge(&mut rule, changes);
        about_all(json!([rule]))
    };
    scene.policy("factors", rule(json!({"gracePeriod": "1h"}))).await;
    assert_eq!(scene.alive(&sessions).await, [true; 4], "there is time yet");
    let policy = scene.policy("factors", rule(json!({}))).await;
    assert_eq!(scene.alive(&sessions).await, [true, true, false, true]);
    assert_eq!(counts(&policy), [4, 1, 1, 0, 0]);
    let parameters: Vec<_> =
        scene.proxy.seen().into_iter().filter(|seen| seen.label == "GET /admin/identities").collect();
    assert!(parameters.iter().any(|seen| seen.parameters.contains(&"include_credential".to_owned())));
    let policy = scene.policy("factors", rule(json!({"unenrolled": "Revoke"}))).await;
    assert_eq!(scene.alive(&sessions).await, [true, true, false, false]);
    assert_eq!(counts(&policy), [3, 1, 1, 0, 0]);
}

#[tokio::test]
async fn sessions_from_elsewhere_end_only_where_addresses_are_trusted_and_known() {
    let scene = Scene::policing().await;
    scene.person("ada@example.com").await;
    let mut sessions = Vec::new();
    for from in ["203.0.113.7", "198.51.100.9", "2001:db8::7", "2001:db9::7", "10.1.2.3"] {
        let headers = [("X-Forwarded-For", from)];
        let token = scene.kratos.login_from(&headers, "ada@example.com", crate::policing::PASSWORD).await;
        sessions.push(token.expect("Kratos answers").expect("a session"));
    }
    // Stored as ip:port.
    sessions.push(scene.log_in("ada@example.com").await);
    let sessions: Vec<_> = sessions.iter().collect();
    let networks = json!({"allowedNetworks": ["203.0.113.0/24", "2001:db8::/32", "127.0.0.0/8"]});
    let spec = about_all(json!([revoke("office-only", networks)]));
    let policy = scene.policy("office", spec.clone()).await;
    let (reason, message) = condition_of(&policy, "Stalled").expect("it isn't permitted");
    assert_eq!(reason, "NotPermitted");
    assert!(message.contains("trustClientAddress"), "{message}");
    assert_eq!(scene.alive(&sessions).await, [true; 6]);

    scene.instance(json!({"trustClientAddress": true})).await;
    // It runs by itself when its instance changes.
    let has_run = |policy: &KratosSessionPolicy| policy.status.as_ref()?.last_run.as_ref().map(drop);
    let policy = scene.policy_until(&scene.namespace, "office", "it has run", has_run).await;
    assert_eq!(scene.alive(&sessions).await, [true, false, true, false, true, true]);
    assert_eq!(counts(&policy), [6, 2, 2, 0, 1], "the private address was dropped: nobody knows it");
    let (reason, message) = ready(&policy);
    assert!(reason == "Reconciled" && message.contains("1 session(s) couldn't be judged"), "{message}");
    for address in ["203.0.113.7", "198.51.100.9", "ada@example.com"] {
        assert!(!serde_json::to_string(&policy.status).unwrap().contains(address), "the status shows {address}");
    }
}

#[tokio::test]
async fn expressions_name_sessions_and_those_that_fail_leave_them_alone() {
    let scene = Scene::policing().await;
    scene.person_with("customer", json!({"email": "ada@example.com", "age": 36})).await;
    scene.person("young@example.com").await;
    let agent = [("User-Agent", "curl/8.1")];
    let curl = scene.kratos.login_from(&agent, "ada@example.com", crate::policing::PASSWORD).await;
    let curl = curl.expect("Kratos answers").expect("a session");
    let browser = scene.log_in("ada@example.com").await;
    let unknown_age = scene.log_in("young@example.com").await;
    let expression = |text: &str| about_all(json!([revoke("anything", json!({ "expression": text }))]));
    let by_agent = "session.devices.exists(d, d.user_agent.contains('curl'))";
    scene.policy("anything", expression(by_agent)).await;
    assert_eq!(scene.alive(&[&curl, &browser, &unknown_age]).await, [false, true, true]);
    let policy = scene.policy("anything", expression("identity.traits.age > 40")).await;
    assert_eq!(counts(&policy), [2, 0, 0, 0, 1]);
    let policy = scene.policy("anything", expression("identity.traits.age > 30")).await;
    assert_eq!(scene.alive(&[&browser, &unknown_age]).await, [false, true]);
    assert_eq!(counts(&policy), [2, 1, 1, 0, 1]);
    let recent = "now - timestamp(session.issued_at) < duration('1h') && identity.state == 'active'";
    scene.policy("anything", expression(recent)).await;
    assert!(!scene.is_logged_in(&unknown_age).await);
}

#[tokio::test]
async fn conditions_of_one_rule_must_all_hold_and_rules_add_up() {
    let scene = Scene::policing().await;
    for person in ["ada", "grace"] {
        scene.person(&format!("{person}@example.com")).await;
    }
    let ada = [scene.log_in("ada@example.com").await, scene.log_in("ada@example.com").await];
    let grace = [scene.log_in("grace@example.com").await, scene.log_in("grace@example.com").await];
    let of_grace = "identity.traits.email == 'grace@example.com'";
    let rules = json!([
        revoke("one-of-grace", json!({"maxConcurrent": 1, "expression": of_grace})),
        revoke("ancient", json!({"maxAge": "8760h"})),
    ]);
    let policy = scene.policy("both", about_all(rules)).await;
    assert_eq!(scene.alive(&[&ada[0], &ada[1], &grace[0], &grace[1]]).await, [true, true, false, true]);
    assert_eq!(by_rule(&policy), [("one-of-grace".into(), 1), ("ancient".into(), 0)]);
    let rules =
        json!([revoke("one-each", json!({"maxConcurrent": 1})), revoke("grace", json!({ "expression": of_grace })),]);
    // Another policy over the same sessions.
    let policy = scene.policy("either", about_all(rules)).await;
    assert_eq!(scene.alive(&[&ada[0], &ada[1], &grace[1]]).await, [false, true, false]);
    assert_eq!(
        (counts(&policy), by_rule(&policy)),
        ([3, 2, 2, 0, 0], vec![("one-each".into(), 1), ("grace".into(), 1)])
    );
    assert_eq!(counts(&scene.run("both").await), [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn live_sessions_go_on_until_they_are_too_old_and_only_what_went_on_is_counted() {
    let options = Options { session_lifespan: "1h".into(), ..Options::default() };
    let scene = Scene::with_own_kratos(options).await.with_instance().await;
    scene.person("kiosk@example.com").await;
    let old = scene.log_in("kiosk@example.com").await;
    scene.ages(&old, 15).await;
    let kiosk = scene.log_in("kiosk@example.com").await;
    let named = scene.log_in("kiosk@example.com").await;
    let dead = scene.log_in("kiosk@example.com").await;
    scene.admin().disable_session(&scene.session_of(&dead).await.id).await.expect("it ends");
    let ends = async |token: &str| scene.session_of(token).await.expires_at.expect("a time");
    let (old_ends, kiosk_ends) = (ends(&old).await, ends(&kiosk).await);
    let id = scene.session_of(&named).await.id;
    let spec = |expires_within: &str, max_age: &str| {
        about_all(json!([
            {"name": "keep", "expiresWithin": expires_within, "maxAge": max_age, "action": "Extend"},
            revoke("named", json!({"expression": format!("session.id == '{id}'")})),
        ]))
    };
    let policy = scene.policy("kiosks", spec("30m", "15s")).await;
    assert_eq!((counts(&policy), ends(&kiosk).await), ([3, 1, 1, 0, 0], kiosk_ends), "they end late enough");
    assert!(!scene.is_logged_in(&named).await);
    let policy = scene.policy("kiosks", spec("2h", "15s")).await;
    assert_eq!(counts(&policy), [2, 1, 0, 1, 0], "one is too old to go on");
    assert!(ends(&kiosk).await > kiosk_ends && ends(&old).await == old_ends);
    scene.policy_event(&policy, "SessionsExtended").await;
    let kiosk_ends = ends(&kiosk).await;
    let policy = scene.policy("kiosks", spec("2h", "1h")).await;
    assert_eq!(counts(&policy), [2, 2, 0, 2, 0]);
    assert!(ends(&kiosk).await > kiosk_ends && ends(&old).await > old_ends);
    assert!(!scene.is_logged_in(&dead).await);

    // Where Kratos says yes and does nothing, nothing is counted.
    scene
        .kratos
        .restart_with(|options| options.earliest_possible_extend = Some("1s".into()))
        .await
        .expect("it restarts");
    let before = ends(&kiosk).await;
    let policy = scene.run("kiosks").await;
    assert_eq!((counts(&policy), ends(&kiosk).await), ([2, 2, 0, 0, 0], before));
}
