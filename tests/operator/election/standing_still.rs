//! A leader that stands still, or is cut off: another one leads, and what comes back sends nothing.

use super::*;

use crate::many::{BATCH, CREATE, LIST, all, apply, hold_true, is_ready, name};
use crate::scene::WITHIN;
use crate::testenv::wire::Wire;

const ENDS: Duration = Duration::from_secs(5);
const LOST: &str = "couldn't be renewed for 10 seconds";

#[tokio::test]
async fn in_the_middle_of_creates_it_sends_nothing_when_it_goes_on() {
    const MANY: usize = 200;
    let mut two = Two::start(json!({})).await;
    for create in [CREATE, BATCH] {
        two.scene.proxy.on(create).delay(Duration::from_millis(300));
    }
    let spec = |number: usize| match number % 2 {
        0 => plain(&name(number)),
        _ => crate::many::customer(&two.scene, number),
    };
    apply(&two.scene, 0..MANY, spec).await;
    let begun = eventually("some are made", WITHIN, async || (two.scene.ours().await.len() >= MANY / 10).then_some(()));
    begun.await.expect("it begins");
    let paused = Instant::now();
    two.leader.operator.pause();
    println!("standing still with {} of {MANY} made", two.scene.ours().await.len());
    two.taken_over(paused, TAKEN_OVER).await;
    let resources = all(&two.scene, "all are Ready", is_ready).await;
    hold_true(&two.scene, resources.values()).await;
    // More for it to do when it goes on: its watches have brought it, and its queues are full.
    two.scene.proxy.clear_faults();
    apply(&two.scene, MANY..MANY + 20, |number| plain(&name(number))).await;
    all(&two.scene, "all are Ready", is_ready).await;
    two.scene.proxy.reset();
    two.leader.proxy().reset();
    two.leader.operator.go_on();
    assert_eq!(two.leader.ends(ENDS).await, Some(1), "{}", two.leader.operator.log());
    assert!(two.leader.operator.log().contains(LOST), "{}", two.leader.operator.log());
    assert_eq!(two.leader.writes(), Vec::<String>::new(), "not even what its connections had been handed");
    let sent = two.scene.proxy.counts();
    assert_eq!(sent.keys().filter(|label| *label != LIST).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(two.one_each().await.len(), MANY + 20);
}

#[tokio::test]
async fn one_that_stood_still_for_twenty_seconds_ends_without_having_sent_anything() {
    let mut two = Two::start(json!({})).await;
    two.scene.identity("ada", customer("ada")).await;
    two.scene.ready("ada").await;
    let paused = Instant::now();
    two.leader.operator.pause();
    two.scene.identity("box", plain("box")).await;
    two.taken_over(paused, TAKEN_OVER).await;
    two.scene.ready("box").await;
    // The time is what this is about.
    tokio::time::sleep_until((paused + Duration::from_secs(20)).into()).await;
    two.leader.proxy().reset();
    two.scene.proxy.reset();
    two.leader.operator.go_on();
    assert_eq!(two.leader.ends(ENDS).await, Some(1));
    assert_eq!(two.leader.writes(), Vec::<String>::new());
    assert_eq!(two.scene.proxy.seen().len(), 0, "{:?}", two.scene.proxy.counts());
    assert_eq!(two.one_each().await.len(), 2);
}

#[tokio::test]
async fn one_that_is_cut_off_from_the_api_server_ends_before_the_other_leads() {
    let (cluster, kratos, namespace) = world().await;
    cluster.give_up_the_lease().await;
    let wire = Wire::before(cluster.plane.address()).expect("a wire");
    let mut settings = cluster.operator(vec![namespace.clone()]);
    settings.kubeconfig = cluster.plane.kubeconfig_by(wire.address()).expect("a kubeconfig");
    let mut leader = Replica::started(settings, None);
    leader.says(LEADS, TAKEN_OVER).await;
    let standby = Replica::start(&cluster, &namespace);
    standby.says(STANDS_BY, TAKEN_OVER).await;
    let scene = Scene::set(cluster, Server::Own(kratos), None, namespace).await;
    scene.instance(json!({})).await;
    scene.counted().await;
    // Its creates are answered late: it would go on sending them.
    for create in [CREATE, BATCH] {
        scene.proxy.on(create).delay(Duration::from_millis(500));
    }
    apply(&scene, 0..60, |number| plain(&name(number))).await;
    let begun = Instant::now();
    wire.cut().expect("the wire is cut");
    assert_eq!(leader.ends(Duration::from_secs(13)).await, Some(1));
    let ended = begun.elapsed();
    assert!(leader.operator.log().contains(LOST), "{}", leader.operator.log());
    assert!(!standby.operator.log().contains(LEADS), "not before the other has ended");
    standby.says(LEADS, TAKEN_OVER).await;
    println!("cut off: it ended after {ended:?}, the other one led after {:?}", begun.elapsed());
    assert!(begun.elapsed() <= TAKEN_OVER);
    let resources = all(&scene, "all are Ready", is_ready).await;
    hold_true(&scene, resources.values()).await;
}
