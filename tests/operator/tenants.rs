//! Somebody else's mass deletion: namespaces are counted, held and released by themselves.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::protection::{are_held, delete_all, ids_in, instance_holds, listed, made, protection_of, release};
use crate::scene::{Scene, WITHIN, message_of};
use crate::testenv::process::eventually;

/// The note of an event about the instance.
async fn told(scene: &Scene, reason: &str) -> String {
    let instance = scene.instances().get("default").await.expect("it is there");
    let api = Api::<Event>::namespaced(scene.client.clone(), &scene.namespace);
    let what = format!("an event {reason}");
    let found = eventually(&what, WITHIN, async || {
        let events = api.list(&ListParams::default()).await.ok()?.items.into_iter();
        let about =
            |event: &Event| event.regarding.as_ref().is_some_and(|regarding| regarding.uid == instance.metadata.uid);
        events.filter(about).find(|event| event.reason.as_deref() == Some(reason))?.note
    });
    found.await.expect("it is told")
}

async fn all_gone(scene: &Scene, namespace: &str) {
    listed(scene, namespace, "all are gone", <[_]>::is_empty).await;
    assert_eq!(ids_in(scene, namespace).await.len(), 0);
}

#[tokio::test]
async fn somebody_elses_mass_deletion_holds_nobody_and_is_released_alone() {
    let scene = Scene::own().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "protection": {"maxDeletions": 3}})).await;
    let (crowd, beside) = (scene.other_namespace("crowd", &[]).await, scene.other_namespace("beside", &[]).await);
    made(&scene, &crowd, 6).await;
    made(&scene, &beside, 2).await;
    delete_all(&scene, &crowd).await;
    let held = listed(&scene, &crowd, "all are held", |all| are_held(all, 6)).await;
    let message = instance_holds(&scene, 6).await;
    assert!(message.contains(&format!("{crowd} (6)")), "{message}");
    delete_all(&scene, &beside).await;
    all_gone(&scene, &beside).await;
    instance_holds(&scene, 6).await;

    // A tenant is told how its own are released, and nothing of others.
    let message = message_of(&held[0], "Stalled");
    let command = format!("kubectl annotate kinst default -n {} --overwrite", scene.namespace);
    let value = format!("kratos-operator.dev/release={crowd}=");
    assert!(message.contains(&format!("{command} {value}")) && !message.contains(&beside), "{message}");

    // A name that holds nothing is said.
    release(&scene, &format!("{beside}=1")).await;
    let note = told(&scene, "NothingReleased").await;
    assert!(note.contains(&format!("nothing of namespace {beside} is held")), "{note}");
    listed(&scene, &crowd, "all are held still", |all| are_held(all, 6)).await;

    let meant = format!("{value}meant");
    let arguments = ["annotate", "kinst", "default", "-n", &scene.namespace, "--overwrite", &meant];
    scene.cluster.plane.kubectl().run(arguments).await.expect("it is annotated");
    all_gone(&scene, &crowd).await;
    assert!(told(&scene, "Released").await.contains(&format!("namespace {crowd} ")));
    assert_eq!(protection_of(&scene.instance_ready("default").await).held, 0);

    // What it deletes later counts anew, and a revert to a value of before releases nothing.
    made(&scene, &crowd, 5).await;
    delete_all(&scene, &crowd).await;
    let held = listed(&scene, &crowd, "five are held", |all| are_held(all, 5)).await;
    let one = held[0].metadata.name.clone().expect("a name");
    for value in [format!("{beside}=1"), format!("{crowd}=meant")] {
        release(&scene, &value).await;
        scene.request_reconcile_in(&crowd, &one).await;
        instance_holds(&scene, 5).await;
    }
    assert_eq!(ids_in(&scene, &crowd).await.len(), 5);
    release(&scene, &format!("{crowd}=meant again")).await;
    all_gone(&scene, &crowd).await;
}

#[tokio::test]
async fn over_the_total_those_go_on_that_used_no_more_than_a_quarter() {
    let scene = Scene::shared().await;
    let protection = json!({"maxDeletions": 4, "maxDeletionsTotal": 4});
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "protection": protection})).await;
    let mut namespaces = Vec::new();
    for (suffix, count) in [("a", 4), ("b", 3), ("c", 1)] {
        let namespace = scene.other_namespace(suffix, &[]).await;
        made(&scene, &namespace, count).await;
        namespaces.push(namespace);
    }
    delete_all(&scene, &namespaces[0]).await;
    all_gone(&scene, &namespaces[0]).await;
    delete_all(&scene, &namespaces[1]).await;
    listed(&scene, &namespaces[1], "three would be more than in all, and none goes", |all| are_held(all, 3)).await;
    delete_all(&scene, &namespaces[2]).await;
    all_gone(&scene, &namespaces[2]).await;
    instance_holds(&scene, 3).await;
}

#[tokio::test]
async fn what_is_held_by_namespace_survives_restarts_and_an_upgrade() {
    let mut scene = Scene::own().await;
    let protection = json!({"maxDeletions": 2, "window": "1h"});
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "protection": protection})).await;
    let (one, other) = (scene.other_namespace("one", &[]).await, scene.other_namespace("other", &[]).await);
    for namespace in [&one, &other] {
        made(&scene, namespace, 5).await;
        delete_all(&scene, namespace).await;
        listed(&scene, namespace, "all are held", |all| are_held(all, 5)).await;
    }
    instance_holds(&scene, 10).await;
    // The value is written while nobody is there to read it.
    scene.operator().kill();
    release(&scene, &format!("{one}=1")).await;
    scene.operator().restart().expect("it starts");
    all_gone(&scene, &one).await;
    instance_holds(&scene, 5).await;

    // As an earlier version wrote it, which counted all namespaces together, and knew of no ConfigMap.
    scene.operator().kill();
    let name = scene.protections_name().await;
    scene.config_maps().delete(&name, &DeleteParams::default()).await.expect("it can be deleted");
    let before = json!({
        "held": 5, "holding": null, "released": null, "reserved": [{"at": Timestamp::now(), "count": 2}],
        "lastRelease": {"token": format!("{one}=1"), "earlier": null},
    });
    let patch = Patch::Merge(json!({"status": {"protection": before}}));
    scene.instances().patch_status("default", &PatchParams::default(), &patch).await.expect("it is accepted");
    scene.operator().restart().expect("it starts");
    let asked = listed(&scene, &other, "all are held", |all| are_held(all, 5)).await;
    let name = asked[0].metadata.name.clone().expect("a name");
    scene.request_reconcile_in(&other, &name).await;
    let by_name = |instance: &kratos_operator::api::KratosInstance| {
        let holding = protection_of(instance).holding;
        (holding.len() == 1 && holding[0].namespace == other && holding[0].count == 5).then_some(())
    };
    scene.instance_until("default", "it holds by name", by_name).await;
    assert_eq!(ids_in(&scene, &other).await.len(), 5);
    release(&scene, "all of them").await;
    all_gone(&scene, &other).await;
}
