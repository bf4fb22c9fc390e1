//! The Lease itself: what a standby does, and what becomes of whoever leads when somebody else writes or deletes the Lease.

use super::*;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::scene::{WITHIN, is_namespaced};

/// Longer than the time between two reads of a standby, and between two renewals of a leader.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_standby_watches_and_does_nothing_else_until_the_lease_is_given_up() {
    let (cluster, kratos, namespace) = world().await;
    let client = cluster.plane.client().await.expect("a client");
    cluster.give_up_the_lease().await;
    tamper(&client, json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 60}})).await;
    let replica = Replica::start(&cluster, &namespace);
    replica.says(STANDS_BY, WITHIN).await;
    let scene = Scene::set(cluster, Server::Own(kratos), None, namespace).await;
    scene.apply_instance(&scene.namespace, "default", scene.instance_spec(json!({}))).await;
    scene.identity("ada", customer("ada")).await;
    scene.identity("box", plain("box")).await;
    let watches = ["kratosidentities", "kratosinstances", "kratossessionpolicies", "namespaces", "secrets"];
    let sees_all = eventually("it watches everything", WITHIN, async || {
        let mut asked_for = watches.iter().filter(|kind| **kind != "namespaces" || !is_namespaced());
        asked_for.all(|kind| replica.proxy().count(&format!("WATCH {kind}")) > 0).then_some(())
    });
    sees_all.await.expect("it does");
    // It reads the Lease now and then: a few reads later it has done nothing else.
    let reads = || replica.proxy().count("GET leases");
    let before = reads();
    let looked = eventually("it looks at the Lease", WITHIN, async || (reads() > before + 4).then_some(()));
    looked.await.expect("it does");
    assert_eq!(replica.writes(), Vec::<String>::new());
    assert_eq!(replica.proxy().count("PUT leases") + replica.proxy().count("POST leases"), 0);
    assert_eq!(scene.proxy.seen().len(), 0, "{:?}", scene.proxy.counts());

    // Given up: what the watches brought meanwhile is done.
    let spec = json!({"holderIdentity": null, "leaseDurationSeconds": 1});
    tamper(&client, json!({"spec": spec})).await;
    replica.says(LEADS, SOON).await;
    for name in ["ada", "box"] {
        scene.ready(name).await;
    }
    assert_eq!(scene.ours().await.len(), 2);
}

#[tokio::test]
async fn a_lease_that_is_not_there_is_acted_on_after_its_duration() {
    let (cluster, _kratos, namespace) = world().await;
    let begun = Instant::now();
    let mut first = Replica::start(&cluster, &namespace);
    first.says("there was no Lease, whose holder may still go on", WITHIN).await;
    let client = cluster.plane.client().await.expect("a client");
    let lease = leases(&client).get(LEASE).await.expect("it is made at once");
    assert!(lease.spec.expect("a spec").holder_identity.is_some_and(|holder| !holder.is_empty()));
    // Whoever ends while it waits gives nothing up: its predecessor may go on.
    let ended = first.operator.stop().expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", first.operator.log());
    assert!(!first.operator.log().contains(LEADS));
    let second = Replica::start(&cluster, &namespace);
    second.says(STANDS_BY, WITHIN).await;
    second.says(LEADS, TAKEN_OVER).await;
    assert!(begun.elapsed() > Duration::from_secs(15), "{:?}\n{}", begun.elapsed(), second.operator.log());
}

#[tokio::test]
async fn a_leader_whose_lease_was_overwritten_ends_and_another_leads_after_its_duration() {
    let mut two = Two::start(json!({})).await;
    let stolen = Instant::now();
    tamper(&two.scene.client, json!({"spec": {"holderIdentity": "a thief"}})).await;
    assert_eq!(two.leader.ends(SOON).await, Some(1));
    let log = two.leader.operator.log();
    let why = "kratos-operator: this process leads no longer, and ends so that another one may: the Lease \
               default/leader.kratos-operator.dev was overwritten, and names a thief as its holder";
    assert!(log.contains(why), "{log}");
    assert!(!two.standby.operator.log().contains(LEADS), "the thief's time runs");
    two.taken_over(stolen, TAKEN_OVER).await;
    assert!(stolen.elapsed() >= Duration::from_secs(15), "{}", two.logs());
    two.scene.identity("ada", customer("ada")).await;
    two.scene.ready("ada").await;
}

