//! From rule matches to a plan: properties that hold for all sessions in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{parse, scope, spec};
use crate::policy::desired::{self, Desired};
use crate::policy::judge::{Judgement, RuleMatch};
use crate::policy::tally::{Plan, Tally, rank};

/// Rules that revoke at any rank.
const PLAIN: u16 = 0b0011;

/// Rules 0 and 1 revoke, 2 revokes beyond the two newest, 3 extends.
fn rules() -> Value {
    json!([
        {"name": "one", "maxAge": "1h", "action": "Revoke"},
        {"name": "two", "expression": "true", "action": "Revoke"},
        {"name": "few", "maxConcurrent": 2, "expression": "true", "action": "Revoke"},
        {"name": "on", "expiresWithin": "1h", "maxAge": "2h", "action": "Extend"},
    ])
}

fn with_limit(limit: usize) -> Desired {
    let mut spec = spec(&rules());
    spec.limit = serde_json::from_value(json!({ "maxRevocations": limit })).unwrap();
    desired::parse(&spec, &scope()).unwrap()
}

fn plan(desired: &Desired, rule_matches: &[RuleMatch]) -> Plan {
    let mut tally = Tally::new(desired).with_affected(true);
    for rule_match in rule_matches {
        tally.add(&Judgement::Judged(*rule_match));
    }
    tally.finish()
}

fn of(session: u128, identity: u128, began: i64, holds: u16) -> RuleMatch {
    RuleMatch {
        session: Uuid::from_u128(session),
        identity: Uuid::from_u128(identity),
        began: Some(began),
        holds,
        ..RuleMatch::default()
    }
}

fn ids(sessions: impl IntoIterator<Item = Uuid>) -> Vec<u128> {
    sessions.into_iter().map(|session| session.as_u128()).collect()
}

#[test]
fn each_session_is_counted_once_and_each_rule_by_itself() {
    let rule_matches = [of(1, 7, 10, 0b0011), of(2, 7, 20, 0b0001), of(3, 7, 30, 0b1000), of(4, 8, 40, 0b0000)];
    let plan = plan(&with_limit(10), &rule_matches);
    assert_eq!((plan.sessions, plan.matched, plan.failed, plan.named), (4, 3, 0, 2));
    assert_eq!(plan.by_rule, [2, 1, 0, 1]);
    assert_eq!(ids(plan.revoke.iter().map(|it| it.session)), [1, 2]);
    assert_eq!(ids(plan.extend), [3]);
}

#[test]
fn the_newest_stay_and_the_others_go_where_the_rest_of_the_rule_holds() {
    let rule_matches = [of(1, 7, 10, 0b0100), of(2, 7, 40, 0b0100), of(3, 7, 20, 0b0000), of(4, 7, 30, 0b0100)];
    let first = plan(&with_limit(10), &rule_matches);
    assert_eq!(
        ids(first.revoke.iter().map(|it| it.session)),
        [1],
        "3 is beyond, but the rule's expression doesn't hold"
    );
    assert_eq!((first.matched, first.by_rule), (1, vec![0, 0, 1, 0]));
    let shown_twice = [rule_matches[1], rule_matches[0], rule_matches[1], rule_matches[3], rule_matches[1]];
    let plan = plan(&with_limit(10), &shown_twice);
    assert_eq!(ids(plan.revoke.iter().map(|it| it.session)), [1], "a session that is shown twice is one");
}

#[test]
fn a_session_that_any_rule_revokes_is_not_extended() {
    let revoked_directly = of(1, 7, 10, 0b1001);
    let revoked_by_rank = of(2, 8, 10, 0b1100);
    let extended = of(3, 8, 20, 0b1100);
    let rule_matches = [revoked_directly, revoked_by_rank, extended, of(4, 8, 30, 0)];
    let first = plan(&with_limit(10), &rule_matches);
    assert_eq!((ids(first.extend), first.revoke.len()), (vec![3], 2));
    let held = plan(&with_limit(1), &rule_matches);
    assert!(held.is_held() && held.revoke.is_empty());
    assert_eq!(ids(held.extend), [3], "nor where the revocations are held");
}

