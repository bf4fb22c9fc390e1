//! A rename keeps the person: another resource takes the identity over, whatever comes first, and nothing else changes.

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::KratosIdentity;
use kube::api::Api;
use serde_json::{Value, json};

use crate::passwords::put_secret;
use crate::recovery::content;
use crate::scene::{Scene, id_of, merge};

const DELETE: &str = "DELETE /admin/identities/{id}";
const PATCH: &str = "PATCH /admin/identities/{id}";
const POST: &str = "POST /admin/identities";

fn customer(email: &str, changes: Value) -> Value {
    let mut spec = json!({"schemaID": "customer", "traits": {"email": email}});
    merge(&mut spec, changes);
    spec
}

fn replacing(email: &str, name: &str) -> Value {
    customer(email, json!({"replaces": {"name": name}}))
}

async fn mark_of(scene: &Scene, resource: &KratosIdentity) -> Value {
    scene.in_kratos(resource).await.metadata_admin.read().unwrap()["kratos-operator.dev"].clone()
}

/// Uid of the resource that controls the Secret.
async fn controller_of(scene: &Scene, secret: &str) -> Option<String> {
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let owners = secrets.get(secret).await.expect("it is there").metadata.owner_references.unwrap_or_default();
    owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid)
}

#[tokio::test]
async fn in_one_commit_all_that_a_person_has_goes_over_in_one_write() {
    let scene = Scene::settled().await;
    let (email, other) = ("ada@renamed.example", "ada@married.example");
    let everything = json!({
        "credentials": {"password": {"secretKeyRef": {"name": "ada", "key": "password"}}},
        "recovery": {"type": "Link", "secretName": "way-in"},
        "actions": {"revokeSessions": {"token": "once"}},
    });
    put_secret(&scene, &[("password", b"given-to-ada-4715")]).await;
    scene.identity("ada", customer(email, everything.clone())).await;
    let before = scene.ready("ada").await;
    let session = scene.kratos.login(email, "given-to-ada-4715").await.expect("an answer").expect("a session");
    let way_in = content(&scene, "way-in").await;
    scene.count_from_now();

    // She has another address since then, too.
    let mut renamed = replacing(other, "ada");
    merge(&mut renamed, everything);
    scene.identity("ada-l", renamed).await;
    scene.delete("ada").await;
    let after = scene.ready("ada-l").await;
    scene.gone("ada").await;
    assert_eq!(id_of(&after), id_of(&before));
    assert_eq!(scene.kratos_writes(), 1, "{:?}", scene.proxy.counts());
    assert!(scene.is_logged_in(&session).await, "nobody was logged out");
    assert!(scene.kratos.login(other, "given-to-ada-4715").await.expect("an answer").is_some());
    assert_eq!(content(&scene, "way-in").await, way_in, "nothing is issued again");
    assert_eq!(controller_of(&scene, "way-in").await, after.metadata.uid);
    let mark = mark_of(&scene, &after).await;
    assert_eq!((&mark["name"], &mark["uid"]), (&json!("ada-l"), &json!(after.metadata.uid)));
    assert_eq!(mark["replaced"], json!(before.metadata.uid));
    let note = scene.event(&after, "IdentityTakenOver").await;
    assert!(note.contains("ada") && !note.contains("example"), "{note}");
}

#[tokio::test]
async fn the_old_resource_says_that_it_is_replaced_and_touches_nothing_when_it_goes() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@stays-a-while.example", json!({}))).await;
    let before = scene.ready("ada").await;
    scene.identity("ada-l", replacing("ada@stays-a-while.example", "ada")).await;
    let after = scene.ready("ada-l").await;
    assert_eq!(id_of(&after), id_of(&before));
    let message = scene.stalled("ada", "Replaced").await;
    assert!(message.contains("ada-l") && message.contains("delete this resource"), "{message}");
    scene.count_from_now();
    scene.patch("ada", json!({"spec": {"traits": {"email": "somebody@else.example"}, "state": "Inactive"}})).await;
    scene.stalled("ada", "Replaced").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());

    // The next person of the old name isn't taken for her, although the field is there still.
    scene.identity("ada", customer("another-ada@stays-a-while.example", json!({}))).await;
    let another = scene.ready("ada").await;
    assert_ne!(id_of(&another), id_of(&after));
    scene.request_reconcile("ada-l").await;
    assert_eq!(id_of(&scene.ready("ada-l").await), id_of(&before));
}

