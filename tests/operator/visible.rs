//! What people and tools see: health from the first second, requests for a reconcile, events, columns, the status of an
//! instance, and how an instance is called.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kratos_operator::api::{KratosIdentity, KratosInstance, condition};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}})
}

#[tokio::test]
async fn a_resource_that_nobody_has_looked_at_does_not_count_as_done() {
    let scene = Scene::shared().await;
    let dry = PostParams { dry_run: true, field_manager: None };
    let identity: KratosIdentity = serde_json::from_value(json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": "ada"}, "spec": customer("ada@first-second.example"),
    }))
    .unwrap();
    let made = scene.identities().create(&dry, &identity).await.expect("it is accepted");
    assert_eq!(made.status.and_then(|status| status.observed_generation), Some(-1));

    let instance: KratosInstance = serde_json::from_value(json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance",
        "metadata": {"name": "default"}, "spec": scene.instance_spec(json!({})),
    }))
    .unwrap();
    let made = scene.instances().create(&dry, &instance).await.expect("it is accepted");
    assert_eq!(made.status.and_then(|status| status.observed_generation), Some(-1));
}

#[tokio::test]
async fn kubectl_wait_sees_ready_and_stalled() {
    let scene = Scene::settled().await;
    let kubectl = scene.cluster.plane.kubectl();
    scene.identity("ada", customer("ada@wait.example")).await;
    scene.identity("wrong", json!({"schemaID": "nowhere"})).await;
    for (what, name) in
        [("condition=Ready", "kid/ada"), ("condition=Stalled", "kid/wrong"), ("condition=Ready", "kinst/default")]
    {
        let arguments = ["wait", "-n", &scene.namespace, &format!("--for={what}"), "--timeout=60s", name];
        kubectl.run(arguments).await.expect("kubectl sees it");
    }
    let wrong = scene.identities().get("wrong").await.unwrap();
    let status = wrong.status.expect("it has one");
    assert!(condition::find(&status.conditions, "Ready").is_some_and(|ready| ready.status == "False"));
    assert!(condition::find(&status.conditions, "Reconciling").is_none());
    let ada = scene.ready("ada").await.status.expect("it has one");
    let types: Vec<_> = ada.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Ready"], "abnormal ones are there only while true");
}

#[tokio::test]
async fn a_request_by_annotation_is_served_and_noted() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@annotation.example")).await;
    let ada = scene.ready("ada").await;
    for key in ["reconcile.fluxcd.io/requestedAt", "kratos-operator.dev/reconcile-requested-at"] {
        scene.change_in_kratos(&ada, "/traits/email", json!("other@annotation.example")).await;
        let asked_at = format!("2026-11-23T10:00:00Z by {key}");
        scene.patch("ada", json!({"metadata": {"annotations": {key: asked_at}}})).await;
        scene
            .until("ada", "the request is served", |ada| {
                (ada.status.as_ref()?.last_handled_reconcile_at.as_ref()? == &asked_at).then_some(())
            })
            .await;
        assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["email"], "ada@annotation.example");
    }
}

#[tokio::test]
async fn an_instance_serves_requests_by_annotation_too() {
    let scene = Scene::settled().await;
    let annotations = json!({"kratos-operator.dev/reconcile-requested-at": "now"});
    let patch = kube::api::Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    scene.instances().patch("default", &kube::api::PatchParams::default(), &patch).await.expect("it is annotated");
    scene
        .instance_until("default", "the request is served", |instance| {
            (instance.status.as_ref()?.last_handled_reconcile_at.as_deref() == Some("now")).then_some(())
        })
        .await;
    assert!(scene.kratos_requests() > 0, "it was probed");
}

