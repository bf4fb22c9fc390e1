//! Protection over several operators: what is deleted, or missing, through any of them counts together.

use std::collections::BTreeSet;

use kratos_operator::api::protection::ProtectionStatus;
use kratos_operator::api::{KratosInstance, condition};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{LIST, LONG, Shards, plain};
use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

fn protection_of(instance: &KratosInstance) -> ProtectionStatus {
    instance.status.as_ref().and_then(|status| status.protection.clone()).unwrap_or_default()
}

async fn instance_says(scene: &Scene, reason: &str) {
    let told = |instance: &KratosInstance| {
        let stalled = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
        (stalled.reason == reason).then_some(())
    };
    scene.instance_until("default", reason, told).await;
}

async fn release(scene: &Scene, token: &str) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"kratos-operator.dev/release": token}}}));
    scene.instances().patch("default", &PatchParams::default(), &patch).await.expect("it is accepted");
}

#[tokio::test]
async fn what_is_deleted_through_any_of_them_counts_together_and_is_released_together() {
    let shards = Shards::start(json!({"protection": {"maxDeletions": 3}})).await;
    let scene = &shards.scene;
    let names: Vec<_> = (0..8).map(|number| format!("n{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        shards.apply(name, if number % 2 == 0 { "a" } else { "b" }, plain(name)).await;
    }
    shards.all_ready().await;
    for name in &names {
        scene.delete(name).await;
    }
    instance_says(scene, "DeletionHeld").await;
    let held = |instance: &KratosInstance| (protection_of(instance).held == 8).then_some(());
    scene.instance_until("default", "all are held", held).await;
    assert_eq!(shards.one_each().await.len(), 8, "four through each are more than three, and so are they together");
    release(scene, "they are meant").await;
    for name in &names {
        scene.gone(name).await;
    }
    assert_eq!(shards.one_each().await.len(), 0);
    assert_eq!(protection_of(&scene.instance_ready("default").await).held, 0);
}

#[tokio::test]
async fn what_each_of_them_lets_go_is_counted_in_one_place() {
    let shards = Shards::start(json!({"protection": {"maxDeletions": 2, "window": "1h"}})).await;
    let scene = &shards.scene;
    for (name, shard) in [("n0", "a"), ("n1", "b"), ("n2", "a"), ("n3", "b")] {
        shards.apply(name, shard, plain(name)).await;
    }
    shards.all_ready().await;
    for (name, so_far) in [("n0", 1), ("n1", 2)] {
        scene.delete(name).await;
        scene.gone(name).await;
        let kept = scene.kept().await.expect("it is counted");
        assert_eq!(kept.reserved.iter().map(|entry| entry.count).sum::<u32>(), so_far, "{kept:?}");
    }
    for name in ["n2", "n3"] {
        scene.delete(name).await;
        scene.stalled(name, "DeletionHeld").await;
    }
    instance_says(scene, "DeletionHeld").await;
    assert_eq!(shards.one_each().await.len(), 2);
}

#[tokio::test]
async fn a_namespace_is_counted_over_all_of_them_held_alone_and_released_alone() {
    let protection = json!({"maxDeletions": 3});
    let shards = Shards::start(json!({"allowedNamespaces": {"from": "All"}, "protection": protection})).await;
    let scene = &shards.scene;
    let (crowd, beside) = (scene.other_namespace("crowd", &[]).await, scene.other_namespace("beside", &[]).await);
    let all: Vec<_> = (0..9).map(|number| (if number < 6 { &crowd } else { &beside }, format!("n{number}"))).collect();
    for (number, (namespace, name)) in all.iter().enumerate() {
        shards.apply_in(namespace, name, if number % 2 == 0 { "a" } else { "b" }, plain(name)).await;
    }
    for (namespace, name) in &all {
        scene.ready_in(namespace, name).await;
    }
    for (namespace, name) in &all {
        let api = scene.identities_in(namespace);
        api.delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    }
    let held = |instance: &KratosInstance| {
        let holding = protection_of(instance).holding;
        (holding.len() == 1 && holding[0].namespace == crowd && holding[0].count == 6).then_some(())
    };
    scene.instance_until("default", "six of one namespace are held", held).await;
    for (namespace, name) in &all[6..] {
        scene.gone_in(namespace, name).await;
    }
    assert_eq!(shards.one_each().await.len(), 6, "three through each would have been few enough");
    release(scene, &format!("{crowd}=meant")).await;
    for (namespace, name) in &all[..6] {
        scene.gone_in(namespace, name).await;
    }
    assert_eq!(shards.one_each().await.len(), 0);
}

#[tokio::test]
async fn identities_that_are_missing_are_counted_over_all_and_none_of_them_makes_any_again_before_it_is_released() {
    let shards = Shards::start(json!({"resyncInterval": "2s", "protection": {"maxMissing": 5}})).await;
    let scene = &shards.scene;
    for number in 0..8 {
        let name = format!("n{number}");
        shards.apply(&name, if number % 2 == 0 { "a" } else { "b" }, plain(&name)).await;
    }
    let before: BTreeSet<_> = shards.all_ready().await.values().map(id_of).collect();
    scene.proxy.down();
    for id in &before {
        scene.admin().delete_identity(id).await.expect("it is deleted");
    }
    scene.proxy.up().expect("it is back");
    instance_says(scene, "IdentitiesMissing").await;
    scene.proxy.reset();
    let listed = eventually("each lists again and again", WITHIN, async || {
        let is_whole = |seen: &RecordedRequest| seen.label == LIST && !seen.parameters.iter().any(|name| name == "ids");
        (scene.proxy.seen().iter().filter(|seen| is_whole(seen)).count() >= 6).then_some(())
    });
    listed.await.expect("they list");
    assert_eq!(shards.one_each().await.len(), 0, "four in each would have been few enough");
    release(scene, "make them again").await;
    let again = eventually("all are there again", LONG, async || (scene.ours().await.len() == 8).then_some(()));
    again.await.expect("they are made again");
    scene.instance_ready("default").await;
    assert_eq!(shards.one_each().await.len(), 8);
}