#[tokio::test]
async fn whatever_was_done_while_nobody_looked_nobody_is_deleted() {
    let mut scene = Scene::own().await.with_instance().await;
    for name in ["ada", "grace"] {
        scene.identity(name, customer(&format!("{name}@nobody-looked.example"), json!({}))).await;
    }
    let (ada, grace) = (scene.ready("ada").await, scene.ready("grace").await);
    scene.operator().kill();
    scene.count_from_now();
    // The one was deleted first, the other last.
    scene.delete("ada").await;
    scene.identity("ada-l", replacing("ada@nobody-looked.example", "ada")).await;
    scene.identity("grace-h", replacing("grace@nobody-looked.example", "grace")).await;
    scene.delete("grace").await;
    scene.operator().restart().expect("it starts");
    assert_eq!(id_of(&scene.ready("ada-l").await), id_of(&ada));
    assert_eq!(id_of(&scene.ready("grace-h").await), id_of(&grace));
    scene.gone("ada").await;
    scene.gone("grace").await;
    assert_eq!((scene.proxy.count(DELETE), scene.proxy.count(POST)), (0, 0), "{:?}", scene.proxy.counts());
    assert_eq!(scene.ours().await.len(), 2);
}

#[tokio::test]
async fn a_process_that_dies_while_it_takes_over_leaves_nothing_behind() {
    let mut scene = Scene::own().await.with_instance().await;
    scene.identity("ada", customer("ada@dies.example", json!({}))).await;
    let before = scene.ready("ada").await;
    let taking = scene.proxy.on(PATCH).once().hold();
    scene.identity("ada-l", replacing("ada@dies.example", "ada")).await;
    taking.held().await;
    scene.delete("ada").await;
    scene.operator().kill();
    taking.release();
    scene.operator().restart().expect("it starts");
    assert_eq!(id_of(&scene.ready("ada-l").await), id_of(&before));
    scene.gone("ada").await;
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn one_that_waits_for_its_deletion_is_brought_back_under_the_new_name() {
    let scene = Scene::settled().await;
    let waits = json!({"deletion": {"gracePeriod": "1h"}});
    scene.identity("ada", customer("ada@waits.example", waits)).await;
    let before = scene.ready("ada").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    scene.identity("ada-l", replacing("ada@waits.example", "ada")).await;
    let after = scene.ready("ada-l").await;
    assert_eq!(id_of(&after), id_of(&before));
    let mark = mark_of(&scene, &after).await;
    assert_eq!((&mark["deleteAfter"], mark["replaced"].as_str()), (&Value::Null, before.metadata.uid.as_deref()));
    assert_eq!(scene.in_kratos(&after).await.state, kratos_operator::kratos::State::Active);
}

#[tokio::test]
async fn in_a_chain_each_takes_over_in_turn_and_the_last_one_has_the_identity() {
    let scene = Scene::settled().await;
    scene.identity("a", customer("ada@chain.example", json!({}))).await;
    let before = scene.ready("a").await;
    scene.identity("c", replacing("ada@chain.example", "b")).await;
    scene.identity("b", replacing("ada@chain.example", "a")).await;
    // Whichever comes first, `c` follows `b` once that has the identity.
    scene.until("c", "has it", |c| (id_if_any(c) == id_if_any(&before)).then_some(())).await;
    scene.stalled("b", "Replaced").await;
    for name in ["a", "b"] {
        scene.delete(name).await;
        scene.gone(name).await;
    }
    assert_eq!(id_of(&scene.ready("c").await), id_of(&before));
    let named = |it: &&kratos_operator::kratos::Identity| it.traits.read().unwrap()["email"] == "ada@chain.example";
    assert_eq!(scene.ours().await.iter().filter(named).count(), 1, "nobody is made twice");
}

fn id_if_any(resource: &KratosIdentity) -> Option<String> {
    resource.status.as_ref()?.identity_id.clone()
}

#[tokio::test]
async fn what_nobody_can_have_meant_is_refused_in_words_that_say_what_to_do() {
    let scene = Scene::settled().await;
    let itself = scene.try_identity_in(&scene.namespace, "self", replacing("self@bad.example", "self")).await;
    let itself = itself.expect_err("it is refused").to_string();
    assert!(itself.contains("replaces") && itself.contains("itself"), "{itself}");
    let mut both = replacing("both@bad.example", "ada");
    merge(&mut both, json!({"adoption": {"policy": "IfUnowned", "identifier": "both@bad.example"}}));
    let both = scene.try_identity_in(&scene.namespace, "both", both).await.expect_err("it is refused").to_string();
    assert!(both.contains("remove one of them"), "{both}");

    // A circle of two that have nothing.
    for (name, other) in [("one", "two"), ("two", "one")] {
        let mut suspended = replacing(&format!("{name}@bad.example"), other);
        merge(&mut suspended, json!({"suspend": true}));
        scene.identity(name, suspended).await;
    }
    for name in ["one", "two"] {
        scene.patch(name, json!({"spec": {"suspend": false}})).await;
    }
    for name in ["one", "two"] {
        let message = scene.stalled(name, "InvalidSpec").await;
        assert!(message.contains("leads back"), "{message}");
    }

    // One that lives elsewhere.
    let other = scene.instance_spec(json!({"ownerName": "another-owner"}));
    scene.apply_instance(&scene.namespace, "other", other).await;
    scene.instance_ready("other").await;
    scene.identity("elsewhere", customer("elsewhere@bad.example", json!({"instanceRef": {"name": "other"}}))).await;
    scene.ready("elsewhere").await;
    scene.identity("here", replacing("here@bad.example", "elsewhere")).await;
    let message = scene.stalled("here", "InvalidSpec").await;
    assert!(message.contains("another KratosInstance"), "{message}");
    scene.request_reconcile("elsewhere").await;
    scene.ready("elsewhere").await;
}

#[tokio::test]
async fn of_two_that_replace_the_same_one_the_first_does_and_the_other_is_told() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@two.example", json!({}))).await;
    let before = scene.ready("ada").await;
    scene.identity("first", replacing("ada@two.example", "ada")).await;
    let first = scene.ready("first").await;
    scene.identity("second", replacing("ada@two.example", "ada")).await;
    let message = scene.stalled("second", "IdentityConflict").await;
    assert!(message.contains("first"), "{message}");
    assert_eq!((id_of(&first), scene.proxy.count(POST)), (id_of(&before), 1), "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn one_that_only_looks_on_takes_nothing_and_the_old_one_goes_on() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@looks-on.example", json!({}))).await;
    let before = scene.ready("ada").await;
    let mut observing = replacing("ada@looks-on.example", "ada");
    merge(&mut observing, json!({"mode": "Observe"}));
    scene.identity("ada-l", observing).await;
    scene.ready("ada-l").await;
    scene.patch("ada", json!({"spec": {"metadataPublic": {"plan": "gold"}}})).await;
    scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&before).await.metadata_public.read().unwrap()["plan"], "gold");
    // Now it is meant.
    scene.patch("ada-l", json!({"spec": {"mode": "Enforce"}})).await;
    scene.stalled("ada", "Replaced").await;
    assert_eq!(id_of(&scene.ready("ada-l").await), id_of(&before));
}

