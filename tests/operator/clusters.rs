//! Several clusters over one Kratos, a cluster that was rebuilt, and namespaces that go as a whole.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kratos_operator::api::{KratosIdentity, condition};
use kratos_operator::kratos::{Identity, State};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::passwords::put_secret;
use crate::scene::{Scene, WITHIN, id_of, is_namespaced, message_of};
use crate::testenv::process::eventually;

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@cluster.example")}})
}

/// Everything of an identity that a person cares about: all but the mark.
fn without_mark(identity: Identity) -> (String, String, State, [Value; 3]) {
    let Identity { id, schema_id, state, traits, metadata_public, metadata_admin, .. } = identity;
    let mut contents = [traits, metadata_public, metadata_admin].map(|content| content.read().unwrap().clone());
    contents[2]["kratos-operator.dev"] = Value::Null;
    (id, schema_id, state, contents)
}

async fn cluster_id(scene: &Scene) -> String {
    let status = scene.instance_ready("default").await.status.unwrap_or_default();
    status.cluster_id.expect("the instance says which cluster it is in")
}

#[tokio::test]
async fn two_clusters_of_one_owner_name_keep_off_each_others_identities() {
    let one = Scene::own().await.with_instance().await;
    let two = one.another_cluster().await.with_instance().await;
    one.identity("ada", customer("ada")).await;
    two.identity("bob", customer("bob")).await;
    let (ada, bob) = (one.ready("ada").await, two.ready("bob").await);
    let before = (one.in_kratos(&ada).await, two.in_kratos(&bob).await);

    // Of the same namespace and name, and of the same address only.
    for name in ["ada", "namesake"] {
        two.identity(name, customer("ada")).await;
        let told = two.stalled(name, "IdentityConflict").await;
        assert!(!told.contains("ada") && !told.contains(&id_of(&ada)), "{told}");
    }
    one.identity("bob", customer("bob")).await;
    one.stalled("bob", "IdentityConflict").await;
    assert_eq!((one.in_kratos(&ada).await, two.in_kratos(&bob).await), before);

    // Nor are they deleted by whoever doesn't have them.
    two.delete("ada").await;
    two.delete("namesake").await;
    two.gone("ada").await;
    two.gone("namesake").await;
    one.delete("bob").await;
    one.gone("bob").await;
    assert_eq!((one.in_kratos(&ada).await, two.in_kratos(&bob).await), before);
    two.delete("bob").await;
    two.gone("bob").await;
    let left: Vec<_> = one.ours().await.into_iter().map(|identity| identity.id).collect();
    assert_eq!(left, [before.0.id]);
}

#[tokio::test]
async fn a_rebuilt_cluster_takes_its_identities_back_and_changes_nothing_but_the_mark() {
    let old = Scene::own().await.with_instance().await;
    let mut ada = customer("ada");
    ada["metadataAdmin"] = json!({"costCenter": "42"});
    // Chosen before she chose another one; the new cluster's operator has another key to tell by.
    ada["credentials"] = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
    put_secret(&old, &[("password", b"given-to-ada-4714")]).await;
    let manifests = [("ada", ada), ("box", json!({"schemaID": "plain", "traits": {"label": "box"}}))];
    let mut before = Vec::new();
    for (name, spec) in &manifests {
        old.identity(name, spec.clone()).await;
        before.push(old.in_kratos(&old.ready(name).await).await);
    }
    let lost = cluster_id(&old).await;
    set_password(&old, &before[0], "correct horse battery").await;
    logs_in(&old).await;

    // The old cluster is gone with everything in it; Kratos is not.
    let new = old.rebuilt().await;
    new.instance(json!({})).await;
    put_secret(&new, &[("password", b"given-to-ada-4714")]).await;
    for (name, spec) in &manifests {
        new.identity(name, spec.clone()).await;
    }
    // Not told that the other one is gone, it doesn't touch what is the other one's.
    new.stalled("ada", "IdentityConflict").await;
    assert_eq!(new.kratos_writes(), new.proxy.count("POST /admin/identities"), "{:?}", new.proxy.counts());
    let kept = new.admin().get_identity(&before[0].id, &[]).await.expect("Kratos answers").expect("it is there");
    assert_eq!(kept.metadata_admin, before[0].metadata_admin);
    // What nothing unique tells apart is another one, until its cluster is known to be gone.
    let other_box = id_of(&new.ready("box").await);
    assert_ne!(other_box, before[1].id);
    new.delete("box").await;
    new.gone("box").await;

    new.instance(json!({"reclaimFrom": [lost]})).await;
    new.identity("box", manifests[1].1.clone()).await;
    for ((name, _), before) in manifests.iter().zip(before) {
        let after = new.ready(name).await;
        let uid = after.metadata.uid.clone();
        let after = new.in_kratos(&after).await;
        let mark = &after.metadata_admin.read().unwrap()["kratos-operator.dev"];
        assert_eq!((&mark["uid"], &mark["cluster"]), (&json!(uid), &json!(cluster_id(&new).await)));
        assert_eq!(without_mark(after), without_mark(before), "{name}");
    }
    assert_eq!(new.ours().await.len(), 2);
    logs_in(&new).await;
    assert_eq!(new.proxy.count("PUT /admin/identities/{id}"), 0, "her own password stays");
}

