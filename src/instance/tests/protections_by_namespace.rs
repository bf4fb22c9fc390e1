//! Somebody else's mass deletion holds nobody, and is released alone.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use crate::api::protection::{Held, ProtectionStatus, Released};
use crate::instance::protection::{
    Census, Deletion, KEPT_HOLDING, Limits, Situation, State, is_granted, is_held, is_new, next,
};
use crate::instance::readiness;

const LIMITS: Limits =
    Limits { max_deletions: 4, max_deletions_total: 8, window: Duration::from_mins(10), max_missing: 5 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Resources of a namespace deleted at this second, by their numbers.
fn deleted(namespace: &str, numbers: std::ops::Range<usize>, second: i64) -> Vec<Deletion> {
    let uid = |number| format!("{namespace}-{number}");
    numbers.map(|number| Deletion { namespace: namespace.into(), uid: uid(number), at: at(second) }).collect()
}

fn quiet(under_way: &[Deletion], second: i64) -> Situation<'_> {
    let now = at(second);
    Situation {
        limits: LIMITS,
        token: None,
        keep: None,
        under_way,
        asked: &[],
        peers: &[],
        census: None,
        recount: true,
        now,
    }
}

fn asking(asked: &[Deletion], second: i64) -> Situation<'_> {
    Situation { asked, ..quiet(asked, second) }
}

fn granted(status: &State, asked: &[Deletion]) -> usize {
    asked.iter().filter(|deletion| is_granted(status, deletion)).count()
}

fn holding(status: &State) -> Vec<(&str, u32)> {
    status.holding.iter().map(|Held { namespace, count }| (namespace.as_str(), *count)).collect()
}

fn said(before: &State, after: &State) -> Option<(String, String)> {
    readiness::released(before, after).map(|event| (event.reason, event.note))
}

/// `a` has seven under way of which three are held, `b` five of which one is.
fn two_held() -> (State, Vec<Deletion>) {
    let all = [deleted("a", 0..7, 100), deleted("b", 0..5, 100)].concat();
    let first = [&all[..4], &all[7..11]].concat();
    let status = next(&State::default(), &asking(&first, 101));
    let status = next(&status, &asking(&all, 101));
    assert_eq!((granted(&status, &all), status.held, holding(&status)), (8, 4, vec![("a", 3), ("b", 1)]));
    (status, all)
}

#[test]
fn who_deletes_more_than_a_namespace_may_is_held_and_nobody_else() {
    let a = deleted("a", 0..7, 100);
    let status = next(&State::default(), &asking(&a, 101));
    assert_eq!((granted(&status, &a), holding(&status)), (0, vec![("a", 7)]));
    let all = [deleted("b", 0..3, 102), a, deleted("a", 7..8, 102)].concat();
    let status = next(&status, &asking(&all, 103));
    assert_eq!((granted(&status, &all), holding(&status), status.held), (3, vec![("a", 8)], 8));
    assert!(is_held(&status, "a") && !is_held(&status, "b"));
}

#[test]
fn over_the_total_only_those_are_held_that_used_more_than_a_quarter() {
    let (status, all) = two_held();
    let c = deleted("c", 0..3, 102);
    let status = next(&status, &asking(&[all.clone(), c.clone()].concat(), 102));
    // One of four is a quarter: whoever used one may have another, and three together are more than that.
    assert_eq!((granted(&status, &c), holding(&status)), (0, vec![("a", 3), ("b", 1), ("c", 3)]));
    let d = deleted("d", 0..2, 103);
    let status = next(&status, &asking(&[all, c, d.clone()].concat(), 103));
    assert_eq!((granted(&status, &d), is_held(&status, "d")), (2, false));
}

#[test]
fn where_more_come_together_than_go_in_all_none_goes_but_of_those_that_use_little() {
    let large = [deleted("a", 0..4, 100), deleted("b", 0..3, 100)].concat();
    let status = next(&State::default(), &asking(&large, 101));
    assert_eq!((granted(&status, &large), status.held), (7, 0), "seven of eight");
    // Who is held for its own number takes nothing from the others.
    let all = [large, deleted("c", 0..5, 100)].concat();
    let status = next(&State::default(), &asking(&all, 101));
    assert_eq!((granted(&status, &all), holding(&status)), (7, vec![("c", 5)]));
    let all = [deleted("a", 0..4, 100), deleted("b", 0..3, 100), deleted("c", 0..2, 100)].concat();
    let status = next(&State::default(), &asking(&all, 101));
    assert_eq!((granted(&status, &all), holding(&status)), (2, vec![("a", 4), ("b", 3)]));
    // So it is where some have not asked yet.
    let first = Situation { peers: &all, under_way: &all, ..asking(&all[..4], 101) };
    let status = next(&State::default(), &first);
    assert_eq!((granted(&status, &all), holding(&status)), (0, vec![("a", 4), ("b", 3)]));
}

