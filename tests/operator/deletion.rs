//! A resource is deleted: its identity is dealt with as the manifest says, and nothing else is.

use kratos_operator::kratos::{Identity, State};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

fn customer(email: &str, policy: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}, "deletion": {"policy": policy}})
}

async fn by_id(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

#[tokio::test]
async fn delete_takes_the_identity_and_its_sessions() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@delete-it.example", "Delete")).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@delete-it.example").await;
    scene.count_from_now();
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_none());
    assert!(!scene.is_logged_in(&token).await);
    assert_eq!((scene.kratos_writes(), scene.kratos_requests()), (1, 2), "{:?}", scene.proxy.counts());
    // It is counted, and the finalizer goes; no status. (How many there are is told of the instance some seconds later.)
    let (of_the_instance, others): (Vec<_>, Vec<_>) =
        scene.kubernetes_writes().into_iter().partition(|write| write == "PATCH kratosinstances/status");
    assert_eq!(others, ["POST configmaps", "PATCH kratosidentities"]);
    assert!(of_the_instance.len() <= 1, "{of_the_instance:?}");
    scene.event(&ada, "IdentityDeleted").await;
}

#[tokio::test]
async fn orphan_leaves_the_identity_as_it_is() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@orphan.example", "Orphan")).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@orphan.example").await;
    let before = scene.in_kratos(&ada).await;
    scene.count_from_now();
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert_eq!(scene.proxy.counts(), [].into());
    assert_eq!(by_id(&scene, &before.id).await, Some(before));
    assert!(scene.is_logged_in(&token).await);
    let note = scene.event(&ada, "IdentityKept").await;
    assert!(note.contains("Orphan"), "{note}");
}

#[tokio::test]
async fn deactivate_ends_sessions_for_good() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@deactivate.example", "Deactivate")).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@deactivate.example").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert_eq!(by_id(&scene, &id_of(&ada)).await.map(|ada| ada.state), Some(State::Inactive));
    assert!(!scene.is_logged_in(&token).await);
    scene.event(&ada, "IdentityDeactivated").await;
    scene.change_in_kratos(&ada, "/state", json!("active")).await;
    assert!(!scene.is_logged_in(&token).await, "the session doesn't come back to life");
}

#[tokio::test]
async fn deactivate_ends_the_sessions_of_one_that_is_inactive_already() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@already.example", "Deactivate")).await;
    let ada = scene.ready("ada").await;
    let token = scene.logged_in(&ada, "ada@already.example").await;
    scene.change_in_kratos(&ada, "/state", json!("inactive")).await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    scene.change_in_kratos(&ada, "/state", json!("active")).await;
    assert!(!scene.is_logged_in(&token).await);
}

#[tokio::test]
async fn suspended_and_observing_resources_are_let_go_untouched() {
    let scene = Scene::settled().await;
    for (name, change) in [("suspended", json!({"suspend": true})), ("observing", json!({"mode": "Observe"}))] {
        scene.identity(name, customer(&format!("{name}@untouched.example"), "Delete")).await;
        let resource = scene.ready(name).await;
        let before = scene.in_kratos(&resource).await;
        scene.patch(name, json!({"spec": change})).await;
        scene.request_reconcile(name).await;
        scene.count_from_now();
        scene.delete(name).await;
        scene.gone(name).await;
        assert_eq!(scene.proxy.counts(), [].into());
        assert_eq!(by_id(&scene, &before.id).await, Some(before));
        scene.event(&resource, "IdentityKept").await;
    }
}

#[tokio::test]
async fn a_resource_that_waits_for_a_server_is_let_go_by_orphan() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@waiting.example", "Delete")).await;
    let ada = scene.ready("ada").await;
    scene.proxy.down();
    scene.delete("ada").await;
    let message = scene.retrying("ada", "KratosUnavailable").await;
    assert!(message.contains("deletion.policy to Orphan"), "{message}");
    scene.patch("ada", json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    scene.gone("ada").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_some());
}

#[tokio::test]
async fn a_resource_that_waits_for_a_server_is_dealt_with_once_it_answers() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@comes-back.example", "Delete")).await;
    let ada = scene.ready("ada").await;
    scene.proxy.down();
    scene.delete("ada").await;
    scene.retrying("ada", "KratosUnavailable").await;
    scene.proxy.up().expect("it comes back");
    scene.gone("ada").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_none());
}

#[tokio::test]
async fn an_identity_that_is_gone_already_is_done() {
    let scene = Scene::settled().await;
    for policy in ["Delete", "Deactivate"] {
        scene.identity("ada", customer("ada@gone.example", policy)).await;
        let ada = scene.ready("ada").await;
        scene.admin().delete_identity(&id_of(&ada)).await.expect("it is deleted");
        scene.delete("ada").await;
        scene.gone("ada").await;
        scene.event(&ada, "IdentityGone").await;
    }
}

#[tokio::test]
async fn a_resource_that_never_got_an_identity_goes_at_once() {
    let scene = Scene::settled().await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": 4711}})).await;
    scene.stalled("ada", "TraitsRejected").await;
    scene.count_from_now();
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert_eq!(scene.kratos_writes(), 0);
}

#[tokio::test]
async fn other_finalizers_are_respected() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@finalizers.example", "Delete")).await;
    let ada = scene.ready("ada").await;
    let finalizers = ["example.com/hold", "kratos-operator.dev/identity"];
    scene.patch("ada", json!({"metadata": {"finalizers": finalizers}})).await;
    scene.delete("ada").await;
    let held = scene
        .until("ada", "ours is gone", |ada| {
            (ada.metadata.finalizers.as_deref() == Some(&["example.com/hold".to_owned()])).then_some(())
        })
        .await;
    assert!(held.metadata.deletion_timestamp.is_some());
    assert!(by_id(&scene, &id_of(&ada)).await.is_none());
    scene.count_from_now();
    let annotations = json!({"kratos-operator.dev/reconcile-requested-at": "now"});
    scene.patch("ada", json!({"metadata": {"annotations": annotations}})).await;
    scene.settle_again("beside").await;
    assert_eq!(scene.proxy.counts(), [("POST /admin/identities".to_owned(), 1)].into(), "it isn't made again");
    scene.patch("ada", json!({"metadata": {"finalizers": []}})).await;
    scene.gone("ada").await;
}

#[tokio::test]
async fn a_finalizer_that_somebody_took_away_is_put_back() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@taken-away.example", "Delete")).await;
    let ada = scene.ready("ada").await;
    scene.patch("ada", json!({"metadata": {"finalizers": null}})).await;
    scene.until("ada", "the finalizer", |ada| ada.metadata.finalizers.clone()).await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_none());
}

#[tokio::test]
async fn a_namespace_deleted_as_a_whole_takes_its_identities() {
    let scene = Scene::shared().await;
    if scene.cluster.id().is_some() {
        // Its role binding goes as well, maybe first: `namespaced` tests that.
        return;
    }
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let mut made = Vec::new();
    for number in 0..5 {
        let name = format!("ada-{number}");
        scene.identity_in(&tenant, &name, customer(&format!("{name}@whole.example"), "Delete")).await;
        made.push(id_of(&scene.ready_in(&tenant, &name).await));
    }
    let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(scene.client.clone());
    namespaces.delete(&tenant, &kube::api::DeleteParams::default()).await.expect("it can be deleted");
    let gone = eventually("the namespace is gone", WITHIN, async || {
        matches!(namespaces.get_opt(&tenant).await, Ok(None)).then_some(())
    });
    gone.await.expect("it goes");
    for id in made {
        assert!(by_id(&scene, &id).await.is_none());
    }
}
