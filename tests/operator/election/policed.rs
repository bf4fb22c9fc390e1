//! Replicas where the cluster's admission policy gives new resources the finalizer: what a killed leader was creating is
//! searched for, and what is born to the next one costs its status alone.

use super::*;

use crate::admission_policy::policed;
use crate::births::is_listing;
use crate::many::{BATCH, CREATE, STATUS, all, apply, hold_true, is_ready, name};
use crate::scene::WITHIN;

#[tokio::test]
async fn what_is_being_created_when_the_leader_is_killed_is_made_once_and_the_next_leader_has_births() {
    const MANY: usize = 100;
    let mut two = Two::start(json!({})).await;
    let policy = policed(&two.scene).await;
    // Some are made of which nobody has the answer, and some reach Kratos only when the other one leads.
    let answers = two.scene.proxy.on(BATCH).once().hold_answer();
    let spec = |number: usize| match number % 2 {
        0 => plain(&name(number)),
        _ => crate::many::customer(&two.scene, number),
    };
    apply(&two.scene, 0..MANY / 2, spec).await;
    answers.held().await;
    let late = two.scene.proxy.on("P*").carry_out_late();
    apply(&two.scene, MANY / 2..MANY, spec).await;
    late.held().await;
    let killed = Instant::now();
    two.leader.operator.kill();
    two.scene.proxy.reset();
    two.taken_over(killed, TAKEN_OVER).await;
    let listed = eventually("it lists", WITHIN, async || {
        two.scene.proxy.seen().iter().any(|seen| is_listing(seen) && seen.status == Some(200)).then_some(())
    });
    listed.await.expect("it looks for them");
    two.scene.proxy.clear_faults();
    let resources = all(&two.scene, "all are Ready", is_ready).await;
    assert_eq!(resources.len(), MANY);
    hold_true(&two.scene, resources.values()).await;
    assert_eq!(two.one_each().await.len(), MANY);

    // Nobody else can have asked for what comes now: it doesn't wait for a listing, however long that would take.
    two.scene.instance(json!({"requestTimeout": "2m"})).await;
    two.scene.proxy.reset();
    two.standby.proxy().reset();
    two.scene.identity("late", plain("late")).await;
    two.scene.ready("late").await;
    // Events are counted apart.
    let writes: Vec<_> = two.standby.writes().into_iter().filter(|write| write != "POST events").collect();
    assert_eq!(writes, [STATUS]);
    let listings = two.scene.proxy.seen().iter().filter(|seen| is_listing(seen)).count();
    assert_eq!((two.scene.proxy.count(CREATE), listings), (1, 0), "{:?}", two.scene.proxy.counts());
    policy.end().await;
}
