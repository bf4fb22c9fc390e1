//! What is let through, what is held, and what a release lets go.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use rstest::rstest;

use crate::api::protection::{LastRelease, Released, Reservation};
use crate::instance::protection::{
    Census, Deletion, KEPT_GRANTS, Limits, Situation, State, is_granted, is_new, is_too_many, next,
};

const LIMITS: Limits =
    Limits { max_deletions: 3, max_deletions_total: 10_000, window: Duration::from_mins(10), max_missing: 5 };
const NAMESPACE: &str = "team";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Resources deleted at this second, by their numbers.
fn deleted(numbers: std::ops::Range<usize>, second: i64) -> Vec<Deletion> {
    numbers
        .map(|number| Deletion { namespace: NAMESPACE.into(), uid: format!("uid-{number}"), at: at(second) })
        .collect()
}

fn quiet(second: i64) -> Situation<'static> {
    Situation {
        limits: LIMITS,
        token: None,
        keep: None,
        under_way: &[],
        asked: &[],
        peers: &[],
        census: None,
        recount: true,
        now: at(second),
    }
}

/// All of them ask.
fn asking(asked: &[Deletion], second: i64) -> Situation<'_> {
    Situation { under_way: asked, asked, ..quiet(second) }
}

fn granted(status: &State, asked: &[Deletion]) -> usize {
    asked.iter().filter(|deletion| is_granted(status, deletion)).count()
}

fn reserved(entries: &[(i64, u32)]) -> Vec<Reservation> {
    let namespace = Some(NAMESPACE.to_owned());
    let entry = |(second, count): &(i64, u32)| Reservation {
        at: Time(at(*second)),
        count: *count,
        namespace: namespace.clone(),
        most: None,
    };
    entries.iter().map(entry).collect()
}

fn release(token: &str, second: Option<i64>) -> LastRelease {
    LastRelease { token: Some(token.into()), at: second.map(|second| Time(at(second))), earlier: Vec::new() }
}

fn after(earlier: &str, last: LastRelease) -> LastRelease {
    LastRelease { earlier: vec![earlier.into()], ..last }
}

/// Three went, and the two that came after them are held.
fn held() -> (State, Vec<Deletion>) {
    let all = deleted(0..5, 100);
    let status = next(&State::default(), &asking(&all[..3], 100));
    let status = next(&status, &Situation { under_way: &all, ..asking(&all[3..], 100) });
    assert_eq!((granted(&status, &all), status.held), (3, 2));
    (status, all)
}

#[test]
fn up_to_the_limit_those_that_come_together_go_and_beyond_it_none_does() {
    for (count, through, held) in [(1, 1, 0), (3, 3, 0), (4, 0, 4), (500, 0, 500)] {
        let asked = deleted(0..count, 100);
        let status = next(&State::default(), &asking(&asked, 101));
        assert_eq!((granted(&status, &asked), status.held), (through, held), "{count}");
        let counted = [(101, u32::try_from(through).unwrap())];
        assert_eq!(status.reserved, reserved(if through == 0 { &[] } else { &counted }));
        assert_eq!(next(&status, &asking(&asked, 102)), status, "asked again it is the same: each counts once");
    }
}

#[test]
fn those_that_are_known_to_come_count_together_although_they_have_not_asked_yet() {
    let all = deleted(0..4, 100);
    let together = Situation { peers: &all, under_way: &all, ..asking(&all[..2], 101) };
    let status = next(&State::default(), &together);
    assert_eq!((granted(&status, &all), status.held), (0, 4), "two of them ask through another process, or later");
    let fewer = Situation { peers: &all[..3], under_way: &all, ..asking(&all[..2], 101) };
    let status = next(&State::default(), &fewer);
    assert_eq!((granted(&status, &all), &status.reserved), (2, &reserved(&[(101, 2)])), "who asks goes and counts");
    let last = Situation { peers: &all[..3], under_way: &all, ..asking(&all[2..3], 104) };
    let status = next(&status, &last);
    assert_eq!((granted(&status, &all), status.held), (3, 0));
    let nobody = Situation { peers: &all, under_way: &all, ..quiet(101) };
    assert_eq!(next(&State::default(), &nobody), State::default(), "nobody asks");
}