#[test]
fn a_namespace_that_is_made_anew_under_its_name_has_used_what_it_had() {
    let status = next(&State::default(), &asking(&deleted("a", 0..4, 100), 101));
    let again = deleted("a", 100..101, 200);
    assert_eq!(holding(&next(&status, &asking(&again, 201))), [("a", 1)]);
}

#[test]
fn a_value_that_names_a_namespace_releases_what_it_is_deleting_alone_and_once() {
    let (held, all) = two_held();
    let token = Some("a=it is meant");
    let status = next(&held, &Situation { token, ..quiet(&all, 110) });
    assert_eq!((granted(&status, &all), holding(&status), status.held), (11, vec![("b", 1)], 1));
    assert!(said(&held, &status).is_some_and(|(reason, note)| reason == "Released" && note.contains("namespace a ")));
    // What it deletes later counts anew, by the same value.
    let later = [all.clone(), deleted("a", 7..13, 120)].concat();
    let after = next(&status, &Situation { token, ..asking(&later, 121) });
    assert_eq!((granted(&after, &later[12..]), holding(&after)), (0, vec![("a", 6), ("b", 1)]));
    assert_eq!((granted(&after, &all), said(&status, &after)), (11, None), "what was released stays so");
    // The grant goes with the last that it is about.
    let rest = &later[7..later.len() - 1];
    let after = next(&after, &asking(rest, 130));
    assert_eq!(after.released, []);
}

#[test]
fn a_value_for_everything_is_about_what_is_held_and_no_crowd_that_nobody_saw() {
    let (held, all) = two_held();
    let little = deleted("d", 0..2, 103);
    let held = next(&held, &asking(&[all.clone(), little.clone()].concat(), 103));
    assert_eq!((granted(&held, &little), held.held), (2, 4));
    let crowd = deleted("c", 0..50, 105);
    let under_way = [all.clone(), little, crowd.clone()].concat();
    let token = Some("what a and b delete is meant");
    // The crowd waits for others yet.
    let waiting = Situation { token, peers: &crowd, ..quiet(&under_way, 106) };
    let status = next(&held, &waiting);
    assert_eq!((granted(&status, &all), granted(&status, &crowd), status.held), (12, 0, 0));
    assert!(said(&held, &status).is_some_and(|(reason, note)| reason == "Released" && note.starts_with("4 deletions")));
    let counted: Vec<_> = status.reserved.iter().map(|entry| (entry.namespace.as_deref(), entry.count)).collect();
    assert_eq!(counted, [(Some("d"), 2)], "what others have used counts on");
    let status = next(&status, &Situation { token, asked: &crowd, ..quiet(&under_way, 108) });
    assert_eq!((granted(&status, &crowd), holding(&status)), (0, vec![("c", 50)]));
    assert_eq!(granted(&status, &all), 12, "what was released stays so");
    // Or it asks in the very moment.
    let status = next(&held, &Situation { asked: &crowd, ..waiting });
    assert_eq!((granted(&status, &all), granted(&status, &crowd)), (12, 0));
    assert_eq!(holding(&status), [("c", 50)]);
    assert!(said(&held, &status).is_some_and(|(reason, _)| reason == "Released"));
}

#[test]
fn a_name_that_holds_nothing_is_said_once_and_releases_nothing() {
    let (held, all) = two_held();
    for before in [held, State::default()] {
        let token = Some("c=1");
        let status = next(&before, &Situation { token, ..quiet(&all, 110) });
        let note = said(&before, &status).filter(|(reason, _)| reason == "NothingReleased").expect("it is said");
        assert!(note.1.contains("nothing of namespace c is held"), "{note:?}");
        assert_eq!((holding(&status), status.held, &status.released), (holding(&before), before.held, &Vec::new()));
        assert_eq!(next(&status, &Situation { token, ..quiet(&all, 111) }), status);
        assert!(!is_new(token, &status));
    }
}

