//! Whether the instance's rules admit what a resource outside its namespace wants. Off the runtime, without a request. Whether it
//! admits the namespace was settled with the inputs.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::observe::Search;
use super::schemas;
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason};
use crate::base::blocking;
use crate::engine::failure::ReconcileError;
use crate::identity::claim::Claim;
use crate::identity::desired::Desired;
use crate::identity::facts::{self, View};
use crate::identity::plan::{self, Observed, Plan, Present, Taking};
use crate::identity::schema::shape::Shape;
use crate::instance::rules::{self, Facts};
use crate::instance::schemas::Schema;

/// How much of a schema's id is shown, in characters.
const SCHEMA: usize = 34;

/// The desired half: the identity as the manifest alone would create it.
pub async fn ensure_desired(search: &Search<'_>, desired: &Desired) -> Result<(), ReconcileError> {
    if !are_bound(search) {
        return Ok(());
    }
    if search.schema.as_ref().is_some_and(|schema| schema.hides_identifiers) {
        return Err(ReconcileError::Refused(unaskable_of_schema(&desired.schema_id)));
    }
    let plan = plan::plan(&search.inputs.claimant, desired, &Observed::Absent, Timestamp::now());
    match facts::merged(None, &plan, &shapes(search, None)) {
        Some(view) => ask(search, view, false).await,
        None => Ok(()),
    }
}

/// The observed half, and the identity as the plan leaves it. Returns the plan, or as much of it as may be done: where the
/// rules don't admit what is there, owned traits are put back all the same if that is what makes the rules admit it.
pub async fn ensure(
    search: &Search<'_>,
    desired: &Desired,
    observed: &Observed,
    plan: Plan,
) -> Result<Plan, ReconcileError> {
    let Observed::Present(present) = observed else { return Ok(plan) };
    if !are_bound(search) {
        return Ok(plan);
    }
    let adopts = facts::adopts(&search.inputs.claimant, present);
    let theirs = schemas::of_identity(search.inputs, &present.identity.schema_id).await?;
    // What logs in with it can't be told: the identity's own schema isn't served, or hides it.
    let Some(theirs) = theirs.filter(|schema| !schema.hides_identifiers) else {
        return Err(ReconcileError::Refused(unaskable_of_identity()));
    };
    let shapes = shapes(search, Some(&theirs));
    let before = facts::observed(&present.identity, &shapes).ok_or_else(unaskable_of_identity)?;
    if let Err(failure) = ask(search, before.clone(), adopts).await {
        let is_refused = matches!(failure, ReconcileError::Refused(_));
        let partial = if is_refused { put_back(search, desired, present, &before, &shapes).await } else { None };
        return partial.ok_or(failure);
    }
    if let Some(after) = facts::merged(Some(&before), &plan, &shapes).filter(|after| *after != before) {
        ask(search, after, adopts).await?;
    }
    Ok(plan)
}

/// What may be done to an identity that the rules don't admit as it is. `None`: nothing. One that isn't marked as this
/// very resource's isn't touched.
async fn put_back(
    search: &Search<'_>,
    desired: &Desired,
    present: &Present,
    before: &View,
    shapes: &[Arc<Shape>],
) -> Option<Plan> {
    let is_ours = matches!(search.inputs.claimant.claim(&present.identity), Claim::Ours(_));
    if search.only_observes || !is_ours {
        return None;
    }
    let mark = present.mark.as_ref()?;
    // Sessions that were to end when the rules admitted it still.
    let owed = plan::take_away(&Taking::default(), present, mark, Timestamp::now());
    let mut plan = Plan { is_partial: true, ..Plan::default() };
    if let Some(back) = plan::put_back(desired, present)
        && let Some(after) = facts::put_back(before, &back, shapes)
        && ask(search, after, false).await.is_ok()
    {
        plan = back;
    }
    plan.steps.extend(owed);
    (!plan.steps.is_empty()).then_some(plan)
}

/// Whether rules count for this resource.
fn are_bound(search: &Search<'_>) -> bool {
    let inputs = search.inputs;
    !inputs.claimant.beside_instance && !matches!(&*inputs.instance.rules, Ok(rules) if rules.is_empty())
}

/// What the manifest's schema says of traits, and that which the identity has.
fn shapes(search: &Search<'_>, theirs: Option<&Arc<Schema>>) -> Vec<Arc<Shape>> {
    let schemas = search.schema.iter().chain(theirs);
    schemas.map(|schema| Arc::clone(&schema.shape)).collect()
}

async fn ask(search: &Search<'_>, view: View, adopts: bool) -> Result<(), ReconcileError> {
    let namespace = &search.inputs.claimant.namespace;
    let labels = search.engine.others.labels(namespace).await?;
    let namespace = json!({"name": namespace, "labels": labels});
    let facts = Facts { identity: view.identity, identifiers: view.identifiers, namespace, adopts };
    let rules = search.inputs.instance.rules.clone();
    let asked = blocking::once(move || match &*rules {
        Ok(rules) => rules.ensure(&facts),
        Err(_) => Err(rules::unaskable()),
    });
    let failed = |error| {
        let message = format!("the rules of the KratosInstance can't be asked about this identity: {error}");
        Err(ReadyCondition::new(Reason::NotPermitted, message))
    };
    Ok(asked.await.unwrap_or_else(failed)?)
}

/// The condition where the manifest's schema doesn't show what would log in.
pub fn unaskable_of_schema(id: &str) -> ReadyCondition {
    let message = format!(
        "the rules of the KratosInstance can't be asked: schema {} may declare login identifiers in conditions, patterns or \
         other documents; use another one, or have it changed",
        shown(id, SCHEMA)
    );
    ReadyCondition::new(Reason::NotPermitted, message)
}

/// The condition where an identity's schema doesn't show what logs in with it. Says nothing of whose it is, nor which
/// schema.
pub fn unaskable_of_identity() -> ReadyCondition {
    let message = "the rules of the KratosInstance can't be asked about the identity as it is in Kratos: its own schema isn't \
                   served, or may hide login identifiers; ask the instance's administrators";
    ReadyCondition::new(Reason::NotPermitted, message)
}
