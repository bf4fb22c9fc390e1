//! What changes while a deletion waits is noticed: it is checked once more right before anything is deleted.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::Identity;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, merge};
use crate::testenv::faults::HeldRequests;
use crate::testenv::process::eventually;

/// How many changes and deletions one instance is asked for at the same time.
const TURNS: usize = 16;
/// Identities that were read longer ago are read again.
const READ_AGAIN: Duration = Duration::from_secs(8);
const CHANGE: &str = "PATCH /admin/identities/{id}";
const DELETE: &str = "DELETE /admin/identities/{id}";
const READ: &str = "GET /admin/identities/{id}";

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

async fn by_id(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

/// Has all turns of the instance taken, until released.
async fn all_turns_taken(scene: &Scene) -> HeldRequests {
    for number in 0..TURNS {
        scene.identity(&format!("busy-{number}"), plain("before")).await;
    }
    for number in 0..TURNS {
        scene.ready(&format!("busy-{number}")).await;
    }
    let changes = scene.proxy.on(CHANGE).hold();
    for number in 0..TURNS {
        scene.patch(&format!("busy-{number}"), json!({"spec": {"traits": {"label": "after"}}})).await;
    }
    changes.held_times(TURNS).await;
    changes
}

/// Deletes resources, and waits until all of them are counted, and so wait for their turn.
async fn waiting(scene: &Scene, resources: &[KratosIdentity]) {
    for resource in resources {
        let api = scene.identities_in(&resource.namespace().expect("a namespace"));
        api.delete(&resource.name_any(), &DeleteParams::default()).await.expect("it can be deleted");
    }
    let uids: Vec<_> = resources.iter().map(|one| one.uid().expect("a uid")).collect();
    scene.kept_until("all are counted", |kept| uids.iter().all(|uid| kept.granted.contains(uid))).await;
}

#[tokio::test]
async fn a_deletion_that_waits_for_its_turn_goes_by_what_manifest_and_mark_say_when_it_has_it() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": "30s"})).await;
    let names = ["orphaned", "suspended", "observing", "taken", "meant"];
    let mut resources = Vec::new();
    for name in names {
        scene.identity(name, plain(name)).await;
        resources.push(scene.ready(name).await);
    }
    let turns = all_turns_taken(&scene).await;
    waiting(&scene, &resources).await;
    scene.patch("orphaned", json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    scene.patch("suspended", json!({"spec": {"suspend": true}})).await;
    scene.patch("observing", json!({"spec": {"mode": "Observe"}})).await;
    let counted = Instant::now();
    let passed = eventually("what was read is old", WITHIN, async || (counted.elapsed() > READ_AGAIN).then_some(()));
    passed.await.expect("time passes");
    scene.change_in_kratos(&resources[3], "/metadata_admin/kratos-operator.dev/uid", json!("another")).await;
    turns.release();
    for name in names {
        scene.gone(name).await;
    }
    let mut kept = Vec::new();
    for (resource, name) in resources.iter().zip(names) {
        kept.extend(by_id(&scene, &id_of(resource)).await.map(|_| name));
    }
    assert_eq!(kept, ["orphaned", "suspended", "observing", "taken"]);
    assert_eq!(scene.proxy.count(DELETE), 1, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn a_deletion_that_waits_for_its_turn_goes_by_the_instances_mode_and_consent_when_it_has_it() {
    for withdrawn in [false, true] {
        let scene = Scene::shared().await;
        let by_label = json!({"from": "Selector", "selector": {"matchLabels": {"kratos": "allowed"}}});
        // Longer than labels are polled, where they can't be watched.
        let spec = json!({"requestTimeout": "2m", "allowedNamespaces": by_label});
        scene.instance(spec.clone()).await;
        let tenant = scene.other_namespace("tenant", &[("kratos", "allowed")]).await;
        scene.identity_in(&tenant, "ada", plain("ada")).await;
        let ada = scene.ready_in(&tenant, "ada").await;
        let turns = all_turns_taken(&scene).await;
        waiting(&scene, std::slice::from_ref(&ada)).await;
        if withdrawn {
            let namespaces = Api::<Namespace>::all(scene.client.clone());
            let patch = Patch::Merge(json!({"metadata": {"labels": {"kratos": null}}}));
            namespaces.patch(&tenant, &PatchParams::default(), &patch).await.expect("it is labelled");
            // Whoever comes now is told: the operator has heard of it.
            scene.identity_in(&tenant, "late", plain("late")).await;
            scene.stalled_in(&tenant, "late", "NotPermitted").await;
        } else {
            let mut observed = spec;
            merge(&mut observed, json!({"mode": "Observe"}));
            scene.instance(observed).await;
        }
        turns.release();
        scene.gone_in(&tenant, "ada").await;
        assert!(by_id(&scene, &id_of(&ada)).await.is_some(), "withdrawn: {withdrawn}");
        assert_eq!(scene.proxy.count(DELETE), 0);
    }
}

#[tokio::test]
async fn at_the_end_of_a_grace_period_the_mark_and_the_resource_are_read_after_everything_else() {
    let scene = Scene::settled().await;
    let mut spec = plain("ada");
    merge(&mut spec, json!({"deletion": {"gracePeriod": "5s"}}));
    scene.identity("ada", spec.clone()).await;
    let ada = scene.ready("ada").await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    // The period ends, and its end is kept waiting for what the namespace says.
    let about = format!("/namespaces/{}", scene.namespace);
    let reads = scene.cluster.proxy.on_where(move |label, path| label == "GET namespaces" && path.ends_with(&about));
    let read = reads.once().hold();
    read.held().await;
    // Meanwhile the manifest comes back, gets its identity, and lets it go for good.
    scene.identity("ada", spec).await;
    let again = scene.ready("ada").await;
    assert_eq!(id_of(&again), id_of(&ada));
    scene.patch("ada", json!({"spec": {"deletion": {"policy": "Orphan"}}})).await;
    scene.delete("ada").await;
    scene.gone("ada").await;
    scene.count_from_now();
    read.release();
    let looked = eventually("the end goes on", WITHIN, async || {
        (scene.proxy.count(READ) + scene.proxy.count(DELETE) > 0).then_some(())
    });
    looked.await.expect("it looks");
    scene.settle_again("beside").await;
    assert!(by_id(&scene, &id_of(&ada)).await.is_some(), "{:?}", scene.proxy.counts());
    assert_eq!(scene.proxy.count(DELETE), 0);
}