async fn set_password(scene: &Scene, identity: &Identity, password: &str) {
    let body = json!({
        "schema_id": identity.schema_id, "traits": identity.traits, "state": "active",
        "metadata_admin": identity.metadata_admin, "credentials": {"password": {"config": {"password": password}}},
    });
    let path = format!("admin/identities/{}", identity.id);
    let (status, answer) = scene.kratos.raw(reqwest::Method::PUT, &path, &body).await.expect("an answer");
    assert_eq!(status, 200, "{answer}");
}

async fn logs_in(scene: &Scene) {
    let session = scene.kratos.login("ada@cluster.example", "correct horse battery").await.expect("an answer");
    assert!(session.is_some(), "the password is still the same");
}

#[tokio::test]
async fn a_namespace_deleted_as_a_whole_takes_its_identities_along_even_without_the_token() {
    if is_namespaced() {
        // The Roles go with the namespace, before our finalizers do: a test of that mode has the way out.
        return;
    }
    let scene = Scene::shared().await;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let secret = json!({"metadata": {"name": "kratos"}, "stringData": {"token": "ignored-by-this-kratos"}});
    let secret = serde_json::from_value(secret).expect("a Secret");
    secrets.create(&PostParams::default(), &secret).await.expect("a Secret");
    let token = json!({"bearerToken": {"secretKeyRef": {"name": "kratos", "key": "token"}}});
    scene.instance(json!({ "auth": token })).await;
    for name in ["ada", "bob", "eve"] {
        scene.identity(name, customer(&format!("{name}.whole"))).await;
    }
    for name in ["ada", "bob", "eve"] {
        scene.ready(name).await;
    }
    secrets.delete("kratos", &DeleteParams::default()).await.expect("it is deleted");
    let arguments = ["delete", "namespace", &scene.namespace, "--wait=false"];
    scene.cluster.plane.kubectl().run(arguments).await.expect("it is deleted");
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let gone = eventually("the namespace is gone", WITHIN, async || {
        matches!(namespaces.get_opt(&scene.namespace).await, Ok(None)).then_some(())
    });
    gone.await.expect("the namespace goes");
    assert_eq!(scene.ours().await, []);
}