#[tokio::test]
async fn events_tell_transitions_once_and_without_personal_data() {
    let scene = Scene::settled().await;
    let spec = |first: &str| {
        let traits = json!({"email": "marker-ada@events.example", "name": {"first": first}});
        json!({"schemaID": "customer", "traits": traits})
    };
    scene.identity("ada", spec("marker-Ada")).await;
    let ada = scene.ready("ada").await;
    scene.event(&ada, "IdentityCreated").await;
    scene.identity("ada", spec("marker-Augusta")).await;
    scene.ready("ada").await;
    let note = scene.event(&ada, "IdentityChanged").await;
    assert!(note.ends_with(": /traits/name/first"), "{note}");
    for (state, reason) in [("Inactive", "IdentityDeactivated"), ("Active", "IdentityActivated")] {
        scene.patch("ada", json!({"spec": {"state": state}})).await;
        scene.event(&ada, reason).await;
    }
    let kubectl = scene.cluster.plane.kubectl();
    let described = kubectl.run(["describe", "kid/ada", "-n", &scene.namespace]).await.expect("it is described");
    let from = |line: &&str| {
        line.contains("IdentityActivated") && line.split_whitespace().any(|word| word == "kratos-operator")
    };
    assert!(described.lines().any(|line| from(&line)), "{described}");
    scene.patch("ada", json!({"spec": {"traits": {"age": "marker-age"}}})).await;
    scene.stalled("ada", "TraitsRejected").await;
    scene.event(&ada, "TraitsRejected").await;
    scene.request_reconcile("ada").await;
    scene.request_reconcile("ada").await;
    for value in ["marker-", "events.example"] {
        scene.shows_nowhere(&ada, value).await;
    }
    scene.delete("ada").await;
    scene.gone("ada").await;
    scene.event(&ada, "IdentityDeleted").await;
    let mut reasons: Vec<_> = scene.events(&ada).await.into_iter().map(|(reason, _)| reason).collect();
    reasons.sort();
    let expected = [
        "IdentityActivated",
        "IdentityChanged",
        "IdentityCreated",
        "IdentityDeactivated",
        "IdentityDeleted",
        "TraitsRejected",
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn kubectl_prints_what_a_person_looks_for() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@columns.example")).await;
    let ada = scene.ready("ada").await;
    scene.identity("wrong", json!({"schemaID": "nowhere"})).await;
    scene.stalled("wrong", "SchemaNotFound").await;
    let kubectl = scene.cluster.plane.kubectl();
    let get = async |arguments: &[&str]| {
        kubectl.run([&["get", "-n", &scene.namespace][..], arguments].concat()).await.expect("kubectl gets it")
    };
    let line = |table: &str, name: &str| -> Vec<String> {
        let found = table.lines().find(|line| line.contains(name)).unwrap_or_default();
        found.split_whitespace().map(str::to_owned).collect()
    };
    let table = get(&["kid"]).await;
    assert_eq!(line(&table, "NAME"), ["NAME", "READY", "REASON", "SCHEMA", "STATE", "IDENTITY", "DRIFT", "AGE"]);
    let identity = ada.status.and_then(|status| status.identity_id).unwrap();
    assert_eq!(line(&table, "ada")[..6], ["ada", "True", "Reconciled", "customer", "Active", identity.as_str()]);
    assert_eq!(line(&table, "wrong")[..4], ["wrong", "False", "SchemaNotFound", "nowhere"]);
    let wide = get(&["kid", "-o", "wide"]).await;
    assert!(line(&wide, "NAME").join(" ").contains("INSTANCE MESSAGE"), "{wide}");
    let instance = format!(" {}/default ", scene.namespace);
    assert!(wide.contains("Kratos holds what the manifest says") && wide.contains(&instance), "{wide}");

    let table = get(&["kinst"]).await;
    assert_eq!(line(&table, "NAME"), ["NAME", "READY", "REASON", "OWNER", "MANAGED", "DRIFTED", "AGE"]);
    assert_eq!(line(&table, "default")[..4], ["default", "True", "Reconciled", scene.namespace.as_str()]);
    let wide = get(&["kinst", "-o", "wide"]).await;
    assert!(wide.contains(&scene.proxy.url()), "{wide}");

    let all = get(&["kratos"]).await;
    assert!(all.contains("kratosinstance.kratos-operator.dev/default"), "{all}");
    assert!(all.contains("kratosidentity.kratos-operator.dev/ada"), "{all}");
    let selected = get(&["kid", "--field-selector", "spec.schemaID=nowhere", "-o", "name"]).await;
    assert_eq!(selected.trim(), "kratosidentity.kratos-operator.dev/wrong");
}

#[tokio::test]
async fn an_instance_shows_its_cluster_and_schemas() {
    let scene = Scene::shared().await;
    let instance = scene.instance(json!({})).await;
    let status = instance.status.expect("it has one");
    let system = Api::<Namespace>::all(scene.client.clone()).get("kube-system").await.unwrap();
    assert_eq!(status.cluster_id, system.metadata.uid);
    assert_eq!(status.schemas, ["contact", "customer", "employee", "phone", "plain"]);
    assert_eq!(instance.metadata.finalizers, None, "nothing refers to it yet");
}

#[tokio::test]
async fn an_instance_that_nothing_refers_to_any_more_is_not_held() {
    let scene = Scene::settled().await;
    let held = scene.instances().get("default").await.unwrap();
    assert_eq!(held.metadata.finalizers.as_deref(), Some(&["kratos-operator.dev/instance".to_owned()][..]));
    scene.delete("settling").await;
    scene.gone("settling").await;
    let is_free = |instance: &KratosInstance| instance.metadata.finalizers.is_none().then_some(());
    scene.instance_until("default", "it is free to go", is_free).await;
    // And held again by the next one.
    scene.identity("ada", customer("ada@held-again.example")).await;
    scene.ready("ada").await;
    let is_held = |instance: &KratosInstance| instance.metadata.finalizers.as_ref().map(|_| ());
    scene.instance_until("default", "it is held", is_held).await;
}

#[tokio::test]
async fn an_instance_stays_for_as_long_as_identities_refer_to_it() {
    let scene = Scene::settled().await;
    let settled = scene.instances().get("default").await.unwrap();
    assert_eq!(settled.metadata.finalizers.as_deref(), Some(&["kratos-operator.dev/instance".to_owned()][..]));
    scene.instances().delete("default", &DeleteParams::default()).await.expect("it can be deleted");
    scene
        .instance_until("default", "it says why it stays", |instance| {
            let status = instance.status.as_ref()?;
            condition::find(&status.conditions, "Reconciling")?.message.contains("being deleted").then_some(())
        })
        .await;
    // Nothing is made through it any more, and what is there is still deleted.
    scene.identity("late", customer("late@leaving.example")).await;
    scene.retrying("late", "InstanceNotReady").await;
    scene.delete("late").await;
    scene.delete("settling").await;
    scene.gone("settling").await;
    let gone = eventually("the instance is gone", WITHIN, async || {
        matches!(scene.instances().get_opt("default").await, Ok(None)).then_some(())
    });
    gone.await.expect("it goes");
    assert_eq!(scene.ours().await.len(), 0);
}

/// A server that has no identities.
async fn empty_kratos() -> MockServer {
    let server = MockServer::start().await;
    let schemas = json!([{"id": "customer", "schema": {"type": "object"}}]);
    for (at, items) in [("/admin/identities", json!([])), ("/schemas", schemas)] {
        let answer = ResponseTemplate::new(200).set_body_json(items);
        Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(&server).await;
    }
    server
}

#[tokio::test]
async fn a_token_is_waited_for_and_sent_as_the_instance_says() {
    let scene = Scene::shared().await;
    for (name, prefix, expected) in [
        ("standard", json!({}), "Bearer token-standard"),
        ("own-word", json!({"prefix": "Token"}), "Token token-own-word"),
        ("alone", json!({"prefix": ""}), "token-alone"),
    ] {
        let server = empty_kratos().await;
        let mut token = json!({"secretKeyRef": {"name": name, "key": "token"}});
        crate::scene::merge(&mut token, prefix);
        let spec = json!({"adminURL": server.uri(), "publicURL": server.uri(), "auth": {"bearerToken": token}});
        scene.apply_instance(&scene.namespace, name, scene.instance_spec(spec)).await;
        scene
            .instance_until(name, "SecretNotReady", |instance| {
                let status = instance.status.as_ref()?;
                let found = condition::find(&status.conditions, "Reconciling")?;
                (found.reason == "SecretNotReady" && found.message.contains(name)).then_some(())
            })
            .await;
        let asked = server.received_requests().await.unwrap();
        assert!(asked.is_empty(), "nothing is sent without the token");
        let secret = json!({
            "metadata": {"name": name}, "stringData": {"token": format!("token-{name}\n")},
        });
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let secrets = Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace);
        secrets.create(&PostParams::default(), &secret).await.expect("a Secret");
        let instance = scene.instance_ready(name).await;
        let asked = server.received_requests().await.unwrap();
        let to_admin: Vec<_> = asked.iter().filter(|request| request.url.path().starts_with("/admin/")).collect();
        assert!(!to_admin.is_empty());
        for request in to_admin {
            let sent = request.headers.get("authorization").and_then(|value| value.to_str().ok());
            assert_eq!(sent, Some(expected));
        }
        let shown = serde_json::to_string(&instance.status).unwrap();
        assert!(!shown.contains(&format!("token-{name}")) && !scene.whole_log().contains(&format!("token-{name}")));
    }
}

