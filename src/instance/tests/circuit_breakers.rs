//! Whether an instance is being called at all.

use std::time::Duration;

use crate::instance::circuit_breaker::CircuitBreaker;

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn it_starts_closed_and_is_probed_at_once() {
    let circuit_breaker = CircuitBreaker::new();
    assert!(!circuit_breaker.allows_requests());
    assert_eq!(circuit_breaker.probe_in(), Duration::ZERO);
}

#[test]
fn an_answer_opens_it_until_the_next_regular_look() {
    let circuit_breaker = CircuitBreaker::new();
    assert!(circuit_breaker.probed(true, HOUR), "that is news");
    assert!(
        circuit_breaker.allows_requests()
            && circuit_breaker.probe_in() > HOUR / 2
            && circuit_breaker.probe_in() <= HOUR
    );
    assert!(!circuit_breaker.probed(true, HOUR), "and that isn't any more");
}

#[test]
fn a_request_that_got_no_answer_closes_it_and_has_it_probed_within_a_moment() {
    let circuit_breaker = CircuitBreaker::new();
    circuit_breaker.probed(true, HOUR);
    circuit_breaker.trip();
    assert!(!circuit_breaker.allows_requests());
    let wait = circuit_breaker.probe_in();
    assert!(wait <= Duration::from_secs(1), "soon: {wait:?}");
    assert!(wait > Duration::ZERO, "but a request that fails whenever it opens doesn't make it flap");
}

#[test]
fn a_request_that_failed_for_whatever_reason_has_it_probed_but_not_closed() {
    let circuit_breaker = CircuitBreaker::new();
    assert!(!circuit_breaker.suspect(), "it is closed and probed anyway");
    circuit_breaker.probed(true, HOUR);
    assert!(circuit_breaker.suspect(), "earlier than in an hour");
    assert!(circuit_breaker.allows_requests() && circuit_breaker.probe_in() <= Duration::from_secs(1));
    assert!(!circuit_breaker.suspect(), "that is asked for already");
}

#[test]
fn what_fails_although_probes_succeed_in_between_is_counted_until_it_is_served() {
    let circuit_breaker = CircuitBreaker::new();
    assert_eq!([circuit_breaker.blame("ada"), circuit_breaker.blame("ada")], [0, 0], "nobody knows yet");
    circuit_breaker.probed(true, HOUR);
    assert_eq!(
        (circuit_breaker.blame("ada"), circuit_breaker.blame("bob"), circuit_breaker.blame("ada")),
        (1, 0, 1),
        "once a probe, each by itself"
    );
    circuit_breaker.probed(false, HOUR);
    assert_eq!(circuit_breaker.blame("ada"), 1, "others fare likewise");
    circuit_breaker.probed(true, HOUR);
    assert_eq!((circuit_breaker.blame("ada"), circuit_breaker.blame("bob")), (2, 1));
    circuit_breaker.succeeded("ada");
    circuit_breaker.probed(true, HOUR);
    assert_eq!((circuit_breaker.blame("ada"), circuit_breaker.blame("bob")), (0, 2));
}

#[test]
fn probes_of_an_instance_that_is_down_grow_rare_up_to_half_a_minute() {
    let circuit_breaker = CircuitBreaker::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert!(!circuit_breaker.probed(false, HOUR));
        waits.push(circuit_breaker.probe_in());
        // Others that fail meanwhile ask for no further probe.
        circuit_breaker.trip();
        assert!(circuit_breaker.probe_in() > Duration::ZERO && !circuit_breaker.allows_requests());
    }
    assert!(waits[0] <= Duration::from_secs(1), "{waits:?}");
    assert!(waits[9] > Duration::from_secs(14) && waits[9] <= Duration::from_secs(30), "{waits:?}");
    assert!(circuit_breaker.probed(true, HOUR), "it is news that it is up again");
    circuit_breaker.probed(false, HOUR);
    assert!(circuit_breaker.probe_in() <= Duration::from_secs(1), "the back-off begins anew");
}

#[test]
fn a_probe_that_fails_closes_it() {
    let circuit_breaker = CircuitBreaker::new();
    circuit_breaker.probed(true, HOUR);
    assert!(!circuit_breaker.probed(false, HOUR));
    assert!(!circuit_breaker.allows_requests());
}

#[tokio::test]
async fn whoever_waits_for_it_to_open_is_let_in_then() {
    let circuit_breaker = CircuitBreaker::new();
    let soon = Duration::from_millis(20);
    assert!(tokio::time::timeout(soon, circuit_breaker.recovered()).await.is_err());
    let opens = async {
        tokio::time::sleep(soon).await;
        circuit_breaker.probed(true, HOUR);
    };
    let both =
        tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(circuit_breaker.recovered(), opens) });
    assert!(both.await.is_ok());
    assert!(tokio::time::timeout(Duration::from_secs(10), circuit_breaker.recovered()).await.is_ok(), "and after");
}
