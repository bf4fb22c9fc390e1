//! What the last complete listing says, and which ones are wanted.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::base::namespaced_name::NamespacedName;
use crate::identity::mark::Mark;
use crate::instance::listing::{Listing, Lookup, Scan};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn second(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn ada() -> NamespacedName {
    NamespacedName::new("team-a", "ada")
}

/// A listing that showed these (namespace, name, id).
fn scan(begun: Instant, shown: &[(&str, &str, &str)]) -> Scan {
    let mut scan = Scan::begin(begun);
    for (namespace, name, id) in shown {
        let mark = Mark { namespace: (*namespace).into(), name: (*name).into(), ..Mark::default() };
        scan.note(&mark, &uuid(id).to_string());
    }
    scan
}

/// The id that a short number stands for.
fn uuid(number: &str) -> Uuid {
    Uuid::from_u128(number.parse().unwrap())
}

fn known(ids: &[&str]) -> Lookup {
    Lookup::Known(ids.iter().map(|id| uuid(id).to_string()).collect())
}

#[test]
fn before_the_first_listing_nothing_is_known() {
    let listing = Listing::default();
    assert_eq!(listing.find(&ada(), None), Lookup::NotYet);
    assert!(listing.due(HOUR, DAY) <= Instant::now(), "it is due at once");
}

#[test]
fn a_place_is_found_by_namespace_and_name() {
    let (listing, begun) = (Listing::default(), Instant::now());
    let shown = [("team-a", "ada", "1"), ("team-b", "ada", "2"), ("team-a", "grace", "3"), ("team-a", "ada", "4")];
    listing.complete(scan(begun, &shown));
    assert_eq!(listing.find(&ada(), None), known(&["1", "4"]));
    assert_eq!(listing.find(&NamespacedName::new("ada", "team-a"), None), known(&[]));
    assert_eq!(listing.find(&NamespacedName::new("team-b", "ada"), Some(begun)), known(&["2"]));
}

#[test]
fn a_listing_that_began_too_early_says_nothing_and_another_one_is_wanted() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[("team-a", "ada", "1")]));
    assert_eq!(listing.due(HOUR, DAY), begun + HOUR);
    let after = begun + second(10);
    assert_eq!(listing.find(&ada(), Some(after)), Lookup::NotYet);
    assert_eq!(listing.due(HOUR, DAY), after, "not before it can answer");
    listing.complete(scan(begun + second(9), &[]));
    assert_eq!(listing.find(&ada(), Some(after)), Lookup::NotYet);
    assert_eq!(listing.due(HOUR, DAY), after, "still wanted");
    listing.complete(scan(after, &[]));
    assert_eq!(listing.find(&ada(), Some(after)), known(&[]), "one that began just then will do");
    assert_eq!(listing.due(HOUR, DAY), after + HOUR, "and serves the wish");
}

#[test]
fn a_listing_serves_all_wishes_up_to_its_beginning_and_none_after() {
    let (listing, begun) = (Listing::default(), Instant::now());
    for wish in [3, 1, 2, 5] {
        listing.find(&ada(), Some(begun + second(wish)));
    }
    assert!(listing.due(HOUR, DAY) <= begun + second(1));
    listing.complete(scan(begun + second(3), &[]));
    assert_eq!(listing.due(HOUR, DAY), begun + second(5));
}

#[test]
fn a_wish_for_any_listing_is_none() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[]));
    listing.find(&ada(), None);
    assert_eq!(listing.due(HOUR, DAY), begun + HOUR);
}

#[test]
fn what_was_just_made_is_found_at_once_and_once() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[("team-a", "ada", "1")]));
    listing.note(&ada(), &uuid("2").to_string());
    listing.note(&ada(), &uuid("2").to_string());
    listing.note(&ada(), &uuid("1").to_string());
    assert_eq!(listing.find(&ada(), None), known(&["1", "2"]));
}

#[test]
fn a_listing_takes_the_place_of_the_one_before() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[("team-a", "ada", "1")]));
    listing.complete(scan(begun + second(1), &[("team-a", "grace", "3")]));
    assert_eq!(listing.find(&ada(), None), known(&[]));
}

