//! Reads all sessions within a policy's reach, batch by batch, and keeps of each only what the plan needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use uuid::Uuid;

use super::inputs::Inputs;
use super::reach::Reach;
use super::source::Source;
use crate::api::{Reason, Verdict};
use crate::base::off_runtime;
use crate::engine::failure::Halt;
use crate::kratos::{IdentityFilter, Session};
use crate::policy::desired::Desired;
use crate::policy::enrolment;
use crate::policy::judge::{Mask, Opinion, Sight, examine};
use crate::policy::tally::Tally;
use crate::policy::truth::Truth;

/// All rules.
pub const ALL: Mask = Mask::MAX;
/// On how many sessions an expression may take too much work before the run ends.
const EXHAUSTING: usize = 100;

/// Looks at all sessions. `only_looks`: whose they are is of interest, too. Also returns what was seen where it ends early.
pub async fn observe(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    only_looks: bool,
) -> (Tally, Result<(), Halt>) {
    let mut tally = Tally::new(desired).with_whose(only_looks);
    let result = look(inputs, desired, reach, &mut tally).await;
    (tally, result)
}

async fn look(inputs: &Inputs, desired: &Arc<Desired>, reach: &Reach, tally: &mut Tally) -> Result<(), Halt> {
    if desired.rules.is_empty() {
        return Ok(());
    }
    let halt = |error| inputs.halt(&error);
    let source = Source::new(desired.needs(), reach);
    let mut batches = source.sessions(&inputs.instance.client).await.map_err(halt)?;
    while let Some(batch) = batches.next().await {
        let (mut sights, truth) = judge_all(inputs, desired, reach, ALL, batch.map_err(halt)?).await;
        tally.note(truth);
        inputs.ensure_open()?;
        settle_enrolment(inputs, &mut sights).await?;
        for sight in &sights {
            tally.add(sight);
        }
        if tally.exhausting() > EXHAUSTING {
            return Err(exhausting().into());
        }
        inputs.turn().await?;
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
) -> (Vec<Sight>, Truth) {
    let (desired, reach, now) = (Arc::clone(desired), reach.clone(), inputs.now);
    let judged = off_runtime::each(sessions, move |session| examine(&desired, reach.as_deref(), rules, &session, now));
    let mut truth = Truth::default();
    let sights = judged.await.into_iter().map(|judged| {
        let (sight, gave) = judged.unwrap_or((Sight::Unknown, Truth::default()));
        truth.add(gave);
        sight
    });
    let sights = sights.collect();
    (sights, truth)
}

/// Asks who has a second factor, where a rule hangs on it. An identity that is gone has none, and its sessions are gone.
async fn settle_enrolment(inputs: &Inputs, sights: &mut [Sight]) -> Result<(), Halt> {
    let open = |sight: &Sight| match sight {
        Sight::Judged(opinion) if opinion.if_enrolled != 0 => Some(opinion.identity),
        _ => None,
    };
    let ids: BTreeSet<_> = sights.iter().filter_map(open).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut filter = IdentityFilter::by_ids(ids.iter().map(Uuid::to_string));
    filter.include_credential = vec![enrolment::ASKED_FOR];
    let mut enrolled = HashMap::new();
    let mut pages = std::pin::pin!(inputs.instance.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| inputs.halt(&error))?;
        let of_page = page
            .items
            .iter()
            .filter_map(|identity| Some((identity.id.parse::<Uuid>().ok()?, enrolment::is_enrolled(identity))));
        enrolled.extend(of_page);
    }
    for sight in sights {
        if let Sight::Judged(opinion) = sight
            && opinion.if_enrolled != 0
        {
            opinion.settle(enrolled.get(&opinion.identity).copied().unwrap_or(Some(false)));
        }
    }
    Ok(())
}

/// The opinions among what was judged.
pub fn opinions(sights: &[Sight]) -> Vec<Opinion> {
    let judged = sights.iter().filter_map(|sight| match sight {
        Sight::Judged(opinion) => Some(*opinion),
        Sight::Elsewhere | Sight::Unknown => None,
    });
    judged.collect()
}

/// The verdict where expressions take too much.
pub fn exhausting() -> Verdict {
    let message = "an expression takes more work than it may on more than a hundred sessions, so that the run was ended; make it \
                   simpler";
    Verdict::new(Reason::InvalidSpec, message)
}
