//! Trouble at the public URL, where identity schemas come from, while the admin API answers: known schemas go on serving,
//! the instance says what is wrong, and what takes no schema goes on.

use kratos_operator::api::{KratosInstance, condition};
use kratos_operator::kratos::State;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::faults::Answer;
use crate::testenv::kratos_schemas;
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@public.example")}})
}

/// A scene whose instance reads schemas through a proxy of its own.
async fn behind(scene: Scene) -> (Scene, Proxy) {
    let public = Proxy::before_kratos(scene.kratos.public_url().as_str()).expect("a proxy");
    scene.instance(json!({"publicURL": public.url(), "allowedNamespaces": {"from": "All"}})).await;
    scene.counted().await;
    (scene, public)
}

/// Has the schemas read again.
async fn ask_for_a_look(scene: &Scene) {
    let request = format!("{:016x}", rand::random::<u64>());
    let annotations = json!({"kratos-operator.dev/reconcile-requested-at": request});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    scene.instances().patch("default", &PatchParams::default(), &patch).await.expect("the annotation is accepted");
}

/// Waits until the instance says that the public URL is in trouble, and what to do. Returns whether it is Ready.
async fn is_told(scene: &Scene, public: &Proxy) -> bool {
    let told = |instance: &KratosInstance| {
        let found = condition::find(&instance.status.as_ref()?.conditions, "Reconciling")?;
        let is_told = found.reason == "KratosUnavailable"
            && [&public.url(), "identity schemas", "spec.publicURL"].iter().all(|part| found.message.contains(*part));
        is_told.then_some(())
    };
    let instance = scene.instance_until("default", "the public URL is in trouble", told).await;
    condition::is_true(&instance.status.expect("a status").conditions, "Ready")
}

#[tokio::test]
async fn known_schemas_go_on_serving_whatever_the_public_url_does() {
    let (scene, public) = behind(Scene::shared().await).await;
    scene.identity("ada", customer("ada")).await;
    let ada = scene.ready("ada").await;
    let html = Answer { body: "<html>S3CRET</html>".into(), ..Answer::status(200) };
    let huge = Answer { body: " ".repeat(17 * 1024 * 1024), ..Answer::status(200) };
    let troubles: [(&str, &dyn Fn()); 6] = [
        ("dead", &|| public.down()),
        ("mute", &|| drop(public.on("*").hold())),
        ("html", &|| public.on("*").answer(html.clone())),
        ("huge", &|| public.on("*").answer(huge.clone())),
        ("broken", &|| public.on("*").answer(Answer::status(500))),
        ("strange", &|| public.on("*").answer(Answer::status(200).json(&json!([])))),
    ];
    for (trouble, make) in troubles {
        scene.identity(&format!("{trouble}-leaver"), customer(&format!("{trouble}-leaver"))).await;
        let leaver = scene.ready(&format!("{trouble}-leaver")).await;
        make();
        ask_for_a_look(&scene).await;
        assert!(is_told(&scene, &public).await, "{trouble}: it was Ready, and what it serves it serves");

        scene.count_from_now();
        let plan = json!({"spec": {"metadataPublic": {"plan": trouble}}});
        scene.patch("ada", plan).await;
        assert_eq!(
            scene.in_kratos(&scene.ready("ada").await).await.metadata_public.read().unwrap()["plan"],
            json!(trouble)
        );
        scene.identity(trouble, customer(trouble)).await;
        scene.ready(trouble).await;
        scene.delete(&format!("{trouble}-leaver")).await;
        scene.gone(&format!("{trouble}-leaver")).await;
        assert_eq!(scene.admin().get_identity(&id_of(&leaver), &[]).await.unwrap(), None, "{trouble}");
        let probes = scene.proxy.count("GET /admin/identities");
        assert!(probes <= 4, "{trouble}: nobody probes an admin API that answers: {:?}", scene.proxy.counts());

        public.clear_faults();
        public.up().expect("it listens");
        scene.instance_ready("default").await;
    }
    scene.shows_nowhere(&ada, "S3CRET").await;
}

