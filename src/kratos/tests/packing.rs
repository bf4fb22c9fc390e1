//! When creates are sent, and how many together.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::base::flow::counts::Counts;

use super::super::batcher::packing::{ALONE, BatchLimits, HASHING, Queue, TOGETHER};

const TIMEOUT: Duration = Duration::from_secs(30);

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn queue(terms: BatchLimits, count: usize, now: Instant) -> Queue<usize> {
    let mut queue = Queue::new(terms, TIMEOUT);
    (0..count).for_each(|number| queue.add(number, 100, "team", now));
    queue
}

/// For the group of most tests.
fn expected(count: usize) -> Counts {
    let mut counts = Counts::default();
    (0..count).for_each(|_| counts.add("team"));
    counts
}

/// What is sent now in one request.
fn take<T>(queue: &mut Queue<T>, now: Instant, are_expected: bool) -> Option<Vec<T>> {
    queue.take(now, &expected(are_expected.into())).map(|(taken, _)| taken)
}

/// The sizes of the batches that are sent now.
fn sizes(queue: &mut Queue<usize>, now: Instant) -> Vec<usize> {
    std::iter::from_fn(|| take(queue, now, true)).map(|taken| taken.len()).collect()
}

#[test]
fn one_that_comes_by_itself_goes_at_once_and_who_is_expected_is_waited_for_but_not_long() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 1, now);
    assert_eq!(take(&mut queue, now, false), Some(vec![0]));
    queue.add(1, 100, "team", now + ms(3));
    assert_eq!(take(&mut queue, now + ms(400), true), None, "others are about to come");
    queue.add(2, 100, "team", now + ms(400));
    assert_eq!(queue.due(&expected(1)), Some(now + ms(900)));
    assert_eq!(take(&mut queue, now + ms(899), true), None);
    assert_eq!(take(&mut queue, now + ms(900), true), Some(vec![1, 2]), "they didn't");
}

#[test]
fn a_crowd_that_nobody_announces_goes_together_and_whoever_comes_later_or_from_elsewhere_at_once() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 2, now);
    let mut batches = Vec::new();
    let mut went = Vec::new();
    for step in 0..500 {
        let at = now + ms(4 * step);
        while let Some((taken, batch)) = queue.take(at, &Counts::default()) {
            went.push((4 * step, taken.len()));
            batches.push(batch);
        }
        // The server is faster than creates arrive.
        for batch in batches.drain(..) {
            queue.done(&batch, &[]);
        }
        queue.add(0, 100, "team", at);
    }
    assert_eq!(went, [(0, 2), (320, 80), (640, 80), (960, 80), (1280, 80), (1600, 80), (1920, 80)]);
    let last = now + ms(4 * 499);
    assert_eq!(queue.due(&Counts::default()), Some(last + ms(150)), "the rest waits for others, not long");
    queue.add(7, 100, "other", last + ms(10));
    let (taken, batch) = queue.take(last + ms(10), &Counts::default()).expect("it doesn't ride with the crowd");
    assert_eq!(taken, [7]);
    queue.done(&batch, &[]);
    assert_eq!(queue.take(last + ms(160), &Counts::default()).map(|(taken, _)| taken.len()), Some(20));
    queue.add(8, 100, "team", last + ms(2000));
    assert_eq!(
        queue.take(last + ms(2000), &Counts::default()).map(|(taken, _)| taken),
        Some(vec![8]),
        "no crowd any more"
    );
}

#[test]
fn nobody_waits_for_ever_for_those_that_come_one_by_one() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    let mut went = Vec::new();
    for number in 0..50 {
        let at = now + ms(200 * number);
        queue.add(number, 100, "team", at);
        went.extend(take(&mut queue, at, true).map(|taken| (at.duration_since(now), taken.len())));
    }
    assert_eq!(went, [(ms(5000), 26)]);
}

#[test]
fn those_that_come_one_after_another_go_together_while_more_are_expected() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    let mut sizes = Vec::new();
    for number in 0..1000 {
        let at = now + ms(5 * number);
        queue.add(at, 100, "team", at);
        while let Some((taken, batch)) = queue.take(at, &expected(usize::from(number < 999))) {
            sizes.push(taken.len());
            queue.done(&batch, &[]);
        }
    }
    assert_eq!(sizes, [&[80; 12][..], &[40]].concat());
}

#[test]
fn many_go_beside_those_in_flight_and_not_more_than_so_many_requests() {
    let now = Instant::now();
    assert_eq!(sizes(&mut queue(TOGETHER, 1000, now), now), [100, 100]);
    assert_eq!(sizes(&mut queue(TOGETHER, 179, now), now), [100], "79 may wait for others");
    assert_eq!(sizes(&mut queue(TOGETHER, 180, now), now), [100, 80]);
    assert_eq!(sizes(&mut queue(ALONE, 9, now), now), [1, 1, 1]);
    // With an assumed half second and more for each, eight are all that fit into one request's time.
    assert_eq!(sizes(&mut queue(HASHING, 50, now), now), [8, 8]);
}

