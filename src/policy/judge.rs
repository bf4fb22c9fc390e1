//! What a policy's rules say of one session. Pure: time is an argument.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::address;
use super::answer::Answer;
use super::desired::{AssuranceCondition, Desired, Rule, Selection};
use super::expression_results::{ExpressionResults, Which};
use super::reachable::{Reachability, Reachable};
use super::view;
use crate::api::session_policy::RuleAction;
use crate::kratos::{Content, Session};
use crate::rules::{Budget, Expression, Problem};

/// The budget of all expressions of a policy together for one session.
const BUDGET: usize = 100_000;
/// The largest input of expressions, in bytes of JSON.
const MAX_INPUT: usize = 256 * 1024;

/// A set of rules, by their indexes in the policy.
pub type Mask = u16;

/// The set of one rule.
pub fn bit(rule: usize) -> Mask {
    u32::try_from(rule).ok().and_then(|rule| Mask::from(1_u8).checked_shl(rule)).unwrap_or_default()
}

/// The result for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The policy isn't about it.
    OutOfReach,
    /// It is unknown whether the policy is about it.
    Unknown,
    Judged(RuleMatch),
}

/// What the rules say of a session, not counting the identity's other sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleMatch {
    pub session: Uuid,
    /// Nil where it wasn't requested.
    pub identity: Uuid,
    /// When it began, in microseconds since 1970.
    pub began: Option<i64>,
    /// Rules that hold.
    pub holds: Mask,
    /// Rules of which it is unknown whether they hold.
    pub unknown: Mask,
    /// Rules that hold if the identity has a second factor.
    pub if_enrolled: Mask,
    /// The expressions ran out of budget.
    pub is_exhausting: bool,
}

impl RuleMatch {
    /// Decides the rules that depend on a second factor. `None`: it is unknown whether there is one.
    pub fn settle(&mut self, is_enrolled: Option<bool>) {
        match is_enrolled {
            Some(true) => self.holds |= self.if_enrolled,
            Some(false) => {}
            None => self.unknown |= self.if_enrolled,
        }
        self.if_enrolled = 0;
    }
}

/// The values of the variables, built when the first expression is evaluated.
struct Asked<'a> {
    session: &'a Session,
    /// Whether it is unknown if expressions may read its identity.
    is_untold: bool,
    now: Timestamp,
    trusts_addresses: bool,
    values: Option<[serde_json::Value; 3]>,
    budget: Budget,
    is_exhausting: bool,
    results: ExpressionResults,
}

impl Asked<'_> {
    fn ask(&mut self, which: Which, expression: &Expression) -> Answer {
        if self.is_untold || self.looks_at_what_is_opaque(expression) {
            return Answer::Unknown;
        }
        let values = self.values.get_or_insert_with(|| view::values(self.session, self.trusts_addresses, self.now));
        if values.iter().map(|value| value.to_string().len()).sum::<usize>() > MAX_INPUT {
            return Answer::Unknown;
        }
        let holds = expression.holds(values, &mut self.budget);
        self.is_exhausting |= holds == Err(Problem::Exhausted);
        self.results.note(which, holds);
        Answer::of(holds.ok())
    }

    fn looks_at_what_is_opaque(&self, expression: &Expression) -> bool {
        let Some(identity) = &self.session.identity else { return false };
        let opaque =
            |content: &Content, name| content.opaque().is_some() && expression.looks_at(view::IDENTITY, Some(name));
        opaque(&identity.traits, "traits") || opaque(&identity.metadata_public, "metadata_public")
    }
}

/// Judges a session by the rules in `asked`. `reach`: the identities within reach; `None`: all. For an identity that the
/// instance's rules don't admit, no expression is evaluated: counts would show its traits. Where it is unknown whether they
/// admit it, the result of expressions is unknown.
pub fn judge(
    desired: &Desired,
    reach: Option<&Reachable>,
    asked: Mask,
    session: &Session,
    now: Timestamp,
) -> Judgement {
    examine(desired, reach, asked, session, now).0
}

