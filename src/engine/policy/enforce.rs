//! Carries out what a policy's rules say: revokes and extends sessions by id, several at a time. What may have changed since the
//! page is read again just before. A session that ended meanwhile is no failure.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use uuid::Uuid;

use super::inputs::Inputs;
use super::observe::{judge_all, rule_matches};
use super::reach::Reach;
use super::source::Source;
use crate::api::session_policy::RuleAction;
use crate::engine::failure::{self, ReconcileError};
use crate::kratos::{Class, Error, Expand, WriteCause, Writer};
use crate::policy::desired::{Desired, Rule};
use crate::policy::judge::{Mask, RuleMatch, bit};
use crate::policy::tally::{Candidate, Plan, rank};
use crate::telemetry::metrics::sessions::{RuleKind, Sessions};

/// How many sessions are dealt with at the same time.
pub const CONCURRENCY: usize = 8;
/// How many of them make up a turn; then others have theirs.
const A_TURN: usize = 64;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub revoked: usize,
    pub extended: usize,
    pub failed: usize,
}

/// One thing to do.
enum Work {
    /// A session that the rules hold for, whatever happened since.
    Revoke(Candidate, RuleKind),
    /// One that they may not hold for any more.
    Check(Candidate),
    /// Those of one identity whose rank counts.
    Rank(Uuid, Vec<Candidate>),
    Extend(Uuid),
}

struct Enforcement<'a> {
    inputs: &'a Inputs,
    desired: &'a Arc<Desired>,
    reach: &'a Reach,
    source: Source,
    counted: &'a Sessions,
}

/// Runs a plan. Also returns what was done where it ends early.
pub async fn enforce(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    plan: &Plan,
    sessions: &Sessions,
) -> (Done, Result<(), ReconcileError>) {
    let enforcement =
        Enforcement { inputs, desired, reach, source: Source::new(desired.needs(), reach), counted: sessions };
    let mut done = Done::default();
    let mut last = Ok(());
    let mut work = work(desired, plan).into_iter().peekable();
    while work.peek().is_some() {
        let some: Vec<_> = work.by_ref().take(A_TURN).collect();
        let mut doing = futures::stream::iter(some).map(|work| enforcement.run(work)).buffer_unordered(CONCURRENCY);
        while let Some(result) = doing.next().await {
            match result {
                Ok(one) => {
                    done.revoked += one.revoked;
                    done.extended += one.extended;
                }
                Err(Failure::Unavailable) => return (done, Err(ReconcileError::Down(failure::unavailable()))),
                Err(Failure::Kratos(error)) => {
                    done.failed += 1;
                    let failure = inputs.classify(&error);
                    if failure.is_instance_wide() {
                        return (done, Err(failure));
                    }
                    last = Err(failure);
                }
            }
        }
        if work.peek().is_some() && inputs.next_permit().await.is_err() {
            return (done, Err(ReconcileError::Down(failure::unavailable())));
        }
    }
    (done, last)
}

enum Failure {
    /// The instance turned out to be down meanwhile.
    Unavailable,
    Kratos(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Kratos(error)
    }
}

fn work(desired: &Desired, plan: &Plan) -> Vec<Work> {
    let of = |rules: Mask| desired.rules.iter().enumerate().filter(move |(at, _)| rules & bit(*at) != 0);
    let mut work = Vec::with_capacity(plan.revoke.len() + plan.extend.len());
    let mut ranked = BTreeMap::<Uuid, Vec<Candidate>>::new();
    for candidate in &plan.revoke {
        if let Some((_, rule)) = of(candidate.rules).find(|(_, rule)| !rule.may_change()) {
            work.push(Work::Revoke(*candidate, kind(rule)));
        } else if of(candidate.rules).any(|(_, rule)| rule.max_concurrent.is_some()) {
            ranked.entry(candidate.identity).or_default().push(*candidate);
        } else {
            work.push(Work::Check(*candidate));
        }
    }
    work.extend(ranked.into_iter().map(|(identity, candidates)| Work::Rank(identity, candidates)));
    work.extend(plan.extend.iter().map(|session| Work::Extend(*session)));
    work
}

/// The kind of a rule, by its conditions.
fn kind(rule: &Rule) -> RuleKind {
    let Rule { name: _, action: _, max_age, max_concurrent, assurance, networks, expression, expires_within } = rule;
    let conditions = [
        (max_age.is_some(), RuleKind::MaxAge),
        (max_concurrent.is_some(), RuleKind::MaxConcurrent),
        (assurance.is_some(), RuleKind::MinimumAssurance),
        (networks.is_some(), RuleKind::AllowedNetworks),
        (expression.is_some(), RuleKind::Expression),
        (expires_within.is_some(), RuleKind::ExpiresWithin),
    ];
    let mut kinds = conditions.into_iter().filter(|(is_there, _)| *is_there).map(|(_, kind)| kind);
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) => kind,
        _ => RuleKind::Several,
    }
}

