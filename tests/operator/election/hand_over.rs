//! A replica that is asked to end.

use super::*;

use crate::many::{CREATE, all, is_ready};

const HANDED_OVER: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_within_three_seconds() {
    let mut two = Two::start(json!({})).await;
    for number in 0..20 {
        two.scene.identity(&format!("n{number}"), plain(&format!("n{number}"))).await;
    }
    all(&two.scene, "all are Ready", is_ready).await;
    let before = two.one_each().await;
    two.scene.count_from_now();
    // A request is under way that takes its time.
    two.scene.proxy.on(CREATE).delay(Duration::from_secs(1));
    two.scene.identity("late", plain("late")).await;
    let asked = eventually("it is created", HANDED_OVER, async || (two.scene.proxy.count(CREATE) > 0).then_some(()));
    asked.await.expect("it begins");
    let begun = Instant::now();
    two.leader.operator.terminate();
    two.taken_over(begun, HANDED_OVER).await;
    assert_eq!(two.leader.ends(HANDED_OVER).await, Some(0));
    let late = two.scene.ready("late").await;
    assert!(is_ready(&late));
    let mut after = two.one_each().await;
    after.remove("late").expect("it is made once");
    assert_eq!(after, before);
    assert_eq!(two.scene.proxy.count(CREATE), 1, "{:?}", two.scene.proxy.counts());
}

#[tokio::test]
async fn a_standby_that_is_asked_to_end_does_so_at_once_and_nobody_else_notices() {
    let mut two = Two::start(json!({})).await;
    let begun = Instant::now();
    assert_eq!(two.standby.operator.stop().expect("it ends").code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}\n{}", begun.elapsed(), two.logs());
    two.scene.identity("ada", customer("ada")).await;
    two.scene.ready("ada").await;
    assert!(two.leader.operator.exited().is_none());
}

#[tokio::test]
async fn what_is_unanswered_when_the_time_is_up_is_noted_and_waited_out() {
    let mut two = Two::start(json!({"requestTimeout": "25s"})).await;
    let creates = two.scene.proxy.on(CREATE).once().carry_out_late();
    two.scene.identity("box", plain("box")).await;
    creates.held().await;
    // The next leader would give it a second, and five more.
    let spec = two.scene.instance_spec(json!({"requestTimeout": "1s"}));
    two.leader.operator.terminate();
    two.scene.apply_instance(&two.scene.namespace, "default", spec).await;
    two.standby.says(LEADS, Duration::from_secs(30)).await;
    assert_eq!(two.leader.ends(Duration::from_secs(5)).await, Some(1));
    let noted = two.lease().await.metadata.annotations.unwrap_or_default();
    let noted = noted.get("kratos-operator.dev/unsettled").cloned().unwrap_or_default();
    let seconds: u64 = noted.trim_end_matches('s').parse().expect("seconds");
    assert!((20..=30).contains(&seconds), "{noted}");
    // Longer than the next leader's own patience, and within what was noted.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(two.one_each().await.len(), 0);
    creates.release();
    two.scene.ready("box").await;
    assert_eq!(two.one_each().await.len(), 1);
}

/// What its last renewal came to it doesn't know: it was carried out, or will be.
#[tokio::test]
async fn a_renewal_without_an_answer_does_not_keep_the_lease_from_being_given_up() {
    for is_carried_out in [true, false] {
        let mut two = Two::start(json!({})).await;
        let case = two.leader.proxy().on("PUT leases").once();
        let renewal = if is_carried_out { case.hold_answer() } else { case.carry_out_late() };
        renewal.held().await;
        let begun = Instant::now();
        two.leader.operator.terminate();
        // It waits two seconds for the answer.
        two.taken_over(begun, Duration::from_secs(6)).await;
        assert_eq!(two.leader.ends(HANDED_OVER).await, Some(0), "{}", two.logs());
        renewal.release();
        two.scene.identity("ada", customer("ada")).await;
        two.scene.ready("ada").await;
        assert!(two.standby.operator.exited().is_none(), "a late renewal is no longer one\n{}", two.logs());
    }
}
