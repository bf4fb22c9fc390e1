//! Whether an instance is being called at all.

use std::time::Duration;

use crate::instance::gate::Gate;

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn it_starts_closed_and_is_probed_at_once() {
    let gate = Gate::new();
    assert!(!gate.is_open());
    assert_eq!(gate.probe_in(), Duration::ZERO);
}

#[test]
fn an_answer_opens_it_until_the_next_regular_look() {
    let gate = Gate::new();
    assert!(gate.probed(true, HOUR), "that is news");
    assert!(gate.is_open() && gate.probe_in() > HOUR / 2 && gate.probe_in() <= HOUR);
    assert!(!gate.probed(true, HOUR), "and that isn't any more");
}

#[test]
fn a_request_that_got_no_answer_closes_it_and_has_it_probed_within_a_moment() {
    let gate = Gate::new();
    gate.probed(true, HOUR);
    gate.close();
    assert!(!gate.is_open());
    let wait = gate.probe_in();
    assert!(wait <= Duration::from_secs(1), "soon: {wait:?}");
    assert!(wait > Duration::ZERO, "but a request that fails whenever it opens doesn't make it flap");
}

#[test]
fn a_request_that_failed_for_whatever_reason_has_it_probed_but_not_closed() {
    let gate = Gate::new();
    assert!(!gate.suspect(), "it is closed and probed anyway");
    gate.probed(true, HOUR);
    assert!(gate.suspect(), "earlier than in an hour");
    assert!(gate.is_open() && gate.probe_in() <= Duration::from_secs(1));
    assert!(!gate.suspect(), "that is asked for already");
}

#[test]
fn what_fails_although_probes_succeed_in_between_is_counted_until_it_is_served() {
    let gate = Gate::new();
    assert_eq!([gate.blame("ada"), gate.blame("ada")], [0, 0], "nobody knows yet");
    gate.probed(true, HOUR);
    assert_eq!((gate.blame("ada"), gate.blame("bob"), gate.blame("ada")), (1, 0, 1), "once a probe, each by itself");
    gate.probed(false, HOUR);
    assert_eq!(gate.blame("ada"), 1, "others fare likewise");
    gate.probed(true, HOUR);
    assert_eq!((gate.blame("ada"), gate.blame("bob")), (2, 1));
    gate.served("ada");
    gate.probed(true, HOUR);
    assert_eq!((gate.blame("ada"), gate.blame("bob")), (0, 2));
}

#[test]
fn probes_of_an_instance_that_is_down_grow_rare_up_to_half_a_minute() {
    let gate = Gate::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert!(!gate.probed(false, HOUR));
        waits.push(gate.probe_in());
        // Others that fail meanwhile ask for no further probe.
        gate.close();
        assert!(gate.probe_in() > Duration::ZERO && !gate.is_open());
    }
    assert!(waits[0] <= Duration::from_secs(1), "{waits:?}");
    assert!(waits[9] > Duration::from_secs(14) && waits[9] <= Duration::from_secs(30), "{waits:?}");
    assert!(gate.probed(true, HOUR), "it is news that it is up again");
    gate.probed(false, HOUR);
    assert!(gate.probe_in() <= Duration::from_secs(1), "the back-off begins anew");
}

#[test]
fn a_probe_that_fails_closes_it() {
    let gate = Gate::new();
    gate.probed(true, HOUR);
    assert!(!gate.probed(false, HOUR));
    assert!(!gate.is_open());
}

#[tokio::test]
async fn whoever_waits_for_it_to_open_is_let_in_then() {
    let gate = Gate::new();
    let soon = Duration::from_millis(20);
    assert!(tokio::time::timeout(soon, gate.opened()).await.is_err());
    let opens = async {
        tokio::time::sleep(soon).await;
        gate.probed(true, HOUR);
    };
    let both = tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(gate.opened(), opens) });
    assert!(both.await.is_ok());
    assert!(tokio::time::timeout(Duration::from_secs(10), gate.opened()).await.is_ok(), "and after");
}
