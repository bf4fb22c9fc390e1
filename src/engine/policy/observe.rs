//! Reads all sessions within a policy's reach, batch by batch, and keeps of each only what the plan needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use uuid::Uuid;

use super::inputs::Inputs;
use super::reach::Reach;
use super::source::Source;
use crate::api::{ReadyCondition, Reason};
use crate::base::blocking;
use crate::engine::failure::ReconcileError;
use crate::kratos::{IdentityFilter, Session};
use crate::policy::desired::Desired;
use crate::policy::enrolment;
use crate::policy::expression_results::ExpressionResults;
use crate::policy::judge::{Judgement, Mask, RuleMatch, examine};
use crate::policy::tally::Tally;

/// All rules.
pub const ALL: Mask = Mask::MAX;
/// On how many sessions an expression may take too much work before the run ends.
const EXHAUSTING: usize = 100;

/// Looks at all sessions. `only_observes`: whose they are is of interest, too. Also returns what was seen where it ends
/// early.
pub async fn observe(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    only_observes: bool,
) -> (Tally, Result<(), ReconcileError>) {
    let mut tally = Tally::new(desired).with_affected(only_observes);
    let result = observe_all(inputs, desired, reach, &mut tally).await;
    (tally, result)
}

async fn observe_all(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    tally: &mut Tally,
) -> Result<(), ReconcileError> {
    if desired.rules.is_empty() {
        return Ok(());
    }
    let classify = |error| inputs.classify(&error);
    let source = Source::new(desired.needs(), reach);
    let mut batches = source.sessions(&inputs.instance.client).await.map_err(classify)?;
    while let Some(batch) = batches.next().await {
        let (mut judgements, results) = judge_all(inputs, desired, reach, ALL, batch.map_err(classify)?).await;
        tally.note(results);
        inputs.ensure_available()?;
        settle_enrolment(inputs, &mut judgements).await?;
        for judgement in &judgements {
            tally.add(judgement);
        }
        if tally.exhausting() > EXHAUSTING {
            return Err(exhausting().into());
        }
        inputs.next_permit().await?;
    }
    Ok(())
}

/// Judges sessions, off the runtime, and says what the expressions gave. One that can't be judged counts as such, whatever
/// kept it from being so, and the others are judged.
pub async fn judge_all(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    rules: Mask,
    sessions: Vec<Session>,
) -> (Vec<Judgement>, ExpressionResults) {
    let (desired, reach, now) = (Arc::clone(desired), reach.clone(), inputs.now);
    let judged = blocking::each(sessions, move |session| examine(&desired, reach.as_deref(), rules, &session, now));
    let mut results = ExpressionResults::default();
    let judgements = judged.await.into_iter().map(|judged| {
        let (judgement, gave) = judged.unwrap_or((Judgement::Unknown, ExpressionResults::default()));
        results.add(gave);
        judgement
    });
    let judgements = judgements.collect();
    (judgements, results)
}

/// Asks who has a second factor, where a rule hangs on it. An identity that is gone has none, and its sessions are gone.
async fn settle_enrolment(inputs: &Inputs, judgements: &mut [Judgement]) -> Result<(), ReconcileError> {
    let open = |judgement: &Judgement| match judgement {
        Judgement::Judged(rule_match) if rule_match.if_enrolled != 0 => Some(rule_match.identity),
        _ => None,
    };
    let ids: BTreeSet<_> = judgements.iter().filter_map(open).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut filter = IdentityFilter::by_ids(ids.iter().map(Uuid::to_string));
    filter.include_credential = vec![enrolment::ASKED_FOR];
    let mut enrolled = HashMap::new();
    let mut pages = std::pin::pin!(inputs.instance.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| inputs.classify(&error))?;
        let of_page = page
            .items
            .iter()
            .filter_map(|identity| Some((identity.id.parse::<Uuid>().ok()?, enrolment::is_enrolled(identity))));
        enrolled.extend(of_page);
    }
    for judgement in judgements {
        if let Judgement::Judged(rule_match) = judgement
            && rule_match.if_enrolled != 0
        {
            rule_match.settle(enrolled.get(&rule_match.identity).copied().unwrap_or(Some(false)));
        }
    }
    Ok(())
}

/// The rule matches among what was judged.
pub fn rule_matches(judgements: &[Judgement]) -> Vec<RuleMatch> {
    let judged = judgements.iter().filter_map(|judgement| match judgement {
        Judgement::Judged(rule_match) => Some(*rule_match),
        Judgement::OutOfReach | Judgement::Unknown => None,
    });
    judged.collect()
}

/// The condition where expressions take too much.
pub fn exhausting() -> ReadyCondition {
    let message = "an expression takes more work than it may on more than a hundred sessions, so that the run was ended; make it \
                   simpler";
    ReadyCondition::new(Reason::InvalidSpec, message)
}
