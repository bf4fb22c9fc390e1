//! Identities that hold what can't be read: people who register with it, and managed ones that came to have it. They stop
//! nobody else, and whoever owns one is told.

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::{Identity, State};
use serde_json::{Value, json};

use crate::policing::{PASSWORD, about_all, counts};
use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

const LIST: &str = "GET /admin/identities";
const READ: &str = "GET /admin/identities/{id}";

/// What can't be read, as Kratos keeps it.
fn odd() -> [(&'static str, Vec<u8>); 4] {
    let deep = [br#"{"a":"#.repeat(200), b"1".to_vec(), b"}".repeat(200)].concat();
    [("number", b"1e400".to_vec()), ("text", br#""\ud800""#.to_vec()), ("bytes", b"\"\xff\"".to_vec()), ("depth", deep)]
}

fn email(name: &str) -> String {
    format!("{name}@odd.example")
}

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email(name)}})
}

/// Traits of which one, under a key of the person's choice, can't be read.
fn traits(name: &str, content: &[u8]) -> Vec<u8> {
    [format!(r#"{{"email":"{}","name":{{"hush-hush":"#, email(name)).as_bytes(), content, b"}}"].concat()
}

/// People who registered with each of it, which begins a session, and logged in, which begins another.
async fn strangers(scene: &Scene) -> Vec<String> {
    let mut tokens = Vec::new();
    for (kind, content) in odd() {
        let name = format!("stranger-{kind}");
        scene.kratos.register(&traits(&name, &content), PASSWORD).await.expect("anybody can register");
        tokens.push(scene.log_in(&email(&name)).await);
    }
    tokens
}

/// Has the person of a resource change their own traits to what can't be read. Returns their session's token.
async fn turn_odd(scene: &Scene, resource: &KratosIdentity, name: &str, content: &[u8]) -> String {
    let token = scene.logged_in(resource, &email(name)).await;
    scene.kratos.change_own_traits_to_bytes(&token, &traits(name, content)).await.expect("people change their traits");
    assert!(scene.in_kratos(resource).await.traits.opaque().is_some(), "Kratos keeps it");
    token
}

/// Has an administrator correct it, which people can't do themselves where Kratos fails over it.
async fn correct(scene: &Scene, resource: &KratosIdentity, name: &str) {
    let there = scene.in_kratos(resource).await;
    let body = json!({
        "schema_id": "customer", "state": "active", "traits": {"email": email(name)},
        "metadata_admin": there.metadata_admin,
    });
    let path = format!("admin/identities/{}", there.id);
    let (status, answer) = scene.kratos.raw(reqwest::Method::PUT, &path, &body).await.expect("Kratos answers");
    assert!(status.is_success(), "{answer}");
}

async fn by_id(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

async fn gone_from_kratos(scene: &Scene, id: &str) {
    let gone = eventually("the identity goes", WITHIN, async || by_id(scene, id).await.is_none().then_some(()));
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn whoever_registers_with_what_cannot_be_read_stops_nobody_across_a_restart() {
    let scene = Scene::own().await;
    let tokens = strangers(&scene).await;
    let mut scene = scene.with_instance().await;
    scene.identity("ada", customer("ada")).await;
    let ada = scene.ready("ada").await;
    let mut going = customer("going");
    going["deletion"] = json!({"gracePeriod": "8s"});
    scene.identity("going", going).await;
    let going = scene.ready("going").await;
    scene.delete("going").await;
    scene.gone("going").await;

    scene.operator().kill();
    scene.operator().restart().expect("it starts");
    // A create, the end of a grace period and a revocation, each by a process that has to list first.
    scene.identity("grace", customer("grace")).await;
    scene.ready("grace").await;
    gone_from_kratos(&scene, &id_of(&going)).await;
    let age = json!([{"name": "old", "maxAge": "1s", "action": "Revoke"}]);
    let token = scene.logged_in(&ada, &email("ada")).await;
    scene.ages(&token, 2).await;
    let policy = scene.policy("old", about_all(age)).await;
    assert_eq!(counts(&policy), [9, 9, 9, 0, 0]);
    let all: Vec<_> = tokens.iter().chain([&token]).collect();
    assert_eq!(scene.alive(&all).await, [false; 5]);
    let log = scene.whole_log();
    assert!(!log.contains("hush-hush") && !log.contains("stranger-"), "nothing of theirs shows");
}

#[tokio::test]
async fn policies_count_sessions_of_whom_cannot_be_read_as_failed_where_rules_look_there() {
    let scene = Scene::policing().await;
    strangers(&scene).await;
    scene.person(&email("ada")).await;
    let ada = scene.log_in(&email("ada")).await;
    let rule = |expression: &str| about_all(json!([{"name": "rule", "expression": expression, "action": "Revoke"}]));
    let policy = scene.policy("looks", rule("identity.traits.email.startsWith('ada@')")).await;
    assert_eq!(counts(&policy), [9, 1, 1, 0, 8], "eight can't be told, the ninth is revoked");
    assert_eq!(scene.alive(&[&ada]).await, [false]);
    let policy = scene.policy("elsewhere", rule("identity.schema_id == 'customer' && session.active")).await;
    assert_eq!(counts(&policy), [8, 8, 8, 0, 0], "nothing that can't be read is looked at");
}

#[tokio::test]
async fn whoever_owns_one_is_told_and_it_is_looked_at_again_only_when_it_has_changed() {
    let scene = Scene::own().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    for (kind, content) in odd() {
        scene.identity(kind, customer(kind)).await;
        let resource = scene.ready(kind).await;
        turn_odd(&scene, &resource, kind, &content).await;
        let message = scene.stalled(kind, "KratosRejected").await;
        assert!(message.contains(" at /traits/name can't be read"), "{message}");
        scene.shows_nowhere(&resource, "hush-hush").await;
        scene.event(&resource, "KratosRejected").await;
    }
    // Nothing is written over it, and it isn't read once more with each resync.
    let before = scene.ours().await;
    let lists = || scene.proxy.count(LIST);
    scene.count_from_now();
    let resyncs = eventually("resyncs pass", WITHIN, async || (lists() >= 4).then_some(()));
    resyncs.await.expect("the instance is listed");
    assert_eq!((scene.proxy.count(READ), scene.kratos_writes()), (0, 0), "{:?}", scene.proxy.counts());
    let writes: Vec<_> =
        scene.kubernetes_writes().into_iter().filter(|write| write.contains("kratosidentities")).collect();
    assert_eq!(writes, [""; 0]);
    // The manifest doesn't get through either; once it can be read again, it does.
    for (kind, _) in odd() {
        scene.patch(kind, json!({"spec": {"metadataPublic": {"plan": "gold"}}})).await;
        scene.stalled(kind, "KratosRejected").await;
    }
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.ours().await, before);
    for (kind, _) in odd() {
        let resource = scene.identities_in(&scene.namespace).get(kind).await.expect("it is there");
        correct(&scene, &resource, kind).await;
        let resource = scene.ready(kind).await;
        assert_eq!(scene.in_kratos(&resource).await.metadata_public, json!({"plan": "gold"}));
    }
}

#[tokio::test]
async fn it_can_be_deactivated_and_deleted_and_its_grace_period_ends() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let mut sessions = Vec::new();
    for (kind, content) in odd() {
        for (name, more) in
            [(format!("{kind}-off"), json!({})), (format!("{kind}-grace"), json!({"deletion": {"gracePeriod": "15s"}}))]
        {
            let mut manifest = customer(&name);
            manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            scene.identity(&name, manifest).await;
            let resource = scene.ready(&name).await;
            let token = turn_odd(&scene, &resource, &name, &content).await;
            scene.stalled(&name, "KratosRejected").await;
            sessions.push((name, id_of(&resource), token));
        }
    }
    for (name, id, token) in &sessions {
        let is_to_be_off = name.ends_with("-off");
        if is_to_be_off {
            scene.patch(name, json!({"spec": {"state": "Inactive"}})).await;
        } else {
            scene.delete(name).await;
            scene.gone(name).await;
        }
        let inactive = eventually("it is inactive", WITHIN, async || {
            by_id(&scene, id).await.filter(|found| found.state == State::Inactive).map(drop)
        });
        inactive.await.unwrap_or_else(|error| panic!("{name}: {error}\n{}", scene.log()));
        let ended = eventually("its sessions end", WITHIN, async || (!scene.is_logged_in(token).await).then_some(()));
        ended.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = by_id(&scene, id).await.expect("it is there");
        assert!(found.traits.opaque().is_some(), "{name}: it is as it was");
        assert_eq!(scene.kratos.login(&email(name), PASSWORD).await.expect("an answer"), None, "{name}");
    }
    // The process that ends the grace periods is another one than that which began them.
    scene.operator().kill();
    scene.operator().restart().expect("it starts");
    for (name, id, _) in &sessions {
        if name.ends_with("-off") {
            scene.stalled(name, "KratosRejected").await;
            scene.delete(name).await;
            scene.gone(name).await;
        }
        gone_from_kratos(&scene, id).await;
    }
}

#[tokio::test]
async fn sessions_of_whoever_cannot_be_read_end_on_request_and_nobody_is_activated() {
    let scene = Scene::own().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    for (kind, content) in odd() {
        scene.identity(kind, customer(kind)).await;
        let resource = scene.ready(kind).await;
        let id = id_of(&resource);
        let token = turn_odd(&scene, &resource, kind, &content).await;
        scene.stalled(kind, "KratosRejected").await;
        scene.patch(kind, json!({"spec": {"actions": {"revokeSessions": {"token": "now"}}}})).await;
        let done = |resource: &KratosIdentity| {
            let action = resource.status.as_ref()?.actions.as_ref()?.revoke_sessions.as_ref()?;
            (action.token.as_deref() == Some("now") && action.completed_at.is_some()).then_some(())
        };
        scene.until(kind, "its sessions were ended", done).await;
        assert!(!scene.is_logged_in(&token).await, "{kind}");
        let again = scene.log_in(&email(kind)).await;
        scene.stalled(kind, "KratosRejected").await;
        assert!(scene.is_logged_in(&again).await, "{kind}: once");
        // Traits that nobody can check let nobody in.
        scene.patch(kind, json!({"spec": {"state": "Inactive"}})).await;
        let off = eventually("it is inactive", WITHIN, async || {
            by_id(&scene, &id).await.filter(|found| found.state == State::Inactive).map(drop)
        });
        off.await.unwrap_or_else(|error| panic!("{kind}: {error}\n{}", scene.log()));
        scene.patch(kind, json!({"spec": {"state": "Active"}})).await;
        let told = scene.stalled(kind, "KratosRejected").await;
        assert!(told.contains("only deactivation, revokeSessions and deletion are done"), "{told}");
        assert_eq!(by_id(&scene, &id).await.expect("it is there").state, State::Inactive, "{kind}");
    }
}