#[tokio::test]
async fn through_an_instance_that_is_only_observed_nobody_lets_go() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@observed-rename.example", json!({}))).await;
    let before = scene.ready("ada").await;
    scene.instance(json!({"mode": "Observe"})).await;
    scene.count_from_now();
    scene.identity("ada-l", replacing("ada@observed-rename.example", "ada")).await;
    scene.ready("ada-l").await;
    scene.request_reconcile("ada").await;
    scene.ready("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    scene.instance(json!({})).await;
    assert_eq!(id_of(&scene.until("ada-l", "has it", id_if_any).await), id_of(&before));
    scene.stalled("ada", "Replaced").await;
}

#[tokio::test]
async fn without_the_field_a_renamed_resource_is_looked_at_as_soon_as_the_old_one_is_gone() {
    // A resync is an hour away.
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@in-the-way.example", json!({}))).await;
    let before = scene.ready("ada").await;
    scene.identity("ada-l", customer("ada@in-the-way.example", json!({}))).await;
    scene.stalled("ada-l", "IdentityConflict").await;
    scene.delete("ada").await;
    let after = scene.ready("ada-l").await;
    assert_ne!(id_of(&after), id_of(&before), "another identity, as the manifests say");

    // Likewise where the one in the way gets another address, and where its grace period ends.
    scene.identity("grace", customer("ada@in-the-way.example", json!({}))).await;
    scene.stalled("grace", "IdentityConflict").await;
    scene.patch("ada-l", json!({"spec": {"traits": {"email": "ada@elsewhere.example"}}})).await;
    scene.ready("grace").await;
    scene.patch("grace", json!({"spec": {"deletion": {"gracePeriod": "5s"}}})).await;
    scene.ready("grace").await;
    scene.delete("grace").await;
    scene.gone("grace").await;
    scene.identity("hopper", customer("ada@in-the-way.example", json!({}))).await;
    scene.ready("hopper").await;
}