#[test]
fn more_than_may_be_revoked_means_none_is() {
    let rule_matches: Vec<_> = (1..=5).map(|session| of(session, 7 + session, 10, 1)).collect();
    assert_eq!(plan(&with_limit(5), &rule_matches).revoke.len(), 5);
    let held = plan(&with_limit(4), &rule_matches);
    assert_eq!((held.revoke.len(), held.named, held.is_held()), (0, 5, true));
}

#[test]
fn what_cant_be_told_is_counted_once_and_left_alone() {
    let unknown = |session, mask| RuleMatch { unknown: mask, ..of(session, 7, 10, 0) };
    let beyond = [unknown(1, 0b0100), of(2, 7, 20, 0), of(3, 7, 30, 0)];
    let first = plan(&with_limit(10), &beyond);
    assert_eq!((first.failed, first.matched, first.revoke.len()), (1, 0, 0));
    let first = plan(&with_limit(10), &beyond[..2]);
    assert_eq!(first.failed, 0, "among the newest it doesn't matter");
    let twice = plan(&with_limit(10), &[unknown(1, 0b0111), of(2, 7, 20, 0), of(3, 7, 30, 0)]);
    assert_eq!(twice.failed, 1);
    let mut tally = Tally::new(&with_limit(10));
    tally.add(&Judgement::Unknown);
    tally.add(&Judgement::OutOfReach);
    let plan = tally.finish();
    assert_eq!((plan.sessions, plan.failed), (1, 1));
}

#[test]
fn whose_sessions_would_end_is_told_of_those_with_the_most() {
    let of_many = |identity: u128| (0..identity).map(move |session| of(identity * 100 + session, identity, 10, 0b0011));
    let rule_matches: Vec<_> = (1..=25).flat_map(of_many).collect();
    let first = plan(&with_limit(1000), &rule_matches);
    assert_eq!((first.by_identity.len(), first.unowned.len()), (20, 0));
    assert_eq!(first.by_identity[0], (Uuid::from_u128(25), 25), "each session once, though two rules name it");
    assert_eq!(first.by_identity[19], (Uuid::from_u128(6), 6));
    assert_eq!(plan(&with_limit(1), &rule_matches).by_identity, first.by_identity, "also where none may be revoked");
    let extended_and_ranked = [of(1, 7, 10, 0b0100), of(2, 7, 20, 0), of(3, 7, 30, 0), of(4, 8, 10, 0b1000)];
    assert_eq!(plan(&with_limit(10), &extended_and_ranked).by_identity, [(Uuid::from_u128(7), 1)]);
    let unowned: Vec<_> = (1..=30).rev().map(|session| of(session, 0, 10, 0b0001)).collect();
    let second = plan(&with_limit(1000), &unowned);
    assert_eq!((second.by_identity.len(), ids(second.unowned)), (0, (1..=20).collect()));
    let mut tally = Tally::new(&with_limit(1000));
    for rule_match in rule_matches.into_iter().chain(unowned) {
        tally.add(&Judgement::Judged(rule_match));
    }
    let enforced = tally.finish();
    assert_eq!((enforced.by_identity, enforced.unowned, enforced.named), (Vec::new(), Vec::new(), 355), "nobody asks");
}

#[test]
fn what_cant_be_told_is_counted_by_rule() {
    let unknown = |session, mask| RuleMatch { unknown: mask, ..of(session, 7, 10, 0) };
    let rule_matches = [unknown(1, 0b0101), of(2, 7, 20, 0), of(3, 7, 30, 0), unknown(4, 0b0001)];
    let plan = plan(&with_limit(10), &rule_matches);
    assert_eq!((plan.failed, plan.failed_by_rule), (2, vec![2, 0, 1, 0]));
}

