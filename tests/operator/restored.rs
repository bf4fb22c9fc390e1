//! A namespace that was deleted and restored under its name takes its identities back once an administrator says so, and nobody
//! who makes one of that name later does.

use k8s_openapi::api::core::v1::Namespace;
use kratos_operator::api::KratosInstance;
use kratos_operator::kratos::State;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;

fn customer(name: &str) -> Value {
    let email = format!("{name}@restored.example");
    json!({"schemaID": "customer", "traits": {"email": email}, "deletion": {"gracePeriod": "2h"}})
}

async fn uid_of(scene: &Scene, namespace: &str) -> String {
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces.get(namespace).await.expect("it is there").metadata.uid.expect("a uid")
}

/// Deletes a namespace with all that is in it, and makes one of that name.
async fn made_anew(scene: &Scene, namespace: &str) -> String {
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces.delete(namespace, &DeleteParams::default()).await.expect("it can be deleted");
    let gone = eventually("the namespace is gone", WITHIN, async || {
        matches!(namespaces.get_opt(namespace).await, Ok(None)).then_some(())
    });
    gone.await.expect("it goes");
    scene.make_namespace(namespace, &[]).await;
    uid_of(scene, namespace).await
}

fn instance(uids: &[&String]) -> Value {
    json!({"allowedNamespaces": {"from": "All"}, "resyncInterval": "2s", "reclaimNamespaces": uids})
}

#[tokio::test]
async fn a_restored_namespace_takes_its_identities_back_and_the_next_one_of_its_name_does_not() {
    let scene = Scene::own().await;
    scene.instance(instance(&[])).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    let first = uid_of(&scene, &tenant).await;
    let mut before = Vec::new();
    for name in ["ada", "grace"] {
        scene.identity_in(&tenant, name, customer(name)).await;
        before.push(id_of(&scene.ready_in(&tenant, name).await));
    }
    let second = made_anew(&scene, &tenant).await;
    scene.identity_in(&tenant, "ada", customer("ada")).await;
    let message = scene.stalled_in(&tenant, "ada", "IdentityConflict").await;
    assert!(message.contains("spec.reclaimNamespaces"), "{message}");
    assert!(!message.contains(&first) && !message.contains(&before[0]) && !message.contains("example"), "{message}");
    let former = |instance: &KratosInstance| {
        let former = &instance.status.as_ref()?.former_namespaces;
        (former.iter().any(|it| it.uid == first && it.name == tenant && it.identities == 2)).then_some(())
    };
    scene.instance_until("default", "it names the former namespace", former).await;

    scene.instance(instance(&[&first])).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    assert_eq!((id_of(&ada), scene.in_kratos(&ada).await.state), (before[0].clone(), State::Active));
    let status = scene.instance_ready("default").await.status.expect("a status");
    let taken: Vec<_> = status.reclaimed_namespaces.iter().map(|it| (&it.from, &it.to)).collect();
    assert_eq!(taken, [(&first, &second)]);

    // Whoever makes a namespace of that name later has none of it, neither what was taken back nor what was left.
    let third = made_anew(&scene, &tenant).await;
    for name in ["ada", "grace"] {
        scene.identity_in(&tenant, name, customer(name)).await;
        scene.stalled_in(&tenant, name, "IdentityConflict").await;
    }
    // But for what is said to be theirs.
    scene.instance(instance(&[&first, &second])).await;
    assert_eq!(id_of(&scene.ready_in(&tenant, "ada").await), before[0]);
    scene.stalled_in(&tenant, "grace", "IdentityConflict").await;

    // One that is there is none that is gone.
    scene.apply_instance(&scene.namespace, "default", scene.instance_spec(instance(&[&third]))).await;
    let refused = |instance: &KratosInstance| {
        let status = instance.status.as_ref()?;
        let stalled = kratos_operator::api::condition::find(&status.conditions, "Stalled")?;
        (stalled.reason == "InvalidSpec" && stalled.message.contains(&tenant)).then_some(())
    };
    scene.instance_until("default", "the uid is refused", refused).await;
    assert_eq!(scene.ours().await.len(), 2);
}