#[tokio::test]
async fn a_rate_limit_holds_requests_back() {
    let scene = Scene::shared().await;
    scene.instance(json!({"rateLimit": {"requestsPerSecond": 5, "burst": 1}})).await;
    scene.settle().await;
    // Each reconcile is a read of its own, and they come faster than that.
    for _ in 0..8 {
        scene.request_reconcile("settling").await;
    }
    let at: Vec<_> = scene.proxy.seen().iter().map(|seen| seen.at).collect();
    assert!(at.len() >= 8, "{:?}", scene.proxy.counts());
    let spent = at[at.len() - 1].duration_since(at[0]);
    let least = Duration::from_millis(200) * u32::try_from(at.len() - 1).unwrap();
    // The bucket counts when a request is sent, the proxy when it arrives.
    assert!(spent + Duration::from_millis(200) >= least, "{} requests in {spent:?}", at.len());
}

#[tokio::test]
async fn events_are_bounded_in_number_however_much_happens() {
    // An operator of its own: what this one uses up would be missing from the others' events.
    let scene = Scene::own().await.with_instance().await;
    scene.count_from_now();
    let began = Instant::now();
    let count = 150;
    let made = (0..count).map(|number| {
        let (scene, name) = (&scene, format!("one-of-many-{number}"));
        async move { scene.identity(&name, json!({"schemaID": "plain", "traits": {"label": name}})).await }
    });
    futures::stream::iter(made).buffer_unordered(8).collect::<Vec<_>>().await;
    let is_made =
        |identity: &KratosIdentity| identity.status.as_ref().is_some_and(|status| status.identity_id.is_some());
    let all = eventually("all are made", WITHIN, async || {
        let list = scene.identities().list(&ListParams::default()).await.ok()?;
        (list.items.iter().filter(|identity| is_made(identity)).count() == count).then_some(())
    });
    all.await.expect("all are made");
    let events = scene.kubernetes_seen().iter().filter(|seen| seen.label == "POST events").count();
    // Fifty at once and ten a second; a moment more, since the clock of the bucket isn't ours.
    let bound = 50.0 + 10.0 * (began.elapsed().as_secs_f64() + 1.0);
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    let events = events as f64;
    assert!(events > 0.0 && events <= bound, "{events} events, {bound} allowed");
}
