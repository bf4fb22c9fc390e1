//! Adds up what the rules say of all sessions, and plans what to do. Pure.
//!
//! It keeps little per session: 48 bytes where the rank among the identity's sessions matters, 16 where it is to be extended,
//! 34 where it is to be revoked (at most as many as the limit). It counts the sessions of at most ten thousand identities.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::desired::Desired;
use super::expression_results::ExpressionResults;
use super::judge::{Judgement, Mask, RuleMatch, bit};
use crate::api::session_policy::RuleAction;

/// How many identities the status shows.
pub const SHOWN: usize = 20;
/// The sessions of how many identities are counted; further identities aren't.
const COUNTED: usize = 10_000;

const IS_MATCHED: u8 = 1;
const IS_FAILED: u8 = 2;
const IS_REVOKED: u8 = 4;
const IS_EXTENDED: u8 = 8;

/// What was seen so far.
#[derive(Debug)]
pub struct Tally {
    shapes: Vec<Shape>,
    limit: usize,
    /// Whether to count the matched sessions of each identity.
    notes_affected: bool,
    sessions: usize,
    matched: usize,
    failed: usize,
    /// Sessions whose expressions ran out of budget.
    exhausting: usize,
    results: ExpressionResults,
    by_rule: Vec<usize>,
    failed_by_rule: Vec<usize>,
    /// How many sessions of each identity Revoke rules match.
    by_identity: HashMap<Uuid, usize>,
    unowned: BTreeSet<Uuid>,
    /// At most one more than may be revoked.
    revoke: Vec<Candidate>,
    named: usize,
    extend: Vec<Uuid>,
    ranking: Option<Vec<Ranked>>,
}

/// The part of a rule that matters here.
#[derive(Clone, Copy, Debug)]
struct Shape {
    action: RuleAction,
    max_concurrent: Option<usize>,
}

/// A session to revoke, and the rules that match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub session: Uuid,
    /// Nil where it is unknown.
    pub identity: Uuid,
    pub rules: Mask,
}

/// A session that is ranked among those of its identity.
#[derive(Clone, Copy, Debug)]
struct Ranked {
    identity: Uuid,
    session: Uuid,
    began: i64,
    holds: Mask,
    unknown: Mask,
    flags: u8,
}

const _: () = assert!(size_of::<Ranked>() == 48 && size_of::<Candidate>() == 34);

/// What to do, and what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub sessions: usize,
    pub matched: usize,
    pub failed: usize,
    pub by_rule: Vec<usize>,
    /// For each rule, of how many sessions it is unknown whether it matches.
    pub failed_by_rule: Vec<usize>,
    /// The identities with the most sessions that Revoke rules match, and how many; at most [`SHOWN`]. Empty where that wasn't
    /// counted.
    pub by_identity: Vec<(Uuid, usize)>,
    /// Matched sessions whose identity wasn't requested; at most [`SHOWN`].
    pub unowned: Vec<Uuid>,
    /// Empty where more match than may be revoked.
    pub revoke: Vec<Candidate>,
    /// How many sessions Revoke rules match.
    pub named: usize,
    pub extend: Vec<Uuid>,
    pub results: ExpressionResults,
}

impl Plan {
    /// Whether more sessions match than may be revoked: then none is.
    pub fn is_held(&self) -> bool {
        self.named > self.revoke.len()
    }
}

impl Tally {
    pub fn new(desired: &Desired) -> Self {
        let shapes = desired.rules.iter();
        let shapes: Vec<_> =
            shapes.map(|rule| Shape { action: rule.action, max_concurrent: rule.max_concurrent }).collect();
        let ranks = shapes.iter().any(|shape| shape.max_concurrent.is_some());
        Self {
            by_rule: vec![0; shapes.len()],
            failed_by_rule: vec![0; shapes.len()],
            by_identity: HashMap::new(),
            unowned: BTreeSet::new(),
            ranking: ranks.then(Vec::new),
            shapes,
            limit: desired.limit,
            notes_affected: false,
            sessions: 0,
            matched: 0,
            failed: 0,
            exhausting: 0,
            results: ExpressionResults::default(),
            revoke: Vec::new(),
            named: 0,
            extend: Vec::new(),
        }
    }

    /// The same; counts the matched sessions of each identity, if `notes_affected` (mode Observe).
    #[must_use]
    pub fn with_affected(self, notes_affected: bool) -> Self {
        Self { notes_affected, ..self }
    }

    /// How many sessions were read.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// How many sessions' expressions ran out of budget.
    pub fn exhausting(&self) -> usize {
        self.exhausting
    }

    /// Adds results of expressions.
    pub fn note(&mut self, results: ExpressionResults) {
        self.results.add(results);
    }

    /// Adds a session, once it is known whether its identity has a second factor.
    pub fn add(&mut self, judgement: &Judgement) {
        let rule_match = match judgement {
            Judgement::OutOfReach => return,
            Judgement::Unknown => {
                (self.sessions, self.failed) = (self.sessions + 1, self.failed + 1);
                return;
            }
            Judgement::Judged(rule_match) => rule_match,
        };
        self.sessions += 1;
        self.exhausting += usize::from(rule_match.is_exhausting);
        let ranked = self.mask(|shape| shape.max_concurrent.is_some());
        let can_be_ranked = rule_match.began.is_some() && !rule_match.identity.is_nil();
        let holds = rule_match.holds & !ranked;
        let unknown = if can_be_ranked { rule_match.unknown & !ranked } else { rule_match.unknown };
        let mut flags = 0;
        if unknown != 0 {
            self.failed += 1;
            flags |= IS_FAILED;
            count(&mut self.failed_by_rule, unknown);
        }
        if holds != 0 {
            self.matched += 1;
            flags |= IS_MATCHED;
            count(&mut self.by_rule, holds);
        }
        let revoking = holds & self.mask(|shape| shape.action == RuleAction::Revoke);
        let extending = holds & self.mask(|shape| shape.action == RuleAction::Extend);
        let RuleMatch { session, identity, .. } = *rule_match;
        if revoking != 0 {
            flags |= IS_REVOKED;
            self.revoke(Candidate { session, identity, rules: revoking });
        } else if extending != 0 {
            flags |= IS_EXTENDED;
            if self.ranking.is_none() || !can_be_ranked {
                push(&mut self.extend, session);
            }
        }
        if let Some(ranking) = &mut self.ranking
            && let Some(began) = rule_match.began.filter(|_| can_be_ranked)
        {
            let (holds, unknown) = (rule_match.holds & ranked, rule_match.unknown & ranked);
            push(ranking, Ranked { identity, session, began, holds, unknown, flags });
        }
    }