#[tokio::test]
async fn an_instance_deleted_by_mistake_says_how_to_have_it_back_and_nothing_is_lost() {
    let scene = Scene::shared().await;
    scene.instance(json!({})).await;
    let mut before = Vec::new();
    for name in ["ada", "bob", "eve"] {
        scene.identity(name, customer(name)).await;
        before.push(id_of(&scene.ready(name).await));
    }
    scene.instances().delete("default", &DeleteParams::default()).await.expect("it is deleted");
    let says = |what: &'static str| {
        move |instance: &kratos_operator::api::KratosInstance| {
            let conditions = &instance.status.as_ref()?.conditions;
            condition::find(conditions, "Reconciling").filter(|found| found.message.contains(what)).map(drop)
        }
    };
    scene.instance_until("default", "how many hold it", says("3 KratosIdentities hold it")).await;
    // What is deleted meanwhile goes, and the message follows.
    scene.delete("eve").await;
    scene.gone("eve").await;
    let going = scene.instance_until("default", "how many are left", says("2 KratosIdentities hold it")).await;
    let conditions = going.status.expect("a status").conditions;
    let message = condition::find(&conditions, "Ready").expect("a condition").message.clone();
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let command = format!("kubectl patch kinst default -n {} --type=merge -p '{patch}'", scene.namespace);
    assert!(message.contains(&command) && message.contains("apply its manifest again"), "{message}");

    let arguments = ["patch", "kinst", "default", "-n", &scene.namespace, "--type=merge", "-p", patch];
    scene.cluster.plane.kubectl().run(arguments).await.expect("its finalizers go");
    let gone = eventually("the instance is gone", WITHIN, async || {
        matches!(scene.instances().get_opt("default").await, Ok(None)).then_some(())
    });
    gone.await.expect("the instance goes");
    let ids = |all: Vec<kratos_operator::kratos::Identity>| all.into_iter().map(|one| one.id).collect::<BTreeSet<_>>();
    let kept: BTreeSet<_> = before[..2].iter().cloned().collect();
    assert_eq!(ids(scene.ours().await), kept, "nothing was touched");

    scene.instance(json!({})).await;
    scene.instance_ready("default").await;
    for (name, id) in ["ada", "bob"].iter().zip(&before) {
        // Not a status of before: something new is carried out.
        scene.patch(name, json!({"spec": {"metadataPublic": {"plan": "gold"}}})).await;
        let again = scene.ready(name).await;
        assert_eq!(id_of(&again), *id);
        assert_eq!(scene.in_kratos(&again).await.metadata_public.read().unwrap()["plan"], "gold");
    }
    assert_eq!(ids(scene.ours().await), kept, "and nobody was made twice");
    // It is held as before.
    let is_held = |instance: &kratos_operator::api::KratosInstance| {
        instance
            .metadata
            .finalizers
            .iter()
            .flatten()
            .any(|finalizer| finalizer == "kratos-operator.dev/instance")
            .then_some(())
    };
    scene.instance_until("default", "is held", is_held).await;
}

#[tokio::test]
async fn an_instance_stays_until_the_identities_that_refer_to_it_are_dealt_with() {
    let scene = Scene::shared().await;
    let other = scene.other_namespace("tenant", &[]).await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    scene.identity("near", customer("near")).await;
    scene.identity_in(&other, "far", customer("far")).await;
    scene.ready("near").await;
    let far = scene.ready_in(&other, "far").await;

    scene.instances().delete("default", &DeleteParams::default()).await.expect("it is deleted");
    let is_going = |instance: &kratos_operator::api::KratosInstance| {
        let conditions = &instance.status.as_ref()?.conditions;
        condition::find(conditions, "Reconciling").filter(|found| found.message.contains("being deleted")).map(drop)
    };
    scene.instance_until("default", "being deleted", is_going).await;
    // What is there is let go as its manifest says; nothing new is made.
    scene.identity("late", customer("late")).await;
    let waits = scene.until("late", "waits", |late: &KratosIdentity| {
        let conditions = &late.status.as_ref()?.conditions;
        condition::find(conditions, "Reconciling").filter(|found| found.reason == "InstanceNotReady").map(drop)
    });
    assert!(message_of(&waits.await, "Reconciling").contains("being deleted"));
    scene.delete("near").await;
    scene.gone("near").await;
    scene.delete("late").await;
    scene.gone("late").await;
    let instance = scene.instances().get_opt("default").await.expect("an answer");
    assert!(instance.is_some(), "an identity elsewhere still refers to it");
    assert_eq!(scene.in_kratos(&far).await.id, id_of(&far));

    scene.identities_in(&other).delete("far", &DeleteParams::default()).await.expect("it is deleted");
    scene.gone_in(&other, "far").await;
    let gone = eventually("the instance is gone", WITHIN, async || {
        matches!(scene.instances().get_opt("default").await, Ok(None)).then_some(())
    });
    gone.await.expect("the instance goes");
    assert_eq!(scene.ours().await, []);
}
