//! Which cluster an operator is told it is in, and what comes of being told wrong, or nothing.

use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::rights::OWN;
use crate::scene::{Scene, WITHIN, is_namespaced};
use crate::testenv::process::eventually;

const WRONG: &str = "11111111-2222-4333-8444-555555555555";

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@cluster-ids.example")}})
}

fn is_mistaken(instance: &KratosInstance) -> Option<()> {
    let stalled = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
    (stalled.status == "True" && stalled.reason == "ClusterMismatch").then_some(())
}

fn why_stalled(instance: &KratosInstance) -> String {
    let conditions = &instance.status.as_ref().expect("a status").conditions;
    condition::find(conditions, "Stalled").expect("it is stalled").message.clone()
}

/// Starts the scene's operator anew, told this.
fn told(scene: &mut Scene, id: &str) {
    let arguments = vec!["--cluster-id".to_owned(), id.to_owned()];
    scene.operator().restart_with(|settings| settings.arguments = arguments).expect("it starts");
}

/// The command between backquotes in a message that begins like this.
fn command(message: &str, begins: &str) -> Vec<String> {
    let command = message.split('`').find(|part| part.starts_with(begins)).unwrap_or_else(|| panic!("{message}"));
    command.split_whitespace().skip(1).map(|word| word.replace('\'', "")).collect()
}

#[tokio::test]
async fn an_operator_that_is_told_another_clusters_id_sends_nothing_and_says_what_to_do() {
    let mut scene = Scene::own().await.with_instance().await;
    scene.identity("ada", customer("ada")).await;
    let ada = scene.ready("ada").await;
    let noted = scene.instance_ready("default").await.status.unwrap().cluster_id.expect("it is noted");
    let before = scene.in_kratos(&ada).await;

    scene.operator().kill();
    scene.proxy.reset();
    told(&mut scene, WRONG);
    let instance = scene.instance_until("default", "mistaken", is_mistaken).await;
    let message = why_stalled(&instance);
    assert!(message.contains(WRONG) && message.contains(&noted), "{message}");
    assert_eq!(instance.status.as_ref().unwrap().cluster_id.as_ref(), Some(&noted), "it isn't written over");
    scene.identity("bob", customer("bob")).await;
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}}})).await;
    scene.retrying("bob", "InstanceNotReady").await;
    scene.retrying("ada", "InstanceNotReady").await;
    assert_eq!(scene.proxy.counts(), [].into(), "not one request is sent");

    // What it says to start it with is right, and all goes on.
    let asked = command(&message, "kubectl get");
    let right = scene.cluster.plane.kubectl().run(asked).await.expect("kubectl answers");
    assert_eq!(right, noted);
    told(&mut scene, &right);
    scene.ready("bob").await;
    scene.ready("ada").await;
    let after = scene.in_kratos(&ada).await;
    assert_eq!(after.traits.read().unwrap()["age"], json!(36));
    let cluster = |identity: &kratos_operator::kratos::Identity| {
        identity.metadata_admin.read().unwrap()["kratos-operator.dev"]["cluster"].clone()
    };
    assert_eq!((cluster(&after), after.id), (cluster(&before), before.id));

    // A resource that came from another cluster with its status: so says the message, and what to do then works.
    let elsewhere = Patch::Merge(json!({"status": {"clusterID": WRONG}}));
    scene.operator().kill();
    scene.instances().patch_status("default", &PatchParams::default(), &elsewhere).await.expect("it is accepted");
    told(&mut scene, &right);
    let instance = scene.instance_until("default", "mistaken", is_mistaken).await;
    let repair = command(&why_stalled(&instance), "kubectl patch");
    scene.cluster.plane.kubectl().run(repair).await.expect("it is accepted");
    let instance = scene.instance_ready("default").await;
    assert_eq!(instance.status.unwrap().cluster_id, Some(right));
}

#[tokio::test]
async fn without_the_right_to_ask_for_it_one_line_says_what_lacks_and_it_heals_by_itself() {
    if is_namespaced() {
        // There the cluster's id is given.
        return;
    }
    let mut scene = Scene::own().await;
    let kubectl = scene.cluster.plane.kubectl();
    let role = kubectl.run(["get", "clusterrole", "kratos-operator", "-o", "json"]).await.expect("it is there");
    let mut less: Value = serde_json::from_str(&role).expect("JSON");
    let whole = less["rules"].clone();
    let rules = less["rules"].as_array_mut().expect("rules");
    rules.retain(|rule| !rule["resources"].to_string().contains("namespaces"));
    let set = async |rules: &Value| {
        let patch = json!({"rules": rules}).to_string();
        let arguments = ["patch", "clusterrole", "kratos-operator", "--type=merge", "-p", &patch];
        kubectl.run(arguments).await.expect("it is accepted");
    };
    scene.cluster.plane.refuses_on_purpose().expect("a mark");
    scene.operator().kill();
    set(&less["rules"]).await;
    let account = format!("--as=system:serviceaccount:{OWN}:{}", crate::rights::ACCOUNT);
    let may = async || {
        let arguments = ["auth", "can-i", "get", "namespaces/kube-system", account.as_str()];
        kubectl.output(arguments).await.expect("kubectl answers").status.success()
    };
    let in_force = async || (!may().await).then_some(());
    eventually("the right is gone", WITHIN, in_force).await.expect("it is");
    // Each replica says so once.
    scene.operator().restart_with(|settings| settings.replicas = 1).expect("it starts");
    let line = eventually("it is said", WITHIN, async || {
        let log = scene.whole_log();
        log.lines().find(|line| line.contains("--cluster-id=UID")).map(str::to_owned)
    });
    let line = line.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    let printed = kubectl.run(command(&line, "kubectl get")).await.expect("kubectl answers");
    assert_eq!(printed.len(), WRONG.len(), "{printed}");
    assert_eq!(scene.proxy.counts(), [].into());
    set(&whole).await;
    scene.instance(json!({})).await;
    assert_eq!(scene.whole_log().matches("--cluster-id=UID").count(), 1, "it is said once");
}