#[test]
fn a_value_that_names_a_namespace_never_has_missing_identities_made_again() {
    let (held, all) = two_held();
    let census = Some(Census { managed: 40, missing: 30 });
    let missing = next(&held, &Situation { census, ..quiet(&all, 110) });
    let one = next(&missing, &Situation { census, token: Some("a=1"), ..quiet(&all, 120) });
    assert_eq!((one.missing, one.recreating, holding(&one)), (30, 0, vec![("b", 1)]));
    // Nor is it used up by what it can't release.
    let begun = next(&held, &Situation { census, token: Some("a=1"), ..quiet(&all, 110) });
    assert_eq!((begun.missing, holding(&begun)), (30, vec![("b", 1)]));
    let both = next(&one, &Situation { census, token: Some("2"), ..quiet(&all, 130) });
    assert_eq!((both.missing, both.recreating, holding(&both)), (0, 30, vec![("b", 1)]));
}

#[test]
fn an_older_value_that_comes_back_releases_nothing() {
    let (mut status, all) = two_held();
    for token in ["1", "a=2", "3"] {
        status = next(&status, &Situation { token: Some(token), ..quiet(&all, 110) });
    }
    let late = deleted("a", 20..26, 120);
    let held = next(&status, &Situation { token: Some("3"), ..asking(&late, 121) });
    assert_eq!(holding(&held), [("a", 6)]);
    for token in ["1", "a=2", "3"] {
        assert_eq!(next(&held, &Situation { token: Some(token), ..quiet(&late, 122) }), held, "{token}");
    }
    assert_eq!(next(&held, &Situation { token: Some("4"), ..quiet(&late, 122) }).held, 0);
}

#[test]
fn what_an_earlier_version_held_stays_so_and_what_it_counted_counts_for_everybody() {
    let old = json!({
        "held": 3, "missing": 0, "recreating": 0, "granted": ["a-0", "a-1", "a-2", "a-3"],
        "reserved": [{"at": "1970-01-01T00:01:40Z", "count": 4}],
        "lastRelease": {"token": "of last year", "at": null},
    });
    let old: ProtectionStatus = serde_json::from_value(old).unwrap();
    let old = State::of_status(Some(&old));
    assert!(is_held(&old, "a") && is_held(&old, "anybody"), "until it is counted");
    let a = deleted("a", 0..7, 100);
    let token = Some("of last year");
    let status = next(&old, &Situation { token, ..quiet(&a, 110) });
    assert_eq!((granted(&status, &a), status.held, holding(&status)), (4, 3, vec![("a", 3)]));
    let all = [a.clone(), deleted("b", 0..1, 110)].concat();
    let other = next(&status, &asking(&all, 111));
    assert_eq!(holding(&other), [("a", 3), ("b", 1)], "whose they were isn't known");
    let other = next(&status, &asking(&all, 701));
    assert_eq!((granted(&other, &all), holding(&other)), (5, vec![("a", 3)]), "until the window has passed");
    let released = next(&old, &Situation { token: Some("new"), ..quiet(&a, 110) });
    assert_eq!((granted(&released, &a), released.held), (7, 0));
    let released = next(&old, &Situation { token: Some("a=new"), ..quiet(&a, 110) });
    assert_eq!((granted(&released, &a), released.held), (7, 0));
}

#[test]
fn where_more_namespaces_are_held_than_can_be_named_all_are() {
    let limits = Limits { max_deletions: 0, ..LIMITS };
    let namespaces = KEPT_HOLDING + 44;
    let all: Vec<_> = (0..namespaces).flat_map(|number| deleted(&format!("n{number}"), 0..1, 100)).collect();
    let mut status = State::default();
    for some in all.chunks(128) {
        status = next(&status, &Situation { limits, asked: some, ..quiet(&all, 101) });
    }
    assert_eq!((status.held, status.holding.len()), (300, 0));
    assert!(is_held(&status, "anybody"));
    // One of them is released: the others stay held.
    let released = next(&status, &Situation { limits, token: Some("n7=1"), ..quiet(&all, 102) });
    assert_eq!((granted(&released, &all), released.held), (1, 299));
    assert_eq!(released.released, [Released { namespace: "n7".into(), at: Time(at(100)) }]);
    let everything = next(&status, &Situation { limits, token: Some("1"), ..quiet(&all, 102) });
    assert_eq!((granted(&everything, &all), everything.held), (300, 0), "all are held, so all are released");
    let fewer = next(&status, &Situation { limits, ..quiet(&all[100..], 103) });
    assert_eq!((fewer.held, fewer.holding.len(), is_held(&fewer, "anybody")), (200, 200, false));
    let nobody = next(&status, &Situation { limits, ..quiet(&[], 103) });
    assert_eq!((nobody.held, is_held(&nobody, "anybody")), (0, false));
}
