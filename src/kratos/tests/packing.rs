//! When creates go, and how many together.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::batcher::packing::{ALONE, HASHING, Queue, TOGETHER, Terms};

const TIMEOUT: Duration = Duration::from_secs(30);

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn queue(terms: Terms, count: usize, now: Instant) -> Queue<usize> {
    let mut queue = Queue::new(terms, TIMEOUT);
    (0..count).for_each(|number| queue.add(number, 100, now));
    queue
}

/// How many go at once, request by request.
fn sizes(queue: &mut Queue<usize>, now: Instant) -> Vec<usize> {
    std::iter::from_fn(|| queue.take(now)).map(|taken| taken.len()).collect()
}

#[test]
fn one_that_comes_by_itself_goes_at_once_and_those_that_come_right_after_it_gather() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 1, now);
    assert_eq!(queue.take(now), Some(vec![0]));
    queue.add(1, 100, now + ms(3));
    queue.done(&[(1, ms(4))]);
    queue.add(2, 100, now + ms(6));
    assert_eq!(queue.take(now + ms(20)), None, "more may come");
    assert_eq!(queue.due(), Some(now + ms(21)));
    assert_eq!(queue.take(now + ms(21)), Some(vec![1, 2]));
    queue.add(3, 100, now + ms(1100));
    assert_eq!(queue.take(now + ms(1100)), None, "those two are still in flight");
    queue.done(&[(2, ms(1080))]);
    assert_eq!(queue.take(now + ms(1101)), Some(vec![3]), "came by itself, and nothing is in flight");
}

#[test]
fn who_comes_while_many_come_waits_longer_for_company_but_not_long() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    let mut sizes = Vec::new();
    let mut longest = Duration::ZERO;
    for number in 0..1000 {
        let at = now + ms(5 * number);
        queue.add(at, 100, at);
        while let Some(taken) = queue.take(at) {
            longest = taken.iter().map(|since| at - *since).chain([longest]).max().unwrap();
            sizes.push(taken.len());
            queue.done(&[]);
        }
    }
    assert!(sizes.len() <= 20, "{sizes:?}");
    assert!(longest <= ms(1000), "{longest:?}");
}

#[test]
fn many_go_beside_those_in_flight_and_not_more_than_so_many_requests() {
    let now = Instant::now();
    assert_eq!(sizes(&mut queue(TOGETHER, 1000, now), now), [200, 200, 200, 200]);
    assert_eq!(sizes(&mut queue(TOGETHER, 299, now), now), [200], "99 may wait for others");
    assert_eq!(sizes(&mut queue(TOGETHER, 300, now), now), [200, 100]);
    assert_eq!(sizes(&mut queue(ALONE, 9, now), now), [1, 1, 1, 1]);
    // At half a second and more each, for all that is known, eight take no longer than a request may.
    assert_eq!(sizes(&mut queue(HASHING, 50, now), now), [8, 8, 8, 8]);
}

#[test]
fn a_request_is_bounded_in_bytes_and_a_large_one_is_never_stuck() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    for bytes in [300 * 1024, 300 * 1024, 200 * 1024, 1024 * 1024, 1] {
        queue.add(0, bytes, now);
    }
    let mut taken = Vec::new();
    while let Some(request) = queue.take(now + ms(1000)) {
        taken.push(request.len());
        queue.done(&[]);
    }
    assert_eq!(taken, [1, 2, 1, 1]);
}

#[test]
fn what_a_request_may_carry_follows_from_how_long_one_takes_and_the_time_out() {
    let now = Instant::now();
    let first = |timeout, took: &[(usize, Duration)]| {
        let mut queue = Queue::new(HASHING, timeout);
        queue.done(took);
        (0..200).for_each(|number| queue.add(number, 100, now));
        queue.take(now).map(|taken| taken.len())
    };
    assert_eq!(first(Duration::from_secs(3), &[]), Some(1), "nothing is known, and time is short");
    assert_eq!(first(TIMEOUT, &[]), Some(8));
    assert_eq!(first(TIMEOUT, &[(8, Duration::from_secs(30))]), Some(1), "a time-out is believed at once");
    assert_eq!(first(TIMEOUT, &[(8, ms(8)); 5]), Some(100), "a fast one little by little, and no more than may go");
    assert_eq!(first(Duration::from_secs(3), &[(1, ms(10)); 8]), Some(60));
}

proptest! {
    #[test]
    fn each_goes_once_in_order_whatever_happens(steps in proptest::collection::vec((0_u64..50, 0_usize..400_000, any::<bool>()), 1..300)) {
        let mut now = Instant::now();
        let mut queue = Queue::new(TOGETHER, TIMEOUT);
        let (mut gone, mut in_flight) = (Vec::new(), 0);
        for (number, (later, bytes, is_done)) in steps.iter().enumerate() {
            now += ms(*later);
            queue.add(number, *bytes, now);
            if *is_done && in_flight > 0 {
                in_flight -= 1;
                queue.done(&[]);
            }
            while let Some(taken) = queue.take(now) {
                in_flight += 1;
                prop_assert!(!taken.is_empty() && taken.len() <= 200 && in_flight <= 4);
                gone.extend(taken);
            }
            prop_assert!(queue.due().is_none_or(|due| due > now), "what is due has gone");
        }
        now += ms(1000);
        while !queue.is_idle() {
            while let Some(taken) = queue.take(now) {
                gone.extend(taken);
            }
            queue.done(&[]);
        }
        prop_assert_eq!(gone, (0..steps.len()).collect::<Vec<_>>());
        prop_assert!(queue.is_idle());
    }
}
