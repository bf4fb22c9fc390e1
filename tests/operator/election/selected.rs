//! Replicas of operators that share the work by labels: those of one selector stand by for each other and for nobody else.

use super::*;

use std::collections::BTreeSet;

use crate::scene::{WITHIN, id_of};

const SPEAKS: &str = "this operator speaks for the instance";

/// The names of the identities that a replica has written to.
fn written(replica: &Replica) -> BTreeSet<String> {
    let seen = replica.proxy().seen().into_iter().filter(|seen| seen.label.starts_with("PATCH kratosidentities"));
    let name = |path: String| Some(path.split("/kratosidentities/").nth(1)?.split('/').next()?.to_owned());
    seen.filter_map(|seen| name(seen.path)).collect()
}

async fn apply(scene: &Scene, name: &str, shard: &str) {
    let object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": name, "namespace": scene.namespace, "labels": {"shard": shard}},
        "spec": {
            "instanceRef": {"name": "default", "namespace": scene.namespace},
            "schemaID": "plain", "traits": {"label": name},
        },
    });
    let params = PatchParams::apply("test").force();
    scene.identities().patch(name, &params, &Patch::Apply(&object)).await.expect("it is accepted");
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn replicas_of_a_shard_take_over_its_share_alone() {
    let kratos = Arc::new(Kratos::start(Options::default()).await.expect("Kratos starts"));
    let cluster = Arc::new(Cluster::without_a_lease(&["--leader-elect", "--watch-selector", "shard"]).await);
    let namespace = "space-000".to_owned();
    cluster.make_all(std::slice::from_ref(&namespace)).await;
    // However it is written, it is one selector.
    let mut first = Replica::of(&cluster, &namespace, "shard in (a)");
    let others = Replica::of(&cluster, &namespace, "shard!=a");
    first.says(LEADS, TAKEN_OVER).await;
    others.says(LEADS, TAKEN_OVER).await;
    let second = Replica::of(&cluster, &namespace, "shard=a");
    second.says(STANDS_BY, WITHIN).await;
    let scene = Scene::set(cluster, Server::Own(kratos), None, namespace).await;
    // Counts are told by a resync.
    scene.instance(json!({"resyncInterval": "2s"})).await;
    scene.counted().await;
    for (name, shard) in [("ada", "a"), ("bob", "b")] {
        apply(&scene, name, shard).await;
        scene.ready(name).await;
    }
    assert_eq!((written(&first), written(&others)), (set(["ada"]), set(["bob"])), "each its own");
    assert_eq!(second.writes(), Vec::<String>::new(), "a standby asks for no instance's Lease either");
    let leases = leases(&scene.client).list(&kube::api::ListParams::default()).await.expect("a list");
    let selectors: BTreeSet<_> = leases
        .into_iter()
        .filter_map(|lease| lease.metadata.annotations?.get("kratos-operator.dev/watch-selector").cloned())
        .collect();
    assert_eq!(selectors, set(["shard=a", "shard!=a"]), "one Lease a selector");

    first.operator.kill();
    let killed = Instant::now();
    apply(&scene, "alan", "a").await;
    apply(&scene, "bea", "b").await;
    scene.ready("bea").await;
    assert!(!second.operator.log().contains(LEADS), "the others go on meanwhile");
    second.says(LEADS, TAKEN_OVER).await;
    println!("taken over after {:?}", killed.elapsed());
    scene.ready("alan").await;
    // One of those that are left speaks for the instance, whoever did before.
    let speaks = || [&others, &second].iter().filter(|replica| replica.operator.log().contains(SPEAKS)).count();
    let spoken = eventually("one speaks for the instance", TAKEN_OVER, async || (speaks() > 0).then_some(()));
    spoken.await.expect("one does");
    scene
        .instance_until("default", "all are counted", |instance| {
            let counts = instance.status.as_ref()?.identities.as_ref()?;
            ((counts.managed, counts.orphaned) == (4, 0)).then_some(())
        })
        .await;
    assert_eq!((written(&second), written(&others)), (set(["alan"]), set(["bea", "bob"])));
    // A resource changes hands between who took over and the others, and keeps its identity.
    let before = id_of(&scene.ready("bob").await);
    apply(&scene, "bob", "a").await;
    scene.patch("bob", json!({"spec": {"traits": {"label": "robert"}}})).await;
    let after = scene.ready("bob").await;
    assert_eq!(id_of(&after), before);
    assert_eq!(scene.in_kratos(&after).await.traits.read().expect("traits")["label"], "robert");
    assert!(written(&second).contains("bob"));
    assert_eq!(scene.ours().await.len(), 4);
    assert!(first.operator.exited().is_some());
}
