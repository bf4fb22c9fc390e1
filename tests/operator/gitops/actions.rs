//! The actions that Argo CD offers: what they write, and that the operator acts on it.

use kratos_operator::api::KratosIdentity;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use super::{ARGOCD, live, path, tool};
use crate::missing::misses;
use crate::policing::{about_all, everything};
use crate::protection::instance_holds;
use crate::scene::{Scene, WITHIN, id_of, pretty};
use crate::testenv::process::eventually;

const REQUEST: &str = "kratos-operator.dev/reconcile-requested-at";
const RELEASE: &str = "kratos-operator.dev/release";
const KEEP: &str = "kratos-operator.dev/keep";

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

/// The names that are offered, each with what it is called and whether it is disabled.
fn offered(object: &Value) -> Vec<(String, String, bool)> {
    let found = tool(&["actions", &path(ARGOCD)], &object.to_string()).expect("actions");
    let found: Vec<Value> = serde_json::from_str(&found).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let of = |action: &Value| {
        (text(&action["name"]), text(&action["displayName"]), action["disabled"].as_bool().expect("yes or no"))
    };
    found.iter().map(of).collect()
}

/// Does an action as Argo CD does it. Returns what it wrote: an annotation, and nothing else.
async fn act(scene: &Scene, kind: &str, name: &str, action: &str, annotation: &str) -> String {
    let object = live(scene, kind, &scene.namespace, name).await;
    let patch = tool(&["act", &path(ARGOCD), action], &object.to_string()).expect("a patch");
    let patch: Value = serde_json::from_str(&patch).expect("JSON");
    let value = patch["metadata"]["annotations"][annotation].as_str().expect("a value").to_owned();
    assert_eq!(patch, json!({"metadata": {"annotations": {annotation: value}}}), "{action} changes nothing else");
    let kind = GroupVersionKind::gvk("kratos-operator.dev", "v1alpha1", kind);
    let api: Api<DynamicObject> =
        Api::namespaced_with(scene.client.clone(), &scene.namespace, &ApiResource::from_gvk(&kind));
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("it is accepted");
    value
}

/// Waits until the request that an action made is served.
async fn served(scene: &Scene, kind: &str, name: &str, value: &str) {
    let mut last = Value::Null;
    let found = eventually("the request is served", WITHIN, async || {
        last = live(scene, kind, &scene.namespace, name).await;
        (last["status"]["lastHandledReconcileAt"] == value).then_some(())
    });
    found.await.unwrap_or_else(|error| panic!("{error}: {}", pretty(&last)));
}

#[tokio::test]
async fn the_action_reconcile_has_each_kind_looked_at_and_changes_nothing_else() {
    let scene = Scene::policing().await;
    // Empty objects are what Lua can't tell from empty lists.
    let ada = json!({"schemaID": "plain", "traits": {"label": "ada", "empty": {}, "none": []}, "metadataPublic": {}});
    scene.identity("ada", ada).await;
    scene.ready("ada").await;
    scene.policy("all", about_all(everything())).await;
    let annotated = json!({"metadata": {"annotations": {"of": "somebody else's"}}});
    scene.patch("ada", annotated).await;
    for (kind, name) in [("KratosIdentity", "ada"), ("KratosSessionPolicy", "all"), ("KratosInstance", "default")] {
        let object = live(&scene, kind, &scene.namespace, name).await;
        assert_eq!(offered(&object)[0], ("reconcile".into(), "Reconcile now".into(), false), "{kind}");
        let value = act(&scene, kind, name, "reconcile", REQUEST).await;
        served(&scene, kind, name, &value).await;
    }
    let ada = live(&scene, "KratosIdentity", &scene.namespace, "ada").await;
    assert_eq!(ada["metadata"]["annotations"]["of"], "somebody else's");
}

/// How the action that releases is offered.
async fn release_of(scene: &Scene) -> (String, bool) {
    offer_of(scene, "release").await
}

/// What an action of the instance is called, and whether it is disabled.
async fn offer_of(scene: &Scene, action: &str) -> (String, bool) {
    let object = live(scene, "KratosInstance", &scene.namespace, "default").await;
    let found = offered(&object).into_iter().find(|(name, ..)| name == action).expect("it is offered");
    (found.1, found.2)
}

#[tokio::test]
async fn the_action_keep_lets_go_what_is_held_and_keeps_the_identities() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 0}})).await;
    let called = "Keep the identities of held deletions".to_owned();
    assert_eq!(offer_of(&scene, "keep").await, (called.clone(), true));
    scene.identity("one", plain("one")).await;
    scene.ready("one").await;
    scene.delete("one").await;
    instance_holds(&scene, 1).await;
    assert_eq!(offer_of(&scene, "keep").await, (called, false));
    act(&scene, "KratosInstance", "default", "keep", KEEP).await;
    scene.gone("one").await;
    assert_eq!(scene.ours().await.len(), 1);
}

#[tokio::test]
async fn the_action_release_carries_out_what_is_held_and_is_offered_only_then() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 1}})).await;
    assert_eq!(release_of(&scene).await, ("Release held deletions".into(), true));
    let names = ["one", "two", "three"];
    for name in names {
        scene.identity(name, plain(name)).await;
    }
    for name in names {
        scene.ready(name).await;
    }
    // As many as may go, and then the others.
    scene.delete("one").await;
    scene.gone("one").await;
    for name in &names[1..] {
        scene.delete(name).await;
    }
    instance_holds(&scene, 2).await;
    assert_eq!(release_of(&scene).await, ("Release held deletions".into(), false));
    act(&scene, "KratosInstance", "default", "release", RELEASE).await;
    for name in names {
        scene.gone(name).await;
    }
    assert_eq!(scene.ours().await.len(), 0);
}

#[tokio::test]
async fn where_identities_are_missing_the_action_release_is_called_what_it_does() {
    let scene = Scene::own().await;
    scene.instance(json!({"resyncInterval": "1s", "protection": {"maxMissing": 1}})).await;
    let names = ["one", "two", "three"];
    let mut before = Vec::new();
    for name in names {
        scene.identity(name, plain(name)).await;
        before.push(id_of(&scene.ready(name).await));
    }
    scene.kratos.exchange_database().await.expect("it starts with an empty one");
    misses(&scene, 3).await;
    assert_eq!(release_of(&scene).await, ("Make missing identities again".into(), false));
    act(&scene, "KratosInstance", "default", "release", RELEASE).await;
    for (name, before) in names.iter().zip(before) {
        let is_another = |ada: &KratosIdentity| {
            let id = ada.status.as_ref()?.identity_id.clone()?;
            (id != before).then_some(())
        };
        scene.until(name, "made again", is_another).await;
        scene.ready(name).await;
    }
}