    /// The plan, once all sessions were added.
    pub fn finish(mut self) -> Plan {
        if let Some(mut ranking) = self.ranking.take() {
            ranking.sort_unstable_by_key(|it| (it.identity, Reverse(it.began), it.session));
            // Pages that change while they are read may show a session twice.
            ranking.dedup_by_key(|it| (it.identity, it.session));
            for sessions in ranking.chunk_by(|one, two| one.identity == two.identity) {
                for (rank, session) in sessions.iter().enumerate() {
                    self.rank(rank, session);
                }
            }
        }
        let kept = self.revoke.len();
        self.revoke.sort_unstable();
        self.revoke.dedup_by_key(|candidate| candidate.session);
        let named = self.named - (kept - self.revoke.len());
        self.extend.sort_unstable();
        self.extend.dedup();
        let revoke = &self.revoke;
        self.extend.retain(|session| revoke.binary_search_by_key(session, |candidate| candidate.session).is_err());
        if named > self.limit {
            self.revoke.clear();
        }
        let Self {
            sessions,
            matched,
            failed,
            by_rule,
            failed_by_rule,
            by_identity,
            unowned,
            revoke,
            extend,
            results,
            ..
        } = self;
        let (by_identity, unowned) = (most_first(by_identity.into_iter().collect()), unowned.into_iter().collect());
        Plan {
            sessions,
            matched,
            failed,
            by_rule,
            failed_by_rule,
            by_identity,
            unowned,
            revoke,
            named,
            extend,
            results,
        }
    }

    /// Adds the rules that hold for a session with this rank: the number of its identity's newer sessions.
    fn rank(&mut self, rank: usize, ranked: &Ranked) {
        let beyond = self.mask(|shape| shape.max_concurrent.is_some_and(|stay| rank >= stay));
        let Ranked { identity, session, began: _, holds, unknown, flags } = *ranked;
        let named = holds & beyond;
        self.failed += usize::from(unknown & beyond != 0 && flags & IS_FAILED == 0);
        count(&mut self.failed_by_rule, unknown & beyond);
        count(&mut self.by_rule, named);
        self.matched += usize::from(named != 0 && flags & IS_MATCHED == 0);
        if named != 0 && flags & IS_REVOKED == 0 {
            self.revoke(Candidate { session, identity, rules: named });
        } else if flags & IS_EXTENDED != 0 && named == 0 {
            push(&mut self.extend, session);
        }
    }

    fn revoke(&mut self, candidate: Candidate) {
        self.named += 1;
        if self.notes_affected {
            self.note_affected(candidate);
        }
        if self.revoke.len() <= self.limit {
            self.revoke.push(candidate);
        }
    }

    fn note_affected(&mut self, Candidate { session, identity, rules: _ }: Candidate) {
        if identity.is_nil() {
            // Always the same ones, in whatever order they come.
            self.unowned.insert(session);
            if self.unowned.len() > SHOWN {
                self.unowned.pop_last();
            }
        } else if self.by_identity.len() < COUNTED || self.by_identity.contains_key(&identity) {
            *self.by_identity.entry(identity).or_default() += 1;
        }
    }

    fn mask(&self, is_meant: impl Fn(&Shape) -> bool) -> Mask {
        let meant = self.shapes.iter().enumerate().filter(|(_, shape)| is_meant(shape));
        meant.fold(0, |mask, (at, _)| mask | bit(at))
    }
}

fn count(counts: &mut [usize], rules: Mask) {
    for (at, count) in counts.iter_mut().enumerate() {
        *count += usize::from(rules & bit(at) != 0);
    }
}

/// The identities with the most sessions, at most [`SHOWN`].
pub fn most_first(mut identities: Vec<(Uuid, usize)>) -> Vec<(Uuid, usize)> {
    identities.sort_unstable_by_key(|(identity, sessions)| (Reverse(*sessions), *identity));
    identities.truncate(SHOWN);
    identities
}

/// The rules with action Revoke.
pub fn revoking(desired: &Desired) -> Mask {
    let rules = desired.rules.iter().enumerate().filter(|(_, rule)| rule.action == RuleAction::Revoke);
    rules.fold(0, |mask, (at, _)| mask | bit(at))
}

/// Adds an item. The capacity grows by an eighth instead of doubling, because most of a doubled one would stay unused.
fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 8).max(256));
    }
    items.push(item);
}

/// A session's rank: how many of the identity's sessions are newer. `None`: it isn't among them.
pub fn rank(of: Uuid, sessions: &[RuleMatch]) -> Option<usize> {
    let place = |rule_match: &RuleMatch| rule_match.began.map(|began| (Reverse(began), rule_match.session));
    let own = sessions.iter().find(|rule_match| rule_match.session == of).and_then(place)?;
    let before = sessions.iter().filter_map(place).filter(|other| *other < own);
    Some(before.collect::<HashSet<_>>().len())
}