#[test]
fn of_more_than_one_write_can_grant_those_left_have_the_next_round_and_beyond_the_limit_none_goes() {
    let all = deleted(0..KEPT_GRANTS + 20, 100);
    let limits = Limits { max_deletions: 2000, ..LIMITS };
    let first = next(&State::default(), &Situation { limits, ..asking(&all, 101) });
    assert_eq!((granted(&first, &all), first.held), (KEPT_GRANTS, 0));
    let left: Vec<_> = all.iter().filter(|deletion| !is_granted(&first, deletion)).cloned().collect();
    let second = next(&first, &Situation { limits, under_way: &all, ..asking(&left, 101) });
    assert_eq!((granted(&second, &left), second.held, second.reserved[0].count), (20, 0, 1044));
    let limits = Limits { max_deletions: 1040, ..LIMITS };
    let status = next(&State::default(), &Situation { limits, ..asking(&all, 101) });
    assert_eq!((granted(&status, &all), status.held), (0, 1044));
}

#[test]
fn within_the_limit_as_many_go_at_the_same_time_as_may_ask_then_and_so_do_the_next() {
    let limits = Limits { max_deletions: 5000, ..LIMITS };
    let mut status = State::default();
    for round in 0..3 {
        let asked = deleted(round * KEPT_GRANTS..(round + 1) * KEPT_GRANTS, 100);
        let all = deleted(0..3 * KEPT_GRANTS, 100);
        status = next(&status, &Situation { limits, under_way: &all, ..asking(&asked, 101) });
        assert_eq!((granted(&status, &asked), status.held), (KEPT_GRANTS, 0), "{round}");
    }
}

#[test]
fn a_crowd_that_may_go_goes_in_as_many_rounds_as_it_takes_and_counts_once() {
    let limits = Limits { max_deletions: 600, ..LIMITS };
    let all = deleted(0..600, 100);
    let mut status = State::default();
    for asked in all.chunks(240) {
        let round = Situation { limits, under_way: &all, peers: &all, ..asking(asked, 101) };
        status = next(&status, &round);
        assert_eq!((granted(&status, asked), status.held), (asked.len(), 0));
    }
    assert_eq!(
        (granted(&status, &all), status.reserved),
        (600, reserved(&[(101, 600)])),
        "their deletions are under way"
    );
}

#[test]
fn those_that_are_gone_make_room_for_those_that_are_granted() {
    let limits = Limits { max_deletions: 5000, ..LIMITS };
    let all = deleted(0..KEPT_GRANTS + 100, 100);
    let status = next(&State::default(), &Situation { limits, ..asking(&all[..KEPT_GRANTS], 101) });
    // The last ones of the first went first.
    let left = [&all[..KEPT_GRANTS - 100], &all[KEPT_GRANTS..]].concat();
    let status = next(&status, &Situation { limits, under_way: &left, ..asking(&all[KEPT_GRANTS..], 102) });
    assert_eq!((granted(&status, &left), status.held), (KEPT_GRANTS, 0));
}

#[test]
fn those_that_ask_alone_go_until_the_window_is_full_and_again_when_it_has_passed() {
    let mut status = State::default();
    for (number, second) in [100, 200, 300].into_iter().enumerate() {
        let asked = deleted(number..number + 1, second);
        status = next(&status, &asking(&asked, second));
        assert_eq!((granted(&status, &asked), status.held), (1, 0));
    }
    assert_eq!(status.reserved, reserved(&[(100, 1), (200, 1), (300, 1)]));
    let asked = deleted(3..4, 699);
    assert_eq!(next(&status, &asking(&asked, 699)).held, 1, "the first one counts for ten minutes");
    let after = next(&status, &asking(&asked, 700));
    assert_eq!((granted(&after, &asked), after.held), (1, 0));
    assert_eq!(after.reserved, reserved(&[(200, 1), (300, 1), (700, 1)]));
    assert_eq!(after.granted, ["uid-3"], "the others are gone by then");
}

#[test]
fn what_is_held_stays_held_when_the_window_has_passed_and_so_does_all_that_comes_after() {
    let (status, _) = held();
    let later = deleted(3..7, 5000);
    let after = next(&status, &asking(&later, 5000));
    assert_eq!((granted(&after, &later), after.held), (0, 4));
}

