//! An instance's rules for other namespaces: for the manifest before anything is asked, for what is there, and for what
//! would come of it. Rules that are of no use admit nobody, and harm nobody else.

use kratos_operator::api::condition;
use serde_json::{Value, json};

use crate::scene::{Scene, id_of};

const DOMAIN: &str = "identifiers.all(i, i.endsWith('@team-a.example'))";

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}})
}

async fn ruled(rules: Value) -> (Scene, String) {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": rules})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[("tier", "gold")]).await;
    (scene, tenant)
}

async fn instance_says(scene: &Scene, what: &str) {
    let says = |instance: &kratos_operator::api::KratosInstance| {
        let status =
            instance.status.as_ref().filter(|status| status.observed_generation == instance.metadata.generation)?;
        let found = condition::find(&status.conditions, "Stalled")?;
        (found.status == "True" && found.reason == "InvalidSpec" && found.message.contains(what)).then_some(())
    };
    scene.instance_until("default", what, says).await;
}

#[tokio::test]
async fn a_namespace_is_admitted_with_its_own_domain_alone() {
    let (scene, tenant) = ruled(json!([{"expression": DOMAIN, "message": "team-a has its own domain only"}])).await;
    scene.identity_in(&tenant, "ada", customer("ada.rules@team-a.example")).await;
    let ada = scene.ready_in(&tenant, "ada").await;

    scene.count_from_now();
    scene.identity_in(&tenant, "grace", customer("grace.rules@team-b.example")).await;
    let message = scene.stalled_in(&tenant, "grace", "NotPermitted").await;
    assert!(message.contains("team-a has its own domain only") && !message.contains("grace.rules"), "{message}");
    assert_eq!(scene.proxy.counts(), [].into(), "the manifest alone breaks the rule: nothing is asked");

    // A change that breaks the rule: nothing is asked, nothing is written.
    let before = scene.in_kratos(&ada).await;
    scene.identity_in(&tenant, "ada", customer("ada.rules@team-b.example")).await;
    scene.stalled_in(&tenant, "ada", "NotPermitted").await;
    assert_eq!(scene.proxy.counts(), [].into());
    assert_eq!(scene.in_kratos(&ada).await, before);

    // Who stands beside the instance isn't bound.
    scene.identity("beside", customer("beside.rules@team-b.example")).await;
    scene.ready("beside").await;

    // Rules that change count at once, for whom they concern.
    scene
        .instance(
            json!({"allowedNamespaces": {"from": "All"}, "rules": [{"expression": "namespace.labels.tier == 'gold'", "message": "gold alone"}]}),
        )
        .await;
    scene.ready_in(&tenant, "grace").await;
    let again = scene.ready_in(&tenant, "ada").await;
    assert_eq!(id_of(&again), id_of(&ada));
}

#[tokio::test]
async fn an_identity_that_breaks_the_rules_in_kratos_is_left_alone() {
    let (scene, tenant) = ruled(json!([{"expression": DOMAIN, "message": "other domains are others'"}])).await;
    let mut spec = customer("linus.rules@team-a.example");
    // The address is their own: otherwise it would be put back.
    spec["traitsPolicy"] = json!("CreateOnly");
    scene.identity_in(&tenant, "linus", spec.clone()).await;
    let linus = scene.ready_in(&tenant, "linus").await;
    let changed = scene.change_in_kratos(&linus, "/traits/email", json!("linus.rules@team-b.example")).await;

    scene.count_from_now();
    spec["metadataPublic"] = json!({"plan": "gold"});
    scene.identity_in(&tenant, "linus", spec).await;
    let message = scene.stalled_in(&tenant, "linus", "NotPermitted").await;
    assert!(message.contains("rule 1") && !message.contains("team-b"), "{message}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.in_kratos(&linus).await.traits, changed.traits);

    // It is still this namespace's, so it goes with its resource.
    scene.identities_in(&tenant).delete("linus", &kube::api::DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(&tenant, "linus").await;
    assert!(scene.ours().await.iter().all(|identity| identity.id != id_of(&linus)));
}

#[tokio::test]
async fn what_would_come_of_a_change_must_hold_too() {
    // The manifest alone and the identity alone hold; together they don't.
    let rule = json!([{"expression": "!(has(identity.metadata_public.a) && has(identity.metadata_public.b))", "message": "either"}]);
    let (scene, tenant) = ruled(rule).await;
    let mut spec = customer("barbara.rules@team-a.example");
    scene.identity_in(&tenant, "barbara", spec.clone()).await;
    let barbara = scene.ready_in(&tenant, "barbara").await;
    scene.change_in_kratos(&barbara, "/metadata_public", json!({"a": 1})).await;

    scene.count_from_now();
    spec["metadataPublic"] = json!({"b": 2});
    scene.identity_in(&tenant, "barbara", spec).await;
    scene.stalled_in(&tenant, "barbara", "NotPermitted").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.in_kratos(&barbara).await.metadata_public, json!({"a": 1}));
}

#[tokio::test]
async fn rules_of_no_use_admit_nobody_and_the_instance_says_so() {
    let (scene, tenant) = ruled(json!([])).await;
    scene.identity_in(&tenant, "ada", customer("ada.useless@team-a.example")).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    let deep = format!("{}true{}", "(".repeat(2000), ")".repeat(2000));
    let loops = "identifiers.all(a, identifiers.all(b, identifiers.all(c, true)))";
    for (number, expression) in ["identity.", &deep, loops, "frobnicate(identity)"].into_iter().enumerate() {
        let rules = json!([{"expression": "true", "message": "all"}, {"expression": expression, "message": "few"}]);
        let spec = scene.instance_spec(json!({"allowedNamespaces": {"from": "All"}, "rules": rules}));
        scene.apply_instance(&scene.namespace, "default", spec).await;
        instance_says(&scene, "rule 2").await;
        scene.stalled_in(&tenant, "ada", "NotPermitted").await;
        let name = format!("beside-{number}");
        scene.identity(&name, customer(&format!("{name}.useless@team-a.example"))).await;
        scene.ready(&name).await;
    }
    // Not a consent that was withdrawn: what is deleted is deleted.
    scene.identities_in(&tenant).delete("ada", &kube::api::DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(&tenant, "ada").await;
    assert!(scene.ours().await.iter().all(|identity| identity.id != id_of(&ada)));
}

#[tokio::test]
async fn a_slow_rule_refuses_and_holds_up_nobody() {
    let (scene, tenant) = ruled(
        json!([{"expression": "identity.metadata_public.l.all(a, identity.metadata_public.l.all(b, a + b >= 0))", "message": "sums"}]),
    )
    .await;
    let mut spec = customer("slow.rules@team-a.example");
    spec["metadataPublic"] = json!({"l": (0..5000).collect::<Vec<_>>()});
    scene.count_from_now();
    scene.identity_in(&tenant, "slow", spec).await;
    let message = scene.stalled_in(&tenant, "slow", "NotPermitted").await;
    assert!(message.contains("more work"), "{message}");
    assert_eq!(scene.proxy.counts(), [].into());
    scene.settle_again("quick").await;
}
