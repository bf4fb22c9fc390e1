//! What a former leader left under way, and what a new one knows: neither acts on what was so before.

use super::*;

use crate::many::CHANGE;
use crate::policing::{about_all, everything, settled};
use crate::scene::WITHIN;

const WATCH: &str = "WATCH kratosidentities";
const BEHIND: &str = "a watch hasn't brought what the API server shows";

async fn label_of(two: &Two, name: &str) -> Value {
    let ids = two.one_each().await;
    let identity = two.scene.admin().get_identity(&ids[name], &[]).await.expect("Kratos answers").expect("it is there");
    identity.traits.read().expect("traits")["label"].clone()
}

#[tokio::test]
async fn a_standby_whose_watch_is_held_acts_on_nothing_that_it_shows() {
    let mut two = Two::start(json!({})).await;
    for name in ["ada", "eve"] {
        two.scene.identity(name, plain("first")).await;
        two.scene.ready(name).await;
    }
    // The standby's watches are cut, and this one doesn't come back.
    let watch = two.standby.proxy().on(WATCH).hold();
    two.standby.proxy().down();
    two.standby.proxy().up().expect("it comes up");
    watch.held().await;
    two.scene.identity("ada", plain("second")).await;
    two.scene.ready("ada").await;
    two.scene.identity("bob", plain("bob")).await;
    two.scene.ready("bob").await;
    two.scene.delete("eve").await;
    two.scene.gone("eve").await;
    assert_eq!(label_of(&two, "ada").await, "second");
    let killed = Instant::now();
    two.leader.operator.kill();
    two.scene.proxy.reset();
    two.standby.proxy().reset();
    two.taken_over(killed, TAKEN_OVER).await;
    two.standby.says(BEHIND, WITHIN).await;
    // What is done meanwhile isn't acted on by what was so before, either.
    two.scene.identity("ada", plain("third")).await;
    let lists = || two.standby.proxy().count("LIST kratosidentities");
    let before = lists();
    let compared = eventually("it compares again", WITHIN, async || (lists() > before).then_some(()));
    compared.await.expect("it does");
    assert_eq!(two.standby.writes(), Vec::<String>::new());
    assert_eq!(two.scene.proxy.seen().len(), 0, "{:?}", two.scene.proxy.counts());

    two.standby.proxy().clear_faults();
    two.scene.ready("ada").await;
    assert_eq!(label_of(&two, "ada").await, "third");
    two.scene.counted().await;
    assert_eq!(two.one_each().await.into_keys().collect::<Vec<_>>(), ["ada", "bob"]);
    assert_eq!(two.scene.proxy.count(CHANGE), 1, "nothing is put back: {:?}", two.scene.proxy.counts());
    two.scene.identity("late", plain("late")).await;
    two.scene.ready("late").await;
}

#[tokio::test]
async fn late_statuses_of_a_former_leader_are_not_written_over_the_new_ones() {
    let mut two = Two::start(json!({})).await;
    two.scene.policy("nobody", about_all(everything())).await;
    two.leader.proxy().reset();
    let kinds = ["kratosinstances", "kratosidentities", "kratossessionpolicies"];
    let late = kinds.map(|kind| two.leader.proxy().on(&format!("PATCH {kind}/status")).carry_out_late());
    let change = async |number: u32| {
        let (scene, namespace) = (&two.scene, &two.scene.namespace);
        let spec = scene.instance_spec(json!({"requestTimeout": format!("{number}s")}));
        scene.apply_instance(namespace, "default", spec).await;
        scene.identity("ada", plain(&format!("label {number}"))).await;
        let mut spec = about_all(everything());
        spec["interval"] = json!(format!("{number}h"));
        scene.try_policy_in(namespace, "nobody", spec).await.expect("it is accepted");
    };
    change(4).await;
    for late in &late {
        late.held().await;
    }
    let killed = Instant::now();
    two.leader.operator.kill();
    change(5).await;
    two.taken_over(killed, TAKEN_OVER).await;
    two.scene.instance_ready("default").await;
    two.scene.ready("ada").await;
    two.scene.policy_until(&two.scene.namespace, "nobody", "it has run", settled).await;
    let versions = async || {
        let instance = two.scene.instances().get("default").await.expect("it is there");
        let identity = two.scene.identities().get("ada").await.expect("it is there");
        let policy = two.scene.policies_in(&two.scene.namespace).get("nobody").await.expect("it is there");
        [instance.metadata, identity.metadata, policy.metadata].map(|metadata| metadata.resource_version)
    };
    let before = versions().await;
    for late in late {
        late.release();
    }
    let answered = eventually("all are answered", WITHIN, async || {
        let seen = two.leader.proxy().seen().into_iter().filter(|seen| seen.label.ends_with("/status"));
        seen.map(|seen| Some((seen.label, seen.status?))).collect::<Option<Vec<_>>>()
    });
    let answered = answered.await.expect("they are carried out");
    assert!(answered.len() >= kinds.len() && answered.iter().all(|(_, status)| *status == 409), "{answered:?}");
    assert_eq!(versions().await, before, "nothing was written over");
}
