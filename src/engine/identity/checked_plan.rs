//! The plan of a reconcile, checked. No plan is made about content that can't be read, and none that the rules forbid or that
//! removes the last way to log in. Changes nothing.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;

use super::admission;
use super::observe::Search;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::failure::ReconcileError;
use crate::identity::adoption_limits;
use crate::identity::desired::Desired;
use crate::identity::opaque;
use crate::identity::path_redaction;
use crate::identity::plan::{self, Observed, Plan};

/// The plan, if the rules admit it and it leaves something to log in with.
pub async fn checked_plan(
    search: &Search<'_>,
    desired: &Desired,
    observed: &mut Observed,
) -> Result<Plan, ReconcileError> {
    ensure_readable(search, desired, observed)?;
    search.note_contents(desired, observed).await?;
    let plan = plan::plan(&search.inputs.claimant, desired, observed, Timestamp::now());
    let mut plan = admission::ensure(search, desired, observed, plan).await?;
    let schema = search.schema.as_ref().map(|schema| (&schema.document, &*schema.shape));
    adoption_limits::ensure_plan(&search.inputs.claimant, (desired, observed), &plan, schema)?;
    if let Observed::Present(present) = observed {
        // It is told in status, events and log from here on. What the manifest removes without having named it a person did.
        let owned = plan::owned_paths(desired);
        let owned = owned.iter().chain(present.owned_before());
        plan.changes = path_redaction::changes(plan.changes, owned, schema.map(|(_, shape)| shape));
    }
    match &plan.refusal {
        Some(condition) => Err(condition.clone().into()),
        None => Ok(plan),
    }
}

/// What can't be read as a whole is neither changed nor shown to rules. Where it is this resource's own, the listings notice
/// when it changes: until then it isn't reconciled again.
fn ensure_readable(search: &Search<'_>, desired: &Desired, observed: &Observed) -> Result<(), ReconcileError> {
    let Observed::Present(present) = observed else { return Ok(()) };
    let Err(unreadable) = present.identity.readable() else { return Ok(()) };
    let claimant = &search.inputs.claimant;
    if present.mark.as_ref().is_some_and(|mark| claimant.is_ours(mark)) {
        let key = NamespacedName::new(claimant.namespace.as_str(), claimant.name.as_str());
        let now = Instant::now();
        search.inputs.instance.shared.managed.note(&key, &present.identity, now);
        search.engine.memory.update(&claimant.uid, |remembered| remembered.left_to_listings = Some(now));
    }
    let shape = search.schema.as_ref().map(|schema| &*schema.shape);
    Err(ReconcileError::Refused(opaque::condition(unreadable, &plan::owned_paths(desired), shape)))
}
