//! Shards, each with an admission policy of its own that gives its resources the finalizer: what is born to one costs its status,
//! and what changes hands while it is made has one identity.

use super::*;

use crate::admission_policy::policed_by;
use crate::many::STATUS;

#[tokio::test]
async fn with_a_policy_of_its_own_each_has_births_and_what_changes_hands_is_made_once() {
    let shards = Shards::start(json!({})).await;
    let scene = &shards.scene;
    for (name, selector, shard) in [("shard-a", "shard=a", "a"), ("others", "shard!=a", "b")] {
        let arguments = ["--namespaces", scene.namespace.as_str(), "--watch-selector", selector];
        policed_by(scene, name, &arguments, json!({"shard": shard})).await;
    }
    shards.count_from_now();
    for (name, shard) in [("ada", "a"), ("bob", "b")] {
        shards.apply(name, shard, plain(name)).await;
        scene.ready(name).await;
    }
    let (own, others) = (&scene.cluster.proxy, &shards.others_proxy);
    for proxy in [own, others] {
        assert_eq!((proxy.count(FINALIZER), proxy.count(STATUS)), (0, 1), "a status each: {:?}", proxy.counts());
    }

    // A create is on its way for so long that most change hands meanwhile, some to and fro.
    for create in [CREATE, BATCH] {
        scene.proxy.on(create).delay(Duration::from_millis(300));
    }
    let name = |number: usize| format!("n{number:03}");
    let made = (0..60).map(|number| {
        let (shards, name) = (&shards, name(number));
        async move {
            let spec = if number % 2 == 0 { plain(&name) } else { customer(&name, 20) };
            shards.apply(&name, "a", spec).await;
            for turn in 0..number % 4 {
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..150))).await;
                shards.relabel(&name, if turn % 2 == 0 { "b" } else { "a" }).await;
            }
        }
    });
    stream::iter(made).buffer_unordered(32).collect::<()>().await;
    let resources = shards.all_ready().await;
    let said: BTreeMap<_, _> = resources.iter().map(|(name, resource)| (name.clone(), id_of(resource))).collect();
    assert_eq!(said.len(), 62);
    assert_eq!(shards.one_each().await, said);

    // A new person whose create is under way when the resource changes hands is found, not made again.
    scene.proxy.clear_faults();
    let creates = scene.proxy.on(CREATE).times(1).carry_out_late();
    shards.apply("box", "a", plain("box")).await;
    creates.held().await;
    shards.relabel("box", "b").await;
    let told = |now: &KratosIdentity| reason_of(now, "Reconciling", "True");
    scene.until("box", "it waits", told).await;
    creates.release();
    let id = id_of(&scene.ready("box").await);
    assert_eq!(shards.one_each().await["box"], id);
}