#[test]
fn a_rank_says_how_many_are_newer() {
    let rule_matches = [of(1, 7, 10, 0), of(2, 7, 30, 0), of(3, 7, 20, 0), of(2, 7, 30, 0)];
    let ranks: Vec<_> = [1, 2, 3, 4].iter().map(|session| rank(Uuid::from_u128(*session), &rule_matches)).collect();
    assert_eq!(ranks, [Some(2), Some(0), Some(1), None]);
}

prop_compose! {
    fn an_opinion()(
        session in 1..60_u128, age in 0..20_i64, holds in 0..16_u16, unknown in 0..16_u16, is_known in prop::bool::weighted(0.9),
    ) -> RuleMatch {
        // A session has one identity and one begin, however often it is shown.
        let began = is_known.then_some(age * 100 + i64::try_from(session).unwrap_or_default());
        RuleMatch { began, unknown: unknown & !holds, ..of(session, session % 5 + 1, 0, holds) }
    }
}

proptest! {
    #[test]
    fn whatever_the_sessions_are(rule_matches in prop::collection::vec(an_opinion(), 0..80), limit in 1..30_usize) {
        let rule_matches: BTreeMap<_, _> = rule_matches.into_iter().map(|rule_match| (rule_match.session, rule_match)).collect();
        let rule_matches: Vec<_> = rule_matches.into_values().collect();
        let desired = with_limit(limit);
        let plan = plan(&desired, &rule_matches);

        prop_assert!(plan.revoke.len() <= limit, "never more than the limit");
        prop_assert_eq!(plan.is_held(), plan.named > limit);
        for candidate in &plan.revoke {
            let rule_match = rule_matches.iter().find(|rule_match| rule_match.session == candidate.session).unwrap();
            prop_assert!(rule_match.holds & candidate.rules & 0b0111 != 0, "never one that no rule names");
        }
        // The newest of each identity stay, unless rules without a number match them.
        let mut by_identity = BTreeMap::<Uuid, Vec<&RuleMatch>>::new();
        for rule_match in rule_matches.iter().filter(|rule_match| rule_match.began.is_some()) {
            by_identity.entry(rule_match.identity).or_default().push(rule_match);
        }
        let revoked: BTreeSet<_> = plan.revoke.iter().map(|candidate| candidate.session).collect();
        for sessions in by_identity.values_mut() {
            sessions.sort_by_key(|rule_match| std::cmp::Reverse(rule_match.began));
            for newest in sessions.iter().take(2).filter(|rule_match| rule_match.holds & PLAIN == 0) {
                prop_assert!(!revoked.contains(&newest.session), "one of the newest is revoked");
            }
            if !plan.is_held() {
                for older in sessions.iter().skip(2).filter(|rule_match| rule_match.holds & 0b0100 != 0) {
                    prop_assert!(revoked.contains(&older.session), "one beyond the newest stays");
                }
            }
        }
        for session in &plan.extend {
            let rule_match = rule_matches.iter().find(|rule_match| rule_match.session == *session).unwrap();
            prop_assert!(rule_match.holds & 0b1000 != 0 && rule_match.holds & PLAIN == 0 && !revoked.contains(session));
        }
        prop_assert!(plan.matched <= plan.sessions && plan.failed <= plan.sessions);
        prop_assert!(plan.by_rule.iter().all(|named| *named <= plan.matched));
    }

    #[test]
    fn the_order_in_which_they_come_says_nothing(
        rule_matches in prop::collection::vec(an_opinion(), 0..40).prop_shuffle(), limit in 1..30_usize,
    ) {
        let unique: BTreeMap<_, _> = rule_matches.into_iter().map(|rule_match| (rule_match.session, rule_match)).collect();
        let mut rule_matches: Vec<_> = unique.into_values().collect();
        let desired = with_limit(limit);
        let forwards = plan(&desired, &rule_matches);
        rule_matches.reverse();
        prop_assert_eq!(forwards, plan(&desired, &rule_matches));
    }
}

#[test]
fn the_rules_of_these_tests_are_what_they_say() {
    assert_eq!(parse(&rules()).unwrap().rules.len(), 4);
}
