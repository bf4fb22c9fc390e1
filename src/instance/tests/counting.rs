//! How identities are counted, by their marks.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::instance::{ForeignCluster, LastResync};
use crate::identity::mark::{Found, Mark};
use crate::instance::counts::{Counts, Ownership, Tally, ownership};

fn mark(changes: &Value) -> Found {
    let mut mark = json!({
        "owner": "production", "cluster": "ours", "namespace": "team-a", "namespaceUID": "n", "name": "ada", "uid": "u",
    });
    json_patch::merge(&mut mark, changes);
    Mark::read(&json!({"kratos-operator.dev": mark}).into())
}

const WHEN: &str = "2026-12-01T00:00:00Z";

#[rstest]
#[case::no_mark(Mark::read(&json!({"other": 1}).into()), true, Ownership::Unmanaged)]
#[case::no_metadata(Mark::read(&Value::Null.into()), true, Ownership::Unmanaged)]
#[case::no_object(Mark::read(&json!("text").into()), true, Ownership::Unmanaged)]
#[case::no_readable_mark(Mark::read(&json!({"kratos-operator.dev": 1}).into()), true, Ownership::Unmanaged)]
#[case::anothers(mark(&json!({"owner": "staging"})), true, Ownership::Unmanaged)]
#[case::ours(mark(&json!({})), true, Ownership::Managed)]
#[case::its_resource_is_gone(mark(&json!({})), false, Ownership::Orphaned)]
#[case::a_grace_period_runs(mark(&json!({"deleteAfter": WHEN})), false, Ownership::Leaving)]
#[case::a_grace_period_runs_beside_a_namesake(mark(&json!({"deleteAfter": WHEN})), true, Ownership::Leaving)]
#[case::of_another_cluster(mark(&json!({"cluster": "theirs"})), true, Ownership::Foreign)]
#[case::leaving_another_cluster(mark(&json!({"cluster": "theirs", "deleteAfter": WHEN})), false, Ownership::Foreign)]
fn an_identity_is(#[case] found: Found, #[case] is_there: bool, #[case] expected: Ownership) {
    assert_eq!(ownership(&found, "production", "ours", |_| is_there), expected);
}

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn resync(second: i64) -> LastResync {
    LastResync { started_at: Time(Timestamp::from_second(second).unwrap()), requests: 3 }
}

fn tally(seen: &[Ownership]) -> Tally {
    let mut tally = Tally::default();
    for (number, ownership) in (1..).zip(seen) {
        tally.add(*ownership, &mark(&json!({"cluster": "theirs"})), &id(number));
    }
    tally
}

#[test]
fn each_sort_is_counted_and_those_whose_grace_period_runs_or_that_are_elsewhere_are_in_none() {
    use Ownership::{Elsewhere, Foreign, Leaving, Managed, Orphaned, Unmanaged};
    let seen = [
        Managed, Unmanaged, Managed, Orphaned, Leaving, Foreign, Foreign, Unmanaged, Unmanaged, Managed, Managed,
        Elsewhere,
    ];
    let counts = Counts::default();
    assert_eq!(counts.resynced(), None);
    counts.corrected();
    counts.listed(tally(&seen), 4, resync(1));
    let resynced = counts.resynced().unwrap();
    assert_eq!((resynced.drifted, resynced.orphaned, resynced.unmanaged), (5, 1, 3));
    assert_eq!(resynced.foreign_clusters, [ForeignCluster { id: "theirs".into(), identities: 2 }]);
    assert_eq!(resynced.last, resync(1));
    counts.read_by_ids(0, resync(2));
    let after = counts.resynced().unwrap();
    assert_eq!((after.drifted, after.orphaned, after.unmanaged), (0, 1, 3));
    assert_eq!((after.foreign_clusters, after.last), (resynced.foreign_clusters, resync(2)));
}

#[test]
fn what_is_known_is_settled_once_it_was_the_same_twice() {
    let counts = Counts::default();
    let cases = [(8, 0, false), (8, 0, true), (7, 1, false), (7, 1, true), (7, 0, false), (7, 0, true)];
    for (managed, pending, is_settled) in cases {
        assert_eq!(counts.looked_at(managed, pending), is_settled, "{managed} and {pending}");
        assert!(counts.is_settled(managed, pending) && !counts.is_settled(managed, pending + 1));
    }
}

#[test]
fn what_seems_orphaned_for_the_first_time_is_asked_about_once() {
    let counts = Counts::default();
    let mut first = tally(&[Ownership::Orphaned, Ownership::Orphaned]);
    let mut suspects = first.take_suspects(&counts.orphaned());
    suspects.sort_unstable();
    assert_eq!(suspects, [Uuid::from_u128(1), Uuid::from_u128(2)]);
    // One of them is gone by now.
    first.add(Ownership::Orphaned, &mark(&json!({})), &id(2));
    counts.listed(first, 0, resync(1));
    assert_eq!(counts.resynced().unwrap().orphaned, 1);
    let mut second = tally(&[Ownership::Managed, Ownership::Orphaned]);
    assert!(second.take_suspects(&counts.orphaned()).is_empty());
    counts.listed(second, 0, resync(2));
    assert_eq!(counts.resynced().unwrap().orphaned, 1);
}

#[test]
fn the_clusters_with_the_most_identities_are_named_in_order() {
    let mut tally = Tally::default();
    let all = (0..2000_u32).flat_map(|number| std::iter::repeat_n(number, if number % 50 == 7 { 3 } else { 1 }));
    for number in all {
        tally.add(Ownership::Foreign, &mark(&json!({"cluster": format!("cluster-{number:04}")})), &id(1));
    }
    for cluster in [String::new(), "long".repeat(17)] {
        tally.add(Ownership::Foreign, &mark(&json!({"cluster": cluster})), &id(1));
    }
    let counts = Counts::default();
    counts.listed(tally, 0, resync(1));
    let named = counts.resynced().unwrap().foreign_clusters;
    assert_eq!(named.len(), 32);
    assert!(named.is_sorted_by_key(|cluster| cluster.id.clone()));
    assert_eq!(named.iter().filter(|cluster| cluster.identities == 3).count(), 21, "of the first 1024");
}