impl Enforcement<'_> {
    async fn run(&self, work: Work) -> Result<Done, Failure> {
        if !self.inputs.instance.shared.circuit_breaker.allows_requests() {
            return Err(Failure::Unavailable);
        }
        match work {
            Work::Revoke(candidate, kind) => self.revoke(candidate, kind).await,
            Work::Check(candidate) => self.check(candidate).await,
            Work::Rank(identity, candidates) => self.rank(identity, &candidates).await,
            Work::Extend(session) => self.extend(session).await,
        }
    }

    /// The kind of the first of some rules.
    fn kind(&self, rules: Mask) -> RuleKind {
        let mut named = self.desired.rules.iter().enumerate().filter(|(at, _)| rules & bit(*at) != 0);
        named.next().map_or(RuleKind::Several, |(_, rule)| kind(rule))
    }

    async fn revoke(&self, Candidate { session, identity, rules }: Candidate, by: RuleKind) -> Result<Done, Failure> {
        let writer = self.writer(rules);
        let writer = if identity.is_nil() { writer } else { writer.of_identity(identity) };
        let removal = writer.disable_session(&session.to_string()).await?;
        let is_gone = removal == crate::kratos::Removal::WasAbsent;
        if !is_gone {
            self.counted.revoked(by);
        }
        Ok(Done { revoked: usize::from(!is_gone), ..Done::default() })
    }

    /// The client that writes to Kratos because these rules say so.
    fn writer(&self, rules: Mask) -> Writer {
        let named = self.desired.rules.iter().enumerate().filter(|(at, _)| rules & bit(*at) != 0);
        self.inputs.writer(WriteCause::Rules(named.map(|(_, rule)| rule.name.clone()).collect()))
    }

    async fn check(&self, candidate: Candidate) -> Result<Done, Failure> {
        let id = candidate.session.to_string();
        let Some(session) = self.inputs.instance.client.get_session(&id, &self.source.expand()).await? else {
            return Ok(Done::default());
        };
        let (judgements, _) = judge_all(self.inputs, self.desired, self.reach, candidate.rules, vec![session]).await;
        let is_named = rule_matches(&judgements).iter().any(|rule_match| self.names(candidate.rules, rule_match, 0));
        if is_named { self.revoke(candidate, self.kind(candidate.rules)).await } else { Ok(Done::default()) }
    }

    async fn rank(&self, identity: Uuid, candidates: &[Candidate]) -> Result<Done, Failure> {
        let client = &self.inputs.instance.client;
        let sessions = client.list_identity_sessions(&identity.to_string(), Some(true)).await?;
        let rules = candidates.iter().fold(0, |rules, candidate| rules | candidate.rules);
        let rule_matches = rule_matches(&judge_all(self.inputs, self.desired, self.reach, rules, sessions).await.0);
        let mut done = Done::default();
        for candidate in candidates {
            let rule_match = rule_matches.iter().find(|rule_match| rule_match.session == candidate.session);
            let (Some(rule_match), Some(rank)) = (rule_match, rank(candidate.session, &rule_matches)) else { continue };
            if self.names(candidate.rules, rule_match, rank) {
                done.revoked += self.revoke(*candidate, self.kind(candidate.rules)).await?.revoked;
            }
        }
        Ok(done)
    }

    /// Whether one of the rules names a session still. Who has a second factor was found out before.
    fn names(&self, rules: Mask, rule_match: &RuleMatch, rank: usize) -> bool {
        let holds = rules & (rule_match.holds | rule_match.if_enrolled);
        let rules = self.desired.rules.iter().enumerate();
        rules
            .filter(|(at, _)| holds & bit(*at) != 0)
            .any(|(_, rule)| rule.max_concurrent.is_none_or(|stay| rank >= stay))
    }

    async fn extend(&self, session: Uuid) -> Result<Done, Failure> {
        let (client, id) = (&self.inputs.instance.client, session.to_string());
        let mut expand = self.source.expand();
        if !expand.contains(&Expand::Identity) {
            // Only with it the answer says whether the session is live: Kratos would revive what isn't.
            expand.push(Expand::Identity);
        }
        let Some(before) = client.get_session(&id, &expand).await? else { return Ok(Done::default()) };
        let (is_live, ends) = (before.active, before.expires_at);
        let whose = before.identity.as_ref().map(|identity| identity.id.clone());
        let rules = self.desired.rules.iter().enumerate();
        let extending = rules.filter(|(_, rule)| rule.action == RuleAction::Extend);
        let extending = extending.fold(0, |mask, (at, _)| mask | bit(at));
        let (judgements, _) = judge_all(self.inputs, self.desired, self.reach, extending, vec![before]).await;
        let holds = rule_matches(&judgements).iter().fold(0, |mask, rule_match| mask | rule_match.holds);
        if !is_live || holds == 0 {
            return Ok(Done::default());
        }
        let writer = self.writer(holds & extending);
        let writer = whose.map_or(writer.clone(), |whose| writer.of_identity(whose));
        let after = match writer.extend_session(&id).await {
            Ok(Some(after)) => Some(after),
            Ok(None) => client.get_session(&id, &[]).await?,
            Err(error) if error.class() == Class::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        // Outside of `earliest_possible_extend` Kratos says yes and does nothing.
        let is_extended = after.is_some_and(|after| after.expires_at > ends);
        if is_extended {
            self.counted.extended();
        }
        Ok(Done { extended: usize::from(is_extended), ..Done::default() })
    }
}
