//! Manifests that the API server takes and parsers don't: nested deeper than they descend. Whoever applied one is told; it
//! holds up nobody else, in a process that runs as in one that starts, and what else it says goes on counting.

use kratos_operator::kratos::State;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;

/// JSON nested so many levels deep, as text: a `Value` of it can't be read back.
fn nested(levels: usize) -> String {
    r#"{"a":"#.repeat(levels - 1) + "{}" + &"}".repeat(levels - 1)
}

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@deep.example")}})
}

/// A manifest of this scene whose `field` is so many levels deep, with `more` in its spec.
fn manifest(scene: &Scene, name: &str, field: &str, levels: usize, more: &str) -> String {
    let namespace = &scene.namespace;
    format!(
        r#"{{"apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity", "metadata": {{"name": "{name}",
        "namespace": "{namespace}"}}, "spec": {{"schemaID": "customer", "instanceRef": {{"name": "default", "namespace":
        "{namespace}"}}, {more} "{field}": {}}}}}"#,
        nested(levels)
    )
}

async fn apply(scene: &Scene, manifest: &str) {
    scene.cluster.plane.kubectl().apply(manifest).await.expect("the API server takes it");
}

/// Sends a manifest as it is: kubectl takes no more than a hundred levels apart by itself.
async fn create(scene: &Scene, manifest: &str) {
    let path = format!("/apis/kratos-operator.dev/v1alpha1/namespaces/{}/kratosidentities", scene.namespace);
    create_at(scene, &path, manifest).await;
}

pub async fn create_at(scene: &Scene, path: &str, manifest: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("manifest.json");
    std::fs::write(&file, manifest).expect("a file");
    let file = file.display().to_string();
    scene.cluster.plane.kubectl().run(["create", "--raw", path, "-f", &file]).await.expect("the API server takes it");
}

/// A part of a resource as text, which is all that can be had of one; empty where there is none.
async fn part(scene: &Scene, name: &str, path: &str) -> String {
    let output = format!("jsonpath={{{path}}}");
    let arguments = ["get", "kid", name, "-n", &scene.namespace, "--ignore-not-found", "-o", &output];
    scene.cluster.plane.kubectl().run(arguments).await.expect("kubectl answers")
}

/// Waits until the resource's owner is told that `field` is too deep.
async fn refused(scene: &Scene, name: &str, field: &str) {
    let message = format!("spec.{field} is nested deeper than 64 levels; make it flatter");
    let mut last = String::new();
    let told = eventually("it is told that it is too deep", WITHIN, async || {
        let generation: i64 = part(scene, name, ".metadata.generation").await.parse().ok()?;
        last = part(scene, name, ".status").await;
        let status: Value = serde_json::from_str(&last).ok()?;
        let stalled = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Stalled")?;
        let is_told = stalled["reason"] == "InvalidSpec" && stalled["message"] == message.as_str();
        (is_told && status["observedGeneration"] == generation).then_some(())
    });
    told.await.unwrap_or_else(|error| panic!("{error}\n{last}\n{}", scene.log()));
}

async fn gone(scene: &Scene, name: &str) {
    let gone =
        eventually("it is gone", WITHIN, async || part(scene, name, ".metadata.name").await.is_empty().then_some(()));
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

async fn delete(scene: &Scene, name: &str) {
    let arguments = ["delete", "kid", name, "-n", &scene.namespace, "--wait=false"];
    scene.cluster.plane.kubectl().run(arguments).await.expect("it is deleted");
}

/// Has the operator list everything anew, as where its watch was away for too long.
async fn list_anew(scene: &Scene) {
    let proxy = &scene.cluster.proxy;
    let before = proxy.count("LIST kratosidentities");
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired",
        "message": "too old resource version", "code": 410});
    let expired = Answer::status(200).json(&json!({"type": "ERROR", "object": gone}));
    proxy.on("WATCH kratosidentities").once().answer(expired);
    proxy.down();
    proxy.up().expect("it goes on");
    let listed =
        eventually("it lists anew", WITHIN, async || (proxy.count("LIST kratosidentities") > before).then_some(()));
    listed.await.expect("it lists anew");
}

