//! What is kept of the deletions that count is bounded, and errs on the side of more.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::api::protection::Reservation;
use crate::instance::reservations::{KEPT, Used, reservation, tidy};

const WINDOW: Duration = Duration::from_mins(10);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn thousands_of_namespaces_are_counted_in_bounded_space_and_nobody_gets_away_with_less() {
    let mut reserved = Vec::new();
    for number in 0..5000 {
        reserved.push(reservation(&format!("a-namespace-with-a-long-name-{number:034}"), 1, at(100 + number / 50)));
        tidy(&mut reserved, WINDOW, at(100 + number / 50));
        assert!(reserved.len() <= KEPT + 1, "{}", reserved.len());
    }
    let used = Used::of(&reserved, WINDOW, at(200));
    assert_eq!(used.total(), 5000);
    let own: Vec<_> = (0..5000).map(|number| used.by(&format!("a-namespace-with-a-long-name-{number:034}"))).collect();
    assert!(own.iter().all(|own| *own >= 1));
    // Each time that half of what is kept is put together costs everybody one.
    assert!(used.by("another") <= 5000 / 256, "{}", used.by("another"));
    assert!(serde_json::to_vec(&reserved).unwrap().len() < 100_000);
    assert_eq!(Used::of(&reserved, WINDOW, at(900)).total(), 0, "it ends with the window all the same");
}

#[test]
fn those_with_the_most_are_kept_by_name() {
    let mut reserved: Vec<_> = (0..600).map(|number| reservation(&format!("small-{number}"), 1, at(100))).collect();
    reserved.push(reservation("large", 15, at(100)));
    tidy(&mut reserved, WINDOW, at(100));
    let used = Used::of(&reserved, WINDOW, at(100));
    assert_eq!((used.by("large"), used.by("small-3"), used.by("another"), used.total()), (16, 1, 1, 615));
}

#[test]
fn what_earlier_versions_counted_may_be_anybodys() {
    let entry = Reservation { at: Time(at(100)), count: 7, namespace: None, most: None };
    let used = Used::of(&[entry], WINDOW, at(101));
    assert_eq!((used.by("team"), used.total()), (7, 7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_put_together_counts_for_no_fewer_and_no_shorter(
        counted in vec((0..700_usize, 1..4_u32, 0..5_i64), 1..1500),
        later in 0..700_i64,
    ) {
        let (mut reserved, mut now) = (Vec::new(), 100);
        let mut real: BTreeMap<String, Vec<(i64, u32)>> = BTreeMap::new();
        for (index, (namespace, count, pause)) in counted.iter().enumerate() {
            now += pause / 4;
            let namespace = format!("n{namespace}");
            reserved.push(reservation(&namespace, *count, at(now)));
            real.entry(namespace).or_default().push((now, *count));
            if index % 7 == 0 {
                tidy(&mut reserved, WINDOW, at(now));
            }
        }
        tidy(&mut reserved, WINDOW, at(now));
        prop_assert!(reserved.len() <= KEPT + 1);
        let then = at(now + later);
        let used = Used::of(&reserved, WINDOW, then);
        let mut total = 0;
        for (namespace, entries) in &real {
            let counts = |second: i64| at(second).checked_add(WINDOW).unwrap() > then;
            let own: u32 = entries.iter().filter(|(second, _)| counts(*second)).map(|(_, count)| count).sum();
            prop_assert!(used.by(namespace) >= own, "{namespace}: {} of {own}", used.by(namespace));
            total += own;
        }
        prop_assert!(used.total() >= total);
    }
}