#[test]
fn a_listing_that_failed_changes_nothing_but_when_the_next_is_due() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[("team-a", "ada", "1")]));
    listing.find(&ada(), Some(begun));
    listing.failed("Kratos is down".into());
    assert_eq!(listing.find(&ada(), None), known(&["1"]));
    assert_eq!(listing.due(HOUR, DAY), begun + HOUR, "a regular one was far off anyway");
    listing.find(&ada(), Some(begun + Duration::from_nanos(1)));
    let first = listing.due(HOUR, DAY);
    assert!(first > begun + Duration::from_millis(400) && first <= Instant::now() + second(1));
    (0..10).for_each(|_| listing.failed("Kratos is down".into()));
    assert!(listing.due(HOUR, DAY) > Instant::now() + second(25), "they grow rare");
    assert!(listing.due(HOUR, DAY) <= Instant::now() + second(60));
    listing.complete(scan(begun + second(1), &[]));
    assert_eq!(listing.due(HOUR, DAY), begun + second(1) + HOUR, "a complete one ends that");
}

#[tokio::test]
async fn a_wish_wakes_whoever_does_the_listings() {
    let listing = Listing::default();
    let soon = Duration::from_millis(20);
    listing.find(&ada(), None);
    assert!(tokio::time::timeout(soon, listing.changed()).await.is_err());
    listing.find(&ada(), Some(Instant::now()));
    assert!(tokio::time::timeout(second(10), listing.changed()).await.is_ok());
}

#[test]
fn a_scan_knows_when_it_began_and_whom_it_saw() {
    let begun = Instant::now();
    let scan = scan(begun, &[("team-a", "ada", "1"), ("team-a", "ada", "2"), ("team-b", "grace", "3")]);
    assert_eq!((scan.begun(), scan.ids()), (begun, HashSet::from(["1", "2", "3"].map(uuid))));
}

#[test]
fn what_no_kratos_would_call_an_identity_is_left_out() {
    let listing = Listing::default();
    listing.complete(Scan::begin(Instant::now()));
    listing.note(&ada(), "no-uuid");
    assert_eq!(listing.find(&ada(), None), known(&[]));
}

#[test]
fn a_read_by_ids_puts_the_next_read_off_and_proves_nothing() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[("team-a", "ada", "1")]));
    listing.failed("Kratos is down".into());
    let later = begun + second(100);
    listing.read_by_ids(later);
    assert_eq!((listing.due(HOUR, DAY), listing.failure()), (later + HOUR, None));
    assert_eq!(listing.find(&ada(), Some(later)), Lookup::NotYet);
    assert_eq!(listing.find(&ada(), None), known(&["1"]));
}

#[test]
fn the_whole_is_listed_at_least_every_full_interval() {
    let (listing, begun) = (Listing::default(), Instant::now());
    assert!(listing.is_full_due(begun, DAY), "before the first");
    listing.complete(scan(begun, &[]));
    for hours in 1..24 {
        listing.read_by_ids(begun + HOUR * hours);
        assert!(!listing.is_full_due(begun + HOUR * hours, DAY));
    }
    assert_eq!(listing.due(HOUR * 2, DAY), begun + DAY);
    assert!(listing.is_full_due(begun + DAY, DAY));
}

#[test]
fn a_wish_is_for_the_whole_once_its_time_has_come() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[]));
    listing.want(begun + second(6));
    assert_eq!(listing.due(HOUR, DAY), begun + second(6));
    assert!(!listing.is_full_due(begun + second(5), DAY) && listing.is_full_due(begun + second(6), DAY));
    listing.read_by_ids(begun + second(7));
    assert!(listing.is_full_due(begun + second(8), DAY), "a read by ids doesn't serve it");
}

#[test]
fn unsettled_creates_are_counted_until_a_listing_that_began_late_enough() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[]));
    let grace = NamespacedName::new("team-a", "grace");
    assert_eq!(listing.unsettled(&ada(), begun), 0, "that listing has settled it");
    assert_eq!(listing.unsettled(&ada(), begun + second(5)), 1);
    assert_eq!(listing.unsettled(&ada(), begun + second(6)), 1, "it is the same one");
    assert_eq!(listing.unsettled(&grace, begun + second(9)), 2);
    listing.complete(scan(begun + second(6), &[]));
    assert_eq!(listing.unsettled(&NamespacedName::new("team-b", "ada"), begun + second(7)), 2, "ada's is settled");
    listing.note(&grace, "1");
    assert_eq!(listing.unsettled(&ada(), begun + second(8)), 3, "one that was found was one of many all the same");
}

#[test]
fn listings_that_are_wanted_within_a_second_are_one() {
    let (listing, begun) = (Listing::default(), Instant::now());
    listing.complete(scan(begun, &[]));
    let after = begun + second(10);
    for at in [after, after + Duration::from_millis(999), after + Duration::from_millis(1001)] {
        assert_eq!(listing.find(&ada(), Some(at)), Lookup::NotYet);
    }
    assert_eq!(listing.due(HOUR, DAY), after + Duration::from_millis(999));
}