#[test]
fn who_is_alone_of_its_group_does_not_wait_for_the_crowd_of_another() {
    let now = Instant::now();
    let crowd = expected(9);
    let mut queue = queue(TOGETHER, 30, now);
    queue.add(1000, 100, "other", now);
    queue.add(1001, 100, "third", now);
    let (alone, batch) = queue.take(now, &crowd).unwrap();
    assert_eq!(alone, [1000, 1001], "while the crowd gathers");
    queue.add(1002, 100, "fourth", now);
    assert_eq!(queue.take(now, &crowd), None, "one such request at a time");
    (30..200).for_each(|number| queue.add(number, 100, "team", now));
    assert_eq!(sizes(&mut queue, now), [100, 100]);
    queue.add(1003, 100, "other", now);
    queue.done(&batch, &[(2, Duration::from_mins(1))]);
    let (alone, batch) = queue.take(now, &Counts::default()).unwrap();
    assert_eq!(alone, [1003], "beside all that are in flight; the fourth has gone with the crowd");
    queue.add(1004, 100, "other", now);
    queue.done(&batch, &[]);
    queue.add(1005, 100, "other", now);
    assert_eq!(queue.take(now, &crowd), None, "two are no longer alone");
}

#[test]
fn the_first_of_a_crowd_waits_for_it() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 1, now);
    assert_eq!(take(&mut queue, now, true), None, "others of its group are about to come");
    queue.add(1, 100, "other", now);
    assert_eq!(take(&mut queue, now, true), Some(vec![1]), "none of this one's are");
}

#[test]
fn many_of_many_groups_are_a_crowd() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 100, now);
    let (_, batch) = queue.take(now, &expected(1)).unwrap();
    for number in 0..9 {
        queue.add(number, 100, &format!("group-{number}"), now);
    }
    assert_eq!(take(&mut queue, now + ms(10), true), None, "they travel together");
    assert_eq!(take(&mut queue, now + ms(10), false), Some((0..9).collect()));
    // The time it took shows how long others take.
    queue.done(&batch, &[(100, Duration::from_secs(100))]);
    (0..50).for_each(|number| queue.add(number, 100, "team", now));
    assert_eq!(take(&mut queue, now, false).map(|taken| taken.len()), Some(5));
}

#[test]
fn groups_take_turns() {
    let now = Instant::now();
    let mut queue = queue(TOGETHER, 300, now);
    (1000..1010).for_each(|number| queue.add(number, 100, "other", now));
    let first = take(&mut queue, now, true).unwrap();
    assert!((1000..1010).all(|number| first.contains(&number)), "all of the smaller one are in the first request");
    assert!(first.contains(&0) && first.contains(&299), "and of the larger one whoever waits longest, and the latest");
}

#[test]
fn a_request_is_bounded_in_bytes_and_a_large_one_is_never_stuck() {
    let now = Instant::now();
    let mut queue = Queue::new(TOGETHER, TIMEOUT);
    for (number, bytes) in [300 * 1024, 300 * 1024, 200 * 1024, 1024 * 1024, 1].into_iter().enumerate() {
        queue.add(bytes, bytes, &format!("group-{number}"), now);
    }
    let mut taken = Vec::new();
    while let Some((request, batch)) = queue.take(now + ms(1000), &Counts::default()) {
        taken.push(request.len());
        queue.done(&batch, &[]);
    }
    assert_eq!(taken, [1, 2, 1, 1]);
}

#[test]
fn what_a_request_may_carry_follows_from_how_long_one_takes_and_the_time_out() {
    let now = Instant::now();
    let first = |timeout, took: &[(usize, Duration)]| {
        let mut queue = Queue::new(HASHING, timeout);
        queue.add(0, 100, "team", now);
        let (_, batch) = queue.take(now, &Counts::default()).unwrap();
        queue.done(&batch, took);
        (0..200).for_each(|number| queue.add(number, 100, "team", now));
        take(&mut queue, now, false).map(|taken| taken.len())
    };
    assert_eq!(first(Duration::from_secs(3), &[]), Some(1), "nothing is known, and time is short");
    assert_eq!(first(TIMEOUT, &[]), Some(8));
    assert_eq!(first(TIMEOUT, &[(8, Duration::from_secs(30))]), Some(1), "a time-out is believed at once");
    assert_eq!(first(TIMEOUT, &[(8, ms(8)); 5]), Some(100), "a fast one little by little, and no more than may go");
    assert_eq!(first(Duration::from_secs(3), &[(1, ms(10)); 8]), Some(60));
}

proptest! {
    #[test]
    fn each_goes_once_whatever_happens(steps in proptest::collection::vec((0_u64..50, 0_usize..400_000, any::<bool>(), 0..2_usize, 0..12), 1..300)) {
        let mut now = Instant::now();
        let mut queue = Queue::new(TOGETHER, TIMEOUT);
        let (mut gone, mut in_flight) = (Vec::new(), Vec::new());
        for (number, (later, bytes, is_done, count, group)) in steps.iter().enumerate() {
            now += ms(*later);
            queue.add(number, *bytes, &format!("group-{group}"), now);
            if *is_done && let Some(batch) = in_flight.pop() {
                queue.done(&batch, &[]);
            }
            while let Some((taken, batch)) = queue.take(now, &expected(*count)) {
                in_flight.push(batch);
                prop_assert!(!taken.is_empty() && taken.len() <= 100 && in_flight.len() <= 3);
                gone.extend(taken);
            }
            prop_assert!(queue.due(&expected(*count)).is_none_or(|due| due > now), "what is due has gone");
        }
        now += ms(1000);
        while !queue.is_idle() {
            while let Some((taken, batch)) = queue.take(now, &Counts::default()) {
                gone.extend(taken);
                in_flight.push(batch);
            }
            if let Some(batch) = in_flight.pop() {
                queue.done(&batch, &[]);
            }
        }
        gone.sort_unstable();
        prop_assert_eq!(gone, (0..steps.len()).collect::<Vec<_>>());
    }
}