#[test]
fn what_counts_does_so_until_the_end_of_its_second() {
    let now = "1970-01-01T00:01:40.2Z".parse().unwrap();
    let asked = deleted(0..1, 100);
    let status = next(&State::default(), &Situation { now, ..asking(&asked, 0) });
    assert_eq!(status.reserved, reserved(&[(101, 1)]));
}

#[test]
fn a_release_lets_go_what_was_deleted_by_then_and_begins_the_count_anew() {
    let (held, _) = held();
    let under_way = [deleted(3..5, 100), deleted(5..6, 130)].concat();
    let status = next(&held, &Situation { token: Some("1"), under_way: &under_way, ..quiet(140) });
    assert_eq!((status.held, &status.last_release), (0, &Some(release("1", None))));
    assert_eq!(status.released, [Released { namespace: NAMESPACE.into(), at: Time(at(130)) }]);
    assert_eq!(status.reserved, []);
    assert_eq!(granted(&status, &under_way), 3);
    let news = deleted(6..12, 150);
    let both = [&under_way[..], &news].concat();
    let after = next(&status, &Situation { token: Some("1"), under_way: &both, ..asking(&news, 150) });
    assert_eq!((granted(&after, &news), after.held), (0, 6), "the same value releases nothing more");
    assert_eq!(granted(&after, &under_way), 3, "what was released stays so");
    let again = next(&after, &Situation { token: Some("2"), under_way: &news, ..quiet(160) });
    assert_eq!((again.held, &again.last_release), (0, &Some(self::after("1", release("2", None)))));
    assert_eq!(granted(&again, &news), 6);
}

#[test]
fn one_that_asks_together_with_its_release_goes() {
    let (held, first) = held();
    let status = next(&held, &Situation { token: Some("1"), ..asking(&first[3..], 140) });
    assert_eq!((granted(&status, &first[3..]), status.held, status.reserved.len()), (2, 0, 0));
}

#[rstest]
#[case::none(None, None)]
#[case::of_long_ago(Some("old"), Some(release("old", None)))]
fn a_value_that_was_there_before_releases_nothing(#[case] token: Option<&str>, #[case] expected: Option<LastRelease>) {
    let first = deleted(0..5, 100);
    let status = next(&State::default(), &Situation { token, ..asking(&first, 100) });
    assert_eq!((status.held, &status.last_release), (5, &expected));
    let after = next(&status, &Situation { token, under_way: &first, ..quiet(200) });
    assert_eq!(after, status);
    assert!(!is_new(token, &status) && is_new(Some("new"), &status));
}

#[test]
fn what_is_held_is_counted_anew_and_holding_ends_with_the_last_of_it() {
    let first = deleted(0..9, 100);
    let mut status = next(&State::default(), &asking(&first[..3], 100));
    status = next(&status, &Situation { under_way: &first, ..asking(&first[3..], 100) });
    assert_eq!(status.held, 6);
    let rest = &first[5..];
    let early = Situation { under_way: rest, recount: false, ..quiet(101) };
    assert_eq!(next(&status, &early).held, 6, "not at every occasion");
    status = next(&status, &Situation { under_way: rest, ..quiet(102) });
    assert_eq!(status.held, 4);
    status = next(&status, &quiet(103));
    assert_eq!((status.held, &status.reserved), (0, &reserved(&[(100, 3)])));
    let news = deleted(20..21, 110);
    assert_eq!(next(&status, &asking(&news, 110)).held, 1, "what went within the window still counts");
}

#[test]
fn a_limit_of_nothing_holds_everything_and_one_that_is_raised_releases_nothing() {
    let asked = deleted(0..1, 100);
    let limits = Limits { max_deletions: 0, ..LIMITS };
    let status = next(&State::default(), &Situation { limits, ..asking(&asked, 100) });
    assert_eq!((status.held, &status.reserved), (1, &Vec::new()));
    let limits = Limits { max_deletions: 100, ..LIMITS };
    assert_eq!(next(&status, &Situation { limits, ..asking(&asked, 101) }).held, 1);
}

#[test]
fn a_clock_that_was_ahead_makes_nothing_count_for_ever() {
    let before = State { reserved: reserved(&[(1_000_000, 2)]), ..State::default() };
    let asked = deleted(0..1, 100);
    let status = next(&before, &asking(&asked, 100));
    assert_eq!((granted(&status, &asked), status.reserved), (1, reserved(&[(100, 3)])));
    let asked = deleted(0..2, 100);
    assert_eq!(next(&before, &asking(&asked, 100)).held, 2, "until then it counts");
}

