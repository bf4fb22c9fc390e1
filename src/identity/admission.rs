//! Asks the instance's rules about identities of resources outside its namespace. Off the runtime, without a request.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::claim::Claim;
use super::desired::Desired;
use super::facts::{self, View};
use super::failure::Halt;
use super::inputs;
use super::observe::Search;
use super::plan::{self, Observed, Plan, Present, Taking};
use super::schema::shape::Shape;
use super::schemas;
use crate::api::words::{NAME, shown};
use crate::api::{Reason, Verdict};
use crate::instance::rules::Facts;
use crate::instance::schemas::Schema;
use crate::off_runtime;

/// The desired half: the identity as the manifest alone would create it.
pub async fn ensure_desired(search: &Search<'_>, desired: &Desired) -> Result<(), Halt> {
    if !are_bound(search) {
        return Ok(());
    }
    if search.schema.as_ref().is_some_and(|schema| schema.hides_identifiers) {
        let message = format!(
            "the rules of the KratosInstance can't be asked: schema {} may declare login identifiers in conditions, \
             patterns or other documents; use another one, or have it changed",
            shown(&desired.schema_id, NAME)
        );
        return Err(Halt::Refused(Verdict::new(Reason::NotPermitted, message)));
    }
    let plan = plan::plan(&search.inputs.claimant, desired, &Observed::Absent, Timestamp::now());
    match facts::merged(None, &plan, &shapes(search, None)) {
        Some(view) => ask(search, view, false).await,
        None => Ok(()),
    }
}

/// The observed half, and the identity as the plan leaves it. Returns the plan, or as much of it as may be done: where the
/// rules don't admit what is there, owned traits are put back all the same if that is what makes the rules admit it.
pub async fn ensure(search: &Search<'_>, desired: &Desired, observed: &Observed, plan: Plan) -> Result<Plan, Halt> {
    let Observed::Present(present) = observed else { return Ok(plan) };
    if !are_bound(search) {
        return Ok(plan);
    }
    let adopts = facts::adopts(&search.inputs.claimant, present);
    let theirs = schemas::of_identity(search.inputs, &present.identity.schema_id).await?;
    // What logs in with it can't be told: the identity's own schema isn't served, or hides it.
    let Some(theirs) = theirs.filter(|schema| !schema.hides_identifiers) else {
        return Err(Halt::Refused(unaskable_of_identity()));
    };
    let shapes = shapes(search, Some(&theirs));
    let before = facts::observed(&present.identity, &shapes).ok_or_else(unaskable_of_identity)?;
    if let Err(halt) = ask(search, before.clone(), adopts).await {
        let is_refused = matches!(halt, Halt::Refused(_));
        let partial = if is_refused { put_back(search, desired, present, &before, &shapes).await } else { None };
        return partial.ok_or(halt);
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
    if search.only_looks || !is_ours {
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

async fn ask(search: &Search<'_>, view: View, adopts: bool) -> Result<(), Halt> {
    let namespace = &search.inputs.claimant.namespace;
    let labels = inputs::labels(namespace, search.context).await?;
    let namespace = json!({"name": namespace, "labels": labels});
    let facts = Facts { identity: view.identity, identifiers: view.identifiers, namespace, adopts };
    let rules = search.inputs.instance.rules.clone();
    let asked = off_runtime::once(move || match &*rules {
        Ok(rules) => rules.ensure(&facts),
        Err(_) => Err(unaskable()),
    });
    let failed = |error| {
        let message = format!("the rules of the KratosInstance can't be asked about this identity: {error}");
        Err(Verdict::new(Reason::NotPermitted, message))
    };
    Ok(asked.await.unwrap_or_else(failed)?)
}

/// The verdict where an identity's schema doesn't show what logs in with it. Says nothing of whose it is, nor which schema.
fn unaskable_of_identity() -> Verdict {
    let message = "the rules of the KratosInstance can't be asked about the identity as it is in Kratos: its own schema isn't \
                   served, or may hide login identifiers; ask the instance's administrators";
    Verdict::new(Reason::NotPermitted, message)
}

/// The verdict where the rules themselves are of no use: consent is never guessed.
pub fn unaskable() -> Verdict {
    let message = "a rule of the KratosInstance is wrong, so that it admits no namespace but its own; its administrators have \
                   to correct it, and see in its status how";
    Verdict::new(Reason::NotPermitted, message)
}