/// The same, and the results of the expressions.
pub fn examine(
    desired: &Desired,
    reach: Option<&Reachable>,
    asked: Mask,
    session: &Session,
    now: Timestamp,
) -> (Judgement, ExpressionResults) {
    let identity = session.identity.as_ref().and_then(|identity| identity.id.parse::<Uuid>().ok());
    let reachability = match reach {
        None => Some(Reachability::Admitted),
        Some(reach) => identity.and_then(|identity| reach.reachability(identity)),
    };
    let Some(reachability) = reachability else { return (Judgement::OutOfReach, ExpressionResults::default()) };
    let sees_traits = reachability != Reachability::NotAdmitted;
    if !sees_traits && desired.selection.expression.is_some() {
        return (Judgement::OutOfReach, ExpressionResults::default());
    }
    let Ok(id) = session.id.parse() else { return (Judgement::Unknown, ExpressionResults::default()) };
    let mut expressions = Asked {
        session,
        is_untold: reachability == Reachability::Unknown,
        now,
        trusts_addresses: desired.trusts_addresses,
        values: None,
        budget: Budget::new(BUDGET),
        is_exhausting: false,
        results: ExpressionResults::default(),
    };
    match is_concerned(&desired.selection, &mut expressions) {
        Answer::No => return (Judgement::OutOfReach, expressions.results),
        Answer::Unknown => return (Judgement::Unknown, expressions.results),
        Answer::Yes => {}
    }
    let began = session.began();
    let mut rule_match = RuleMatch {
        session: id,
        identity: identity.unwrap_or_default(),
        began: began.map(Timestamp::as_microsecond),
        ..RuleMatch::default()
    };
    let is_asked = |(at, rule): &(usize, &Rule)| asked & bit(*at) != 0 && (sees_traits || rule.expression.is_none());
    for (at, rule) in desired.rules.iter().enumerate().filter(is_asked) {
        let (answer, of_enrolled) = rule_holds((at, rule), began, &mut expressions);
        let can_be_ranked = began.is_some() && identity.is_some();
        match answer {
            Answer::No => {}
            Answer::Yes if rule.max_concurrent.is_some() && !can_be_ranked => rule_match.unknown |= bit(at),
            Answer::Yes if of_enrolled && identity.is_none() => rule_match.unknown |= bit(at),
            Answer::Yes if of_enrolled => rule_match.if_enrolled |= bit(at),
            Answer::Yes => rule_match.holds |= bit(at),
            Answer::Unknown => rule_match.unknown |= bit(at),
        }
    }
    rule_match.is_exhausting = expressions.is_exhausting;
    (Judgement::Judged(rule_match), expressions.results)
}

fn is_concerned(selection: &Selection, expressions: &mut Asked<'_>) -> Answer {
    let identity = expressions.session.identity.as_ref();
    let has_schema = selection.schema_ids.is_empty()
        || identity.is_some_and(|identity| selection.schema_ids.contains(&identity.schema_id));
    if !has_schema {
        // Every identity has a schema: this one's couldn't be read.
        let is_unknown = identity.is_some_and(|identity| identity.schema_id.is_empty());
        return if is_unknown { Answer::Unknown } else { Answer::No };
    }
    selection.expression.as_ref().map_or(Answer::Yes, |expression| expressions.ask(Which::Selection, expression))
}

/// Whether all conditions of a rule hold, cheap ones first: one that doesn't hold decides, even if others are unknown. Also
/// whether that depends on a second factor.
fn rule_holds((at, rule): (usize, &Rule), began: Option<Timestamp>, expressions: &mut Asked<'_>) -> (Answer, bool) {
    let (session, now) = (expressions.session, expressions.now);
    let Rule { name: _, action, max_age, max_concurrent: _, assurance, networks, expression, expires_within } = rule;
    let is_older = |than: &Duration| began.map(|began| age(began, now) > signed(*than));
    let mut conditions = Vec::with_capacity(5);
    conditions.push(max_age.as_ref().map(|max| match action {
        RuleAction::Revoke => Answer::of(is_older(max)),
        RuleAction::Extend => Answer::of(is_older(max).map(|is_older| !is_older)),
    }));
    conditions.push(expires_within.map(|within| match session.expires_at {
        Some(end) => {
            let left = end.duration_since(now);
            Answer::of(Some(session.active && left.is_positive() && left <= signed(within)))
        }
        None => Answer::Unknown,
    }));
    conditions.push(assurance.as_ref().map(|assurance| lacks_assurance(assurance, session, began, now)));
    conditions.push(networks.as_ref().map(|networks| address::is_outside(networks, &session.devices)));
    let mut answer = Answer::Yes;
    for condition in conditions.into_iter().flatten() {
        match condition {
            Answer::No => return (Answer::No, false),
            Answer::Unknown => answer = Answer::Unknown,
            Answer::Yes => {}
        }
    }
    match expression.as_ref().map(|expression| expressions.ask(Which::Rule(at), expression)) {
        Some(Answer::No) => return (Answer::No, false),
        Some(Answer::Unknown) => answer = Answer::Unknown,
        Some(Answer::Yes) | None => {}
    }
    (answer, assurance.is_some_and(|assurance| assurance.of_enrolled))
}

fn lacks_assurance(
    condition: &AssuranceCondition,
    session: &Session,
    began: Option<Timestamp>,
    now: Timestamp,
) -> Answer {
    let level = session.authenticator_assurance_level.strip_prefix("aal").and_then(|level| level.parse::<u8>().ok());
    match level {
        None => Answer::Unknown,
        Some(level) if level >= condition.minimum => Answer::No,
        Some(_) if condition.grace.is_zero() => Answer::Yes,
        Some(_) => Answer::of(began.map(|began| age(began, now) > signed(condition.grace))),
    }
}

fn age(began: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(began)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