#[tokio::test]
async fn a_new_process_without_schemas_still_deletes_deactivates_and_ends_sessions() {
    let (mut scene, public) = behind(Scene::own().await).await;
    for name in ["stays", "leaver", "locked", "session"] {
        scene.identity(name, customer(name)).await;
    }
    let stays = scene.ready("stays").await;
    let (leaver, locked, session) =
        (scene.ready("leaver").await, scene.ready("locked").await, scene.ready("session").await);
    let of_locked = scene.logged_in(&locked, "locked@public.example").await;
    let of_session = scene.logged_in(&session, "session@public.example").await;

    scene.operator().kill();
    public.down();
    scene.operator().restart().expect("it starts");
    is_told(&scene, &public).await;

    scene.delete("leaver").await;
    scene.gone("leaver").await;
    assert_eq!(scene.admin().get_identity(&id_of(&leaver), &[]).await.unwrap(), None);

    scene.patch("locked", json!({"spec": {"state": "Inactive"}})).await;
    let message = scene.retrying("locked", "InstanceNotReady").await;
    assert!(message.contains("schema"), "{message}");
    let is_locked = eventually("it is locked out", WITHIN, async || {
        (scene.in_kratos(&locked).await.state == State::Inactive && !scene.is_logged_in(&of_locked).await).then_some(())
    });
    is_locked.await.expect("without a schema");

    let everything = json!({
        "identities": {"all": true}, "interval": "1h",
        "rules": [{"name": "everything", "expression": "true", "action": "Revoke"}],
    });
    scene.policy("all", everything).await;
    assert!(!scene.is_logged_in(&of_session).await);

    scene.identity("new", customer("new")).await;
    scene.retrying("new", "InstanceNotReady").await;
    assert_eq!(scene.ours().await.len(), 3, "nothing is made whose identifiers nobody can tell");
    let resource = scene.identities().get("stays").await.expect("it is there");
    assert_eq!(resource.metadata.resource_version, stays.metadata.resource_version, "nothing is said of who is Ready");

    public.up().expect("it listens");
    scene.instance_ready("default").await;
    scene.ready("new").await;
    scene.ready("locked").await;
    assert_eq!(scene.ours().await.len(), 4);
}

#[tokio::test]
async fn an_action_that_ends_sessions_is_done_without_a_schema() {
    let (mut scene, public) = behind(Scene::own().await).await;
    scene.identity("ada", customer("ada")).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@public.example").await;
    scene.operator().kill();
    public.down();
    scene.operator().restart().expect("it starts");
    scene.patch("ada", json!({"spec": {"actions": {"revokeSessions": {"token": "lost-laptop"}}}})).await;
    let is_out = eventually("the session ends", WITHIN, async || (!scene.is_logged_in(&token).await).then_some(()));
    is_out.await.expect("without a schema");
    public.up().expect("it listens");
    scene.ready("ada").await;
}

#[tokio::test]
async fn a_schema_that_is_none_is_missed_by_those_alone_who_have_it() {
    let scene = Scene::shared().await;
    let public = Proxy::before_kratos(scene.kratos.public_url().as_str()).expect("a proxy");
    let large = format!("{{\"title\": \"{}\"}}", "x".repeat(1024 * 1024));
    let deep = format!("{{\"enum\": {}{}}}", "[".repeat(300), "]".repeat(300));
    let broken = [
        ("employee", "\"S3CRET\"".to_owned(), "isn't a JSON Schema"),
        ("plain", "{\"maximum\": 1e400}".to_owned(), "isn't JSON"),
        ("contact", deep, "isn't JSON"),
        ("large", large, "larger than 1 MiB"),
    ];
    let good = ("customer", kratos_schemas::customer().to_string(), "");
    let item = |(id, schema, _): &(&str, String, &str)| format!("{{\"id\": \"{id}\", \"schema\": {schema}}}");
    let items: Vec<_> = broken.iter().chain([&good]).map(item).collect();
    public.on("*").answer(Answer { body: format!("[{}]", items.join(", ")), ..Answer::status(200) });
    scene.instance(json!({"publicURL": public.url()})).await;

    for (id, _, why) in &broken {
        let email = format!("{id}@public.example");
        let traits = if *id == "plain" { json!({}) } else { json!({"email": email}) };
        let department = if *id == "employee" { json!({"department": "ops"}) } else { json!({}) };
        let mut spec = json!({"schemaID": id, "traits": traits});
        crate::scene::merge(&mut spec["traits"], department);
        scene.identity(&format!("with-{id}"), spec).await;
        let message = scene.stalled(&format!("with-{id}"), "SchemaNotFound").await;
        assert!(message.contains(why) && !message.contains("S3CRET"), "{message}");
    }
    scene.identity("with-customer", customer("with-customer")).await;
    scene.ready("with-customer").await;

    public.clear_faults();
    ask_for_a_look(&scene).await;
    for id in ["employee", "plain", "contact"] {
        scene.ready(&format!("with-{id}")).await;
    }
    let message = scene.stalled("with-large", "SchemaNotFound").await;
    assert!(message.contains("serves no identity schema") || message.contains("larger"), "{message}");
}