#[test]
fn what_is_kept_stays_small_and_never_counts_for_a_shorter_time() {
    let limits = Limits { max_deletions: 10_000, window: Duration::from_hours(24), ..LIMITS };
    let mut status = State::default();
    for second in 1..=1000_u32 {
        let number = usize::try_from(second).unwrap() * 10;
        let asked = deleted(number..number + 10, second.into());
        status = next(&status, &Situation { limits, ..asking(&asked, i64::from(second) * 7) });
        assert!(status.reserved.len() <= 32 && status.granted.len() <= KEPT_GRANTS);
        let sum: u32 = status.reserved.iter().map(|reserved| reserved.count).sum();
        assert_eq!(sum, second * 10);
        assert!(status.reserved.is_sorted_by_key(|reserved| reserved.at.0));
        assert_eq!(status.reserved.last().unwrap().at.0, at(i64::from(second) * 7));
    }
}

#[rstest]
#[case::few(Census { managed: 30, missing: 5 }, 0, false)]
#[case::one_more(Census { managed: 30, missing: 6 }, 0, true)]
#[case::a_tenth_of_many(Census { managed: 1009, missing: 100 }, 0, false)]
#[case::more_than_a_tenth(Census { managed: 1009, missing: 101 }, 0, true)]
#[case::those_that_were_released(Census { managed: 30, missing: 30 }, 30, false)]
#[case::and_some_more(Census { managed: 40, missing: 36 }, 30, true)]
#[case::none_at_all(Census { managed: 0, missing: 0 }, 0, false)]
fn it_is_too_many_beyond_the_limit_or_a_tenth(#[case] census: Census, #[case] released: u32, #[case] expected: bool) {
    assert_eq!(is_too_many(census, released, LIMITS), expected);
}

fn listed(managed: u32, missing: u32, second: i64) -> Situation<'static> {
    Situation { census: Some(Census { managed, missing }), ..quiet(second) }
}

#[test]
fn missing_identities_are_made_again_once_released_and_that_ends_when_they_are_there() {
    let mut status = next(&State::default(), &Situation { token: Some("old"), ..listed(40, 30, 100) });
    assert_eq!((status.missing, &status.last_release), (30, &Some(release("old", None))));
    assert_eq!(next(&status, &Situation { token: Some("old"), ..listed(40, 30, 110) }), status);
    // A process that has listed nothing yet neither releases nor ends it.
    assert_eq!(next(&status, &Situation { token: Some("new"), ..quiet(120) }), status);

    status = next(&status, &Situation { token: Some("new"), ..listed(40, 30, 120) });
    assert_eq!(
        (status.missing, status.recreating, &status.last_release),
        (0, 30, &Some(after("old", release("new", None))))
    );
    for (missing, recreating) in [(30, 30), (12, 12), (14, 12), (0, 0)] {
        status = next(&status, &Situation { token: Some("new"), ..listed(40, missing, 130) });
        assert_eq!((status.missing, status.recreating), (0, recreating));
    }
    status = next(&status, &Situation { token: Some("new"), ..listed(40, 30, 140) });
    assert_eq!(status.missing, 30, "another time it is asked for again");
}

#[test]
fn missing_identities_that_are_back_need_no_release() {
    let status = next(&State::default(), &listed(40, 30, 100));
    let status = next(&status, &listed(40, 5, 110));
    assert_eq!((status.missing, status.recreating, status.last_release), (0, 0, None));
}

#[test]
fn one_value_releases_one_thing() {
    let (held, first) = held();
    let both = next(&held, &Situation { under_way: &first[3..], ..listed(40, 30, 110) });
    assert_eq!((both.held, both.missing), (2, 30));
    let one = next(&both, &Situation { token: Some("1"), under_way: &first[3..], ..listed(40, 30, 120) });
    assert_eq!((one.held, one.missing, one.recreating), (2, 0, 30));
    let two = next(&one, &Situation { token: Some("2"), under_way: &first[3..], ..listed(40, 30, 130) });
    assert_eq!((two.held, two.recreating, &two.last_release), (0, 30, &Some(after("1", release("2", None)))));
}
