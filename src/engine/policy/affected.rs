//! In mode Observe: whose sessions rules would end. If the listing had identities, they were counted while it was read.
//! Otherwise a few of the named sessions are read again with their identities, and the sessions of those identities are judged
//! once more: expanding all identities would make the listing many times as expensive.
//!
//! Only sessions within reach are judged, so a policy elsewhere shows identities of its own namespace only.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::enforce::CONCURRENCY;
use super::inputs::Inputs;
use super::observe::{ALL, judge_all, rule_matches};
use super::reach::Reach;
use crate::engine::failure::ReconcileError;
use crate::kratos::{Error, Expand};
use crate::policy::desired::Desired;
use crate::policy::tally::{Plan, SHOWN, most_first, revoking};

/// At most [`SHOWN`] identities, and how many of the sessions of each are named.
pub async fn find(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    plan: &Plan,
) -> Result<Vec<(Uuid, usize)>, ReconcileError> {
    if plan.unowned.is_empty() || plan.by_identity.len() >= SHOWN {
        return Ok(plan.by_identity.clone());
    }
    inputs.next_permit().await?;
    let client = &inputs.instance.client;
    let classify = |error| inputs.classify(&error);
    let owner = |session: Uuid| async move {
        let found = client.get_session(&session.to_string(), &[Expand::Identity]).await?;
        Ok::<_, Error>(found.and_then(|found| found.identity?.id.parse::<Uuid>().ok()))
    };
    let owners = stream::iter(plan.unowned.iter().copied()).map(owner).buffer_unordered(CONCURRENCY);
    let owners: Vec<Option<Uuid>> = owners.try_collect().await.map_err(classify)?;
    let known: BTreeSet<_> = plan.by_identity.iter().map(|(identity, _)| *identity).collect();
    let owners: BTreeSet<_> = owners.into_iter().flatten().filter(|owner| !known.contains(owner)).collect();
    let mut found = plan.by_identity.clone();
    for owner in owners {
        let sessions = client.list_identity_sessions(&owner.to_string(), Some(true)).await.map_err(classify)?;
        let (judgements, _) = judge_all(inputs, desired, reach, ALL, sessions).await;
        let named =
            rule_matches(&judgements).iter().filter(|rule_match| rule_match.holds & revoking(desired) != 0).count();
        if named > 0 {
            found.push((owner, named));
        }
    }
    Ok(most_first(found))
}
