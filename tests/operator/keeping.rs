//! Deletions that were held and weren't meant: the resources go, the identities stay, and a revert takes them back.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::protection::{are_held, delete_all, ids_in, instance_holds, listed, made, plain, release};
use crate::scene::{Scene, id_of};

async fn keep(scene: &Scene, token: &str) {
    annotate(scene, json!({"kratos-operator.dev/keep": token})).await;
}

async fn annotate(scene: &Scene, annotations: Value) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    scene.instances().patch("default", &PatchParams::default(), &patch).await.expect("it is accepted");
}

#[tokio::test]
async fn a_revert_takes_back_those_that_were_kept_whatever_is_killed() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "protection": {"maxDeletions": 2}})).await;
    let (one, two) = (scene.other_namespace("one", &[]).await, scene.other_namespace("two", &[]).await);
    let before = made(&scene, &one, 6).await;
    made(&scene, &two, 4).await;
    delete_all(&scene, &one).await;
    delete_all(&scene, &two).await;
    listed(&scene, &one, "six are held", |all| are_held(all, 6)).await;
    listed(&scene, &two, "four are held", |all| are_held(all, 4)).await;
    let message = instance_holds(&scene, 10).await;
    assert!(message.contains("kratos-operator.dev/keep"), "{message}");

    let kept = ids_in(&scene, &one).await;
    keep(&scene, &format!("{one}=the-commit-was-reverted")).await;
    scene.operator().kill();
    scene.operator().restart().expect("it starts");
    listed(&scene, &one, "they are let go", <[_]>::is_empty).await;
    assert_eq!(ids_in(&scene, &one).await, kept, "each of the six is there");
    listed(&scene, &two, "the other namespace's are held", |all| are_held(all, 4)).await;

    // The revert, applied again.
    let again = made(&scene, &one, 6).await;
    let ids: std::collections::BTreeSet<_> = again.iter().map(id_of).collect();
    assert_eq!(kept, ids, "they are who they were");
    assert!(before.iter().all(|one| ids.contains(&id_of(one))));

    // The same value keeps nothing more; a new one is about all.
    delete_all(&scene, &one).await;
    listed(&scene, &one, "six are held again", |all| are_held(all, 6)).await;
    keep(&scene, "everything").await;
    listed(&scene, &one, "they are let go", <[_]>::is_empty).await;
    listed(&scene, &two, "these too", <[_]>::is_empty).await;
    assert_eq!((ids_in(&scene, &one).await, ids_in(&scene, &two).await.len()), (ids, 4));
}

#[tokio::test]
async fn where_both_annotations_are_new_nothing_is_deleted() {
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 0}})).await;
    let _ = made(&scene, &scene.namespace, 3).await;
    delete_all(&scene, &scene.namespace).await;
    instance_holds(&scene, 3).await;
    annotate(&scene, json!({"kratos-operator.dev/release": "1", "kratos-operator.dev/keep": "1"})).await;
    listed(&scene, &scene.namespace, "they are let go", <[_]>::is_empty).await;
    assert_eq!(scene.ours().await.len(), 3);

    // What is deleted later is held, and then carried out by a value that is new.
    scene.identity("late", plain("late", &json!({}))).await;
    scene.ready("late").await;
    scene.delete("late").await;
    instance_holds(&scene, 1).await;
    release(&scene, "2").await;
    scene.gone("late").await;
    assert_eq!(scene.ours().await.len(), 3);
}
