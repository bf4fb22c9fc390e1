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
    std::iter::from_fn(|| queue.take(now, true)).map(|taken| taken.len()).collect()
}

#[test]
fn one_that_comes_by_itself_goes_at_once_and_who_is_expected_is_waited_for_but_not_long() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 1, now);
    assert_eq!(queue.take(now, false), Some(vec![0]));
    queue.add(1, 100, now + ms(3));
    assert_eq!(queue.take(now + ms(400), true), None, "others are about to come");
    queue.add(2, 100, now + ms(400));
    assert_eq!(queue.due(true), Some(now + ms(900)));
    assert_eq!(queue.take(now + ms(899), true), None);
    assert_eq!(queue.take(now + ms(900), true), Some(vec![1, 2]), "they didn't");
    queue.add(3, 100, now + ms(1100));
    assert_eq!(queue.take(now + ms(1100), false), Some(vec![3]), "beside the two in flight");
}

#[test]
fn nobody_waits_for_ever_for_those_that_come_one_by_one() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    let mut went = None;
    for number in 0..60 {
        let at = now + ms(100 * number);
        queue.add(number, 100, at);
        went = went.or(queue.take(at, true).map(|taken| (at.duration_since(now), taken.len())));
    }
    assert_eq!(went, Some((ms(5000), 51)));
}

#[test]
fn those_that_come_one_after_another_go_together_while_more_are_expected() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    let mut sizes = Vec::new();
    for number in 0..1000 {
        let at = now + ms(5 * number);
        queue.add(at, 100, at);
        while let Some(taken) = queue.take(at, number < 999) {
            sizes.push(taken.len());
            queue.done(&[]);
        }
    }
    assert_eq!(sizes, [100; 10]);
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
    while let Some(request) = queue.take(now + ms(1000), true) {
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
        queue.take(now, false).map(|taken| taken.len())
    };
    assert_eq!(first(Duration::from_secs(3), &[]), Some(1), "nothing is known, and time is short");
    assert_eq!(first(TIMEOUT, &[]), Some(8));
    assert_eq!(first(TIMEOUT, &[(8, Duration::from_secs(30))]), Some(1), "a time-out is believed at once");
    assert_eq!(first(TIMEOUT, &[(8, ms(8)); 5]), Some(100), "a fast one little by little, and no more than may go");
    assert_eq!(first(Duration::from_secs(3), &[(1, ms(10)); 8]), Some(60));
}

proptest! {
    #[test]
    fn each_goes_once_in_order_whatever_happens(steps in proptest::collection::vec((0_u64..50, 0_usize..400_000, any::<bool>(), any::<bool>()), 1..300)) {
        let mut now = Instant::now();
        let mut queue = Queue::new(TOGETHER, TIMEOUT);
        let (mut gone, mut in_flight) = (Vec::new(), 0);
        for (number, (later, bytes, is_done, are_expected)) in steps.iter().enumerate() {
            now += ms(*later);
            queue.add(number, *bytes, now);
            if *is_done && in_flight > 0 {
                in_flight -= 1;
                queue.done(&[]);
            }
            while let Some(taken) = queue.take(now, *are_expected) {
                in_flight += 1;
                prop_assert!(!taken.is_empty() && taken.len() <= 200 && in_flight <= 4);
                gone.extend(taken);
            }
            prop_assert!(queue.due(*are_expected).is_none_or(|due| due > now), "what is due has gone");
        }
        now += ms(1000);
        while !queue.is_idle() {
            while let Some(taken) = queue.take(now, false) {
                gone.extend(taken);
            }
            queue.done(&[]);
        }
        prop_assert_eq!(gone, (0..steps.len()).collect::<Vec<_>>());
        prop_assert!(queue.is_idle());
    }
}