#[tokio::test]
async fn a_lease_that_lost_its_holders_name_was_not_given_up() {
    let mut two = Two::start(json!({})).await;
    let emptied = Instant::now();
    tamper(&two.scene.client, json!({"spec": {"holderIdentity": ""}})).await;
    assert_eq!(two.leader.ends(SOON).await, Some(1));
    two.taken_over(emptied, TAKEN_OVER).await;
    assert!(emptied.elapsed() >= Duration::from_secs(15), "{}", two.logs());
}

#[tokio::test]
async fn a_lease_that_is_deleted_or_has_odd_times_has_one_leader_still() {
    let mut two = Two::start(json!({})).await;
    let transitions = async |two: &Two| two.lease().await.spec.and_then(|spec| spec.lease_transitions);
    // To and fro: nobody believes what another's clock says.
    let hour = SignedDuration::from_hours(1);
    let odd = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    let year = |year: &str| format!("{year}-01-01T00:00:00.000000Z");
    for time in [odd(Timestamp::now() - hour), odd(Timestamp::now() + hour), year("2020"), year("2100")] {
        tamper(&two.scene.client, json!({"spec": {"renewTime": time, "acquireTime": time}})).await;
        let renewed = eventually("it is renewed", SOON, async || {
            let renewed = two.lease().await.spec?.renew_time?;
            (renewed.0.duration_since(Timestamp::now()).abs() < SignedDuration::from_mins(1)).then_some(())
        });
        renewed.await.expect("by the same leader");
        assert!(two.leader.operator.exited().is_none(), "{}", two.logs());
        assert!(!two.standby.operator.log().contains(LEADS), "{}", two.logs());
    }
    let before = transitions(&two).await;
    leases(&two.scene.client).delete(LEASE, &kube::api::DeleteParams::default()).await.expect("it can be deleted");
    let made = eventually("there is one again", SOON, async || {
        leases(&two.scene.client).get_opt(LEASE).await.ok().flatten()?.spec?.holder_identity
    });
    let holder = made.await.expect("it is made anew");
    // Either of the two may be faster. There is one leader in any case, at once or after its duration.
    let is_first = two.leader.operator.exited().is_none();
    println!("{} made it: {holder}, after {before:?} transitions", if is_first { "the leader" } else { "the standby" });
    let deleted = Instant::now();
    two.scene.identity("ada", customer("ada")).await;
    let leads = eventually("one of them leads", TAKEN_OVER, async || {
        let is_over = two.leader.operator.exited().is_some();
        let other_leads = two.standby.operator.log().contains(LEADS);
        assert!(is_over || !other_leads, "both lead\n{}", two.logs());
        (other_leads || (deleted.elapsed() > SOON && !is_over)).then_some(is_over)
    });
    let changed = leads.await.unwrap_or_else(|error| panic!("{error}\n{}", two.logs()));
    if changed {
        assert!(deleted.elapsed() >= Duration::from_secs(12), "{}", two.logs());
    }
    two.scene.ready("ada").await;
}

/// The leader dies with a time that is an hour off on its Lease: the duration counts from when it was seen.
#[tokio::test]
async fn a_renew_time_that_is_an_hour_off_makes_nobody_lead_sooner_or_later() {
    for hours in [-1, 1] {
        let mut two = Two::start(json!({})).await;
        let time = Timestamp::now() + SignedDuration::from_hours(hours);
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        two.leader.operator.kill();
        let killed = Instant::now();
        tamper(&two.scene.client, json!({"spec": {"renewTime": time}})).await;
        two.taken_over(killed, TAKEN_OVER).await;
        assert!(killed.elapsed() >= Duration::from_secs(15), "{}", two.logs());
    }
}
