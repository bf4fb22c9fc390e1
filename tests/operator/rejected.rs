//! What Kratos answers with 500 for one identity, for ever, while it serves all others: that resource's trouble, and nobody
//! else's. A login identifier that is blank is such a one, on every database.

use std::time::Duration;

use kratos_operator::api::KratosIdentity;
use rstest::rstest;
use serde_json::{Value, json};

use crate::many::{all, apply, customer, is_ready, name};
use crate::passwords::put_secret;
use crate::scene::{Scene, id_of, message_of, reason_of};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;

const DELETE: &str = "DELETE /admin/identities/{id}";
/// Six tries, each later than the one before.
const LONG: Duration = Duration::from_mins(4);
const BLANK: &str = "  ";

fn named(scene: &Scene, name: &str) -> Value {
    json!({"schemaID": "phone", "traits": {"email": format!("{name}@{}.example", scene.namespace)}})
}

/// Waits until it is known to be this resource's own trouble.
async fn rejected(scene: &Scene, name: &str) {
    let found = eventually("it is its own trouble", LONG, async || {
        let resource = scene.identities().get_opt(name).await.expect("it can be read")?;
        (reason_of(&resource, "Stalled", "True").as_deref() == Some("KratosRejected")).then_some(resource)
    });
    let resource: KratosIdentity = found.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()));
    let told = message_of(&resource, "Stalled");
    assert!(told.contains("500") && told.contains("although Kratos serves others"), "{told}");
}

#[tokio::test]
async fn one_create_among_many_is_told_so_and_all_others_are_made() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": "2s"})).await;
    scene.settle().await;
    scene.proxy.down();
    let bad = 7;
    apply(&scene, 0..20, |number| {
        let mut spec = customer(&scene, number);
        if number == bad {
            spec["schemaID"] = json!("phone");
            spec["traits"]["name"] = json!(BLANK);
        }
        spec
    })
    .await;
    scene.proxy.up().expect("it listens again");
    rejected(&scene, &name(bad)).await;
    let others = all(&scene, "all others are made", |resource| {
        is_ready(resource) || resource.metadata.name.as_deref() == Some(name(bad).as_str())
    });
    others.await;
    let good = format!("ada.{}", scene.namespace);
    scene.patch(&name(bad), json!({"spec": {"traits": {"name": good}}})).await;
    scene.ready(&name(bad)).await;
}

#[rstest]
#[case::a_patch(false)]
#[case::a_put(true)]
#[tokio::test]
async fn one_change_is_told_so_and_is_made_good_by_another_manifest(#[case] with_password: bool) {
    let scene = Scene::settled().await;
    scene.identity("ada", named(&scene, "ada")).await;
    let ada = scene.ready("ada").await;
    let mut spec = named(&scene, "ada");
    spec["traits"]["name"] = json!(BLANK);
    if with_password {
        put_secret(&scene, &[("password", b"first-horse-battery-4711")]).await;
        spec["credentials"] = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
        spec["actions"] = json!({"setPassword": {"token": "now"}});
    }
    scene.identity("ada", spec.clone()).await;
    rejected(&scene, "ada").await;
    scene.identity("bob", named(&scene, "bob")).await;
    scene.ready("bob").await;
    assert!(scene.in_kratos(&ada).await.traits.read().unwrap().get("name").is_none());
    spec["traits"]["name"] = json!(format!("ada.{}", scene.namespace));
    scene.identity("ada", spec).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn one_deletion_is_told_so_and_goes_on_once_it_can() {
    let scene = Scene::settled().await;
    scene.identity("ada", named(&scene, "ada")).await;
    let ada = scene.ready("ada").await;
    let id = id_of(&ada);
    let refusal = Answer::status(500).json(&json!({"error": {"code": 500, "status": "No", "message": "no"}}));
    scene.proxy.on_where(move |label, path| label == DELETE && path.ends_with(&id)).answer(refusal);
    scene.delete("ada").await;
    rejected(&scene, "ada").await;
    scene.identity("bob", named(&scene, "bob")).await;
    scene.ready("bob").await;
    scene.delete("bob").await;
    scene.gone("bob").await;
    scene.proxy.clear_faults();
    scene.gone("ada").await;
}
