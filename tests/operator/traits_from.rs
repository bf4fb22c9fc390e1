//! Traits from Secrets: waited for, followed, refused where a pointer meets something else; shown nowhere.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};
use crate::testenv::process::eventually;

async fn secret(scene: &Scene, values: &Value) {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ada", "namespace": scene.namespace},
        "stringData": values,
    });
    let api = Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace);
    api.patch("ada", &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.expect("a Secret");
}

fn from(path: &str, key: &str) -> Value {
    json!({"path": path, "secretKeyRef": {"name": "ada", "key": key}})
}

#[tokio::test]
async fn traits_come_from_a_secret_that_is_late_and_follow_it() {
    let scene = Scene::settled().await;
    let spec = json!({
        "schemaID": "customer", "traits": {"name": {"last": "Lovelace"}},
        "traitsFrom": [from("/email", "email"), from("/name/first", "first")],
    });
    scene.identity("ada", spec).await;
    scene.retrying("ada", "SecretNotReady").await;
    assert_eq!(scene.ours().await.len(), 1, "nothing is made but what settled the scene");
    secret(&scene, &json!({"email": "ada@from-secret.example\n", "first": "Augusta-Ada"})).await;
    let ada = scene.ready("ada").await;
    let expected = json!({"email": "ada@from-secret.example", "name": {"first": "Augusta-Ada", "last": "Lovelace"}});
    assert_eq!(scene.in_kratos(&ada).await.traits, expected);
    let owned = ada.status.as_ref().map(|status| status.owned_paths.clone()).unwrap_or_default();
    assert_eq!(owned, ["/traits/email", "/traits/name/first", "/traits/name/last"]);
    secret(&scene, &json!({"email": "ada@from-secret.example", "first": "Rotated-Ada"})).await;
    eventually("the trait follows", WITHIN, async || {
        (scene.in_kratos(&ada).await.traits.read().unwrap()["name"]["first"] == "Rotated-Ada").then_some(())
    })
    .await
    .expect("it follows");
    for value in ["Augusta-Ada", "Rotated-Ada", "ada@from-secret.example"] {
        scene.shows_nowhere(&ada, value).await;
    }
}

#[tokio::test]
async fn a_pointer_stays_within_the_traits_and_may_not_meet_another_value() {
    let scene = Scene::settled().await;
    secret(&scene, &json!({"value": "a-stolen-mark"})).await;
    let path = "/../metadata_admin/kratos-operator.dev/uid";
    scene.identity("ada", json!({"schemaID": "plain", "traitsFrom": [from(path, "value")]})).await;
    let ada = scene.ready("ada").await;
    let there = scene.in_kratos(&ada).await;
    assert_eq!(there.traits, json!({"..": {"metadata_admin": {"kratos-operator.dev": {"uid": "a-stolen-mark"}}}}));
    assert_eq!(there.metadata_admin.read().unwrap()["kratos-operator.dev"]["uid"], json!(ada.metadata.uid));
    let spec = json!({"schemaID": "plain", "traits": {"label": "x"}, "traitsFrom": [from("/label", "value")]});
    scene.identity("eve", spec).await;
    let message = scene.stalled("eve", "InvalidSpec").await;
    assert!(message.contains("/label"), "{message}");
}

#[rstest]
#[case::as_deep_as_may_be(64, None)]
#[case::a_level_too_deep(65, Some("leads deeper than 64 levels"))]
#[tokio::test]
async fn a_pointer_leads_no_deeper_than_traits_may_be(#[case] levels: usize, #[case] refusal: Option<&str>) {
    let scene = Scene::settled().await;
    secret(&scene, &json!({"value": "from-far-below"})).await;
    let path = "/a".repeat(levels);
    scene.identity("ada", json!({"schemaID": "plain", "traitsFrom": [from(&path, "value")]})).await;
    if let Some(words) = refusal {
        let message = scene.stalled("ada", "InvalidSpec").await;
        assert!(message.contains(words), "{message}");
    } else {
        let ada = scene.in_kratos(&scene.ready("ada").await).await;
        assert_eq!(ada.traits.read().unwrap().pointer(&path), Some(&json!("from-far-below")));
    }
}