#[tokio::test]
async fn one_that_is_too_deep_is_told_and_stops_nobody() {
    let mut scene = Scene::own().await.with_instance().await;
    scene.identity("ada", customer("ada")).await;
    scene.identity("eve", customer("eve")).await;
    scene.ready("ada").await;
    let eve = scene.in_kratos(&scene.ready("eve").await).await;

    apply(&scene, &manifest(&scene, "eve", "traits", 125, "")).await;
    apply(&scene, &manifest(&scene, "new", "metadataAdmin", 65, "")).await;
    create(&scene, &manifest(&scene, "deepest", "metadataPublic", 9_000, "")).await;
    let odd = [("eve", "traits"), ("new", "metadataAdmin"), ("deepest", "metadataPublic")];
    scene.proxy.reset();
    for begun in ["running", "listed anew", "restarted"] {
        match begun {
            "listed anew" => list_anew(&scene).await,
            "restarted" => scene.operator().restart().expect("it starts"),
            _ => {}
        }
        for (name, field) in odd {
            refused(&scene, name, field).await;
        }
        scene.patch("ada", json!({"spec": {"metadataPublic": {"begun": begun}}})).await;
        let ada = scene.ready("ada").await;
        assert_eq!(scene.in_kratos(&ada).await.metadata_public.read().unwrap()["begun"], begun);
        scene.operator().still_running().expect("it goes on");
    }
    // Ada's three changes, and nothing about the others.
    assert_eq!(scene.kratos_writes(), 3, "{:?}", scene.proxy.counts());
    assert_eq!(scene.admin().get_identity(&eve.id, &[]).await, Ok(Some(eve.clone())));

    // What else it says counts: it is made inactive by the manifest that is too deep.
    apply(&scene, &manifest(&scene, "eve", "traits", 125, r#""state": "Inactive","#)).await;
    let inactive = eventually("it is inactive", WITHIN, async || {
        let found = scene.admin().get_identity(&eve.id, &[]).await.ok()??;
        (found.state == State::Inactive).then_some(found)
    });
    let inactive = inactive.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    assert_eq!(inactive.traits, eve.traits, "the traits stay as they were");

    for (name, _) in odd {
        delete(&scene, name).await;
    }
    for (name, _) in odd {
        gone(&scene, name).await;
    }
    assert_eq!(scene.admin().get_identity(&eve.id, &[]).await, Ok(None), "deleted with its resource");
}

#[tokio::test]
async fn once_it_is_flatter_it_is_as_any_other() {
    let scene = Scene::shared().await.with_instance().await;
    let name = format!("eve-{}", scene.namespace);
    scene.identity("eve", customer(&name)).await;
    let before = id_of(&scene.ready("eve").await);
    apply(&scene, &manifest(&scene, "eve", "metadataPublic", 200, "")).await;
    refused(&scene, "eve", "metadataPublic").await;
    apply(&scene, &manifest(&scene, "eve", "metadataPublic", 64, "")).await;
    let eve = scene.ready("eve").await;
    assert_eq!(id_of(&eve), before);
    assert!(scene.in_kratos(&eve).await.metadata_public.read().unwrap()["a"].is_object());
}

/// Values that JSON can hold and programs make different things of.
const ODD: &str = r#"{
    "huge": 123456789012345678901234567890, "minusZero": -0, "minusZeroPoint": -0.0, "big": 1e308, "tiny": 1e-320,
    "beyondExact": 9007199254740993, "most": 9223372036854775807, "more": 18446744073709551615, "point": 1.0, "tenth": 0.1,
    "": "no name", "a/b": 1, "m~n": {"~1": 2, "0": [3]}, "twice": 1, "twice": 2, "\u0000": "\u0000", "null": null,
    "\ud83d\ude00": "\ud800", "line\nend": "\u2028\u2029<&>", "__proto__": {"constructor": 1}
}"#;

#[tokio::test]
async fn odd_values_are_taken_as_they_are_and_written_once() {
    let mut scene = Scene::own().await.with_instance().await;
    let (long, key) = ("x".repeat(200_000), "k".repeat(2_000));
    let odd = ODD.trim_end().trim_end_matches('}').to_owned() + &format!(r#", "long": "{long}", "{key}": true}}"#);
    let more = format!(r#""traits": {{"email": "odd@deep.example"}}, "metadataAdmin": {odd},"#);
    let flat = manifest(&scene, "odd", "metadataPublic", 1, &more);
    create(&scene, &flat.replace(r#""metadataPublic": {}"#, &format!(r#""metadataPublic": {odd}"#))).await;
    let resource = scene.ready("odd").await;
    let identity = scene.in_kratos(&resource).await;
    assert_eq!(identity.metadata_public.read().unwrap()["m~n"], json!({"~1": 2, "0": [3]}));
    assert_eq!(identity.metadata_public.read().unwrap()["twice"], json!(2));
    assert_eq!(identity.metadata_public.read().unwrap()["big"], json!(1e308));
    scene.proxy.reset();
    scene.request_reconcile("odd").await;
    scene.operator().restart().expect("it starts");
    scene.request_reconcile("odd").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
}
