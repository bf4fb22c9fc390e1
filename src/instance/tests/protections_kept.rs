//! What a value of the keep annotation lets go, and what it leaves.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::instance::protection::{Deletion, Limits, Situation, State, is_granted, is_held, is_kept, next};

const LIMITS: Limits =
    Limits { max_deletions: 3, max_deletions_total: 10_000, window: Duration::from_mins(10), max_missing: 5 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn deleted(namespace: &str, count: usize, second: i64) -> Vec<Deletion> {
    let uid = |number| format!("{namespace}-{second}-{number}");
    let deletion = |number| Deletion { namespace: namespace.into(), uid: uid(number), at: at(second) };
    (0..count).map(deletion).collect()
}

fn situation<'a>(under_way: &'a [Deletion], asked: &'a [Deletion], second: i64) -> Situation<'a> {
    let (token, keep) = (None, None);
    let peers = &[];
    Situation { limits: LIMITS, token, keep, under_way, asked, peers, census: None, recount: true, now: at(second) }
}

fn kept<'a>(status: &State, all: &'a [Deletion]) -> Vec<&'a str> {
    all.iter().filter(|deletion| is_kept(status, deletion)).map(|deletion| deletion.uid.as_str()).collect()
}

/// Five of each namespace were deleted; three of each were counted, two are held.
fn held() -> (State, Vec<Deletion>) {
    let all = [deleted("one", 5, 100), deleted("two", 5, 100)].concat();
    let first = [&all[..3], &all[5..8]].concat();
    let status = next(&State::default(), &situation(&all, &first, 100));
    let status = next(&status, &situation(&all, &all, 100));
    assert_eq!(status.held, 4);
    (status, all)
}

#[test]
fn what_is_held_is_kept_and_what_was_counted_goes() {
    let (status, all) = held();
    let status = next(&status, &Situation { keep: Some("1"), ..situation(&all, &[], 110) });
    assert_eq!(kept(&status, &all), ["one-100-3", "one-100-4", "two-100-3", "two-100-4"]);
    assert_eq!(all.iter().filter(|deletion| is_granted(&status, deletion)).count(), 6);
    assert_eq!((status.held, status.holding.len()), (0, 0));
    let later = deleted("one", 2, 111);
    let after = next(&status, &Situation { keep: Some("1"), ..situation(&later, &later, 120) });
    assert_eq!((kept(&after, &later).len(), after.held), (0, 2), "the same value keeps nothing more");
    assert_eq!(after.kept.len(), 0, "nothing of it is under way any more");
}

#[test]
fn a_value_that_names_a_namespace_is_about_that_one_alone() {
    let (status, all) = held();
    let status = next(&status, &Situation { keep: Some("two=1"), ..situation(&all, &[], 110) });
    assert_eq!(kept(&status, &all), ["two-100-3", "two-100-4"]);
    assert!(is_held(&status, "one") && !is_held(&status, "two"));
    assert_eq!(status.held, 2);
}

#[test]
fn where_nothing_is_held_a_value_is_noted_and_keeps_nothing() {
    let before = next(&State::default(), &Situation { keep: Some("old"), ..situation(&[], &[], 90) });
    let all = deleted("one", 5, 100);
    let status = next(&before, &Situation { keep: Some("old"), ..situation(&all, &all, 100) });
    assert_eq!((kept(&status, &all).len(), status.held), (0, 5));
    let at_once = next(&State::default(), &Situation { keep: Some("old"), ..situation(&all, &all, 100) });
    assert_eq!((kept(&at_once, &all).len(), at_once.held), (0, 5), "it was there when they were deleted");
}

#[test]
fn where_both_annotations_are_new_what_is_kept_is_kept_and_nothing_is_released_later() {
    let (status, all) = held();
    let both = Situation { token: Some("r"), keep: Some("k"), ..situation(&all, &[], 110) };
    let status = next(&status, &both);
    assert_eq!((kept(&status, &all).len(), status.held), (4, 0));
    assert_eq!(next(&status, &both), status, "both are served");
    let (status, all) = held();
    let both = Situation { token: Some("r"), keep: Some("one=k"), ..situation(&all, &[], 110) };
    let status = next(&status, &both);
    assert_eq!(kept(&status, &all), ["one-100-3", "one-100-4"]);
    assert_eq!(
        all.iter().filter(|deletion| is_granted(&status, deletion)).count(),
        8,
        "the other namespace's are released"
    );
}

#[test]
fn identities_that_are_missing_are_not_made_again_by_it() {
    let status = State { missing: 9, ..State::default() };
    let after = next(&status, &Situation { keep: Some("1"), ..situation(&[], &[], 110) });
    assert_eq!((after.missing, after.recreating), (9, 0));
}

#[test]
fn where_all_namespaces_are_held_all_are_kept() {
    let many: Vec<_> = (0..300).flat_map(|number| deleted(&format!("team-{number}"), 4, 100)).collect();
    let status = next(&State::default(), &situation(&many, &many, 100));
    assert!(status.held > 0 && status.holding.is_empty());
    let after = next(&status, &Situation { keep: Some("1"), ..situation(&many, &[], 110) });
    assert_eq!(after.held, 0);
    let undecided = |deletion: &&Deletion| !is_kept(&after, deletion) && !is_granted(&after, deletion);
    assert_eq!(many.iter().filter(undecided).count(), 0);
}
