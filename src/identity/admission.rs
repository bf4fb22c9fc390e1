//! Asks the instance's rules about identities of resources outside its namespace. Off the runtime, without a request.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::desired::Desired;
use super::facts::{self, View};
use super::failure::Halt;
use super::inputs;
use super::observe::Search;
use super::plan::{self, Observed, Plan};
use super::schema::shape::Shape;
use super::schemas;
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
            "the rules of the KratosInstance can't be asked: schema {} may declare login identifiers in places that \
             the operator doesn't follow (conditions, patterns, other documents)",
            desired.schema_id
        );
        return Err(Halt::Refused(Verdict::new(Reason::NotPermitted, message)));
    }
    let plan = plan::plan(&search.inputs.claimant, desired, &Observed::Absent, Timestamp::now());
    match facts::merged(None, &plan, &shapes(search, None)) {
        Some(view) => ask(search, view, false).await,
        None => Ok(()),
    }
}

/// The observed half, and the identity as the plan leaves it.
pub async fn ensure(search: &Search<'_>, observed: &Observed, plan: &Plan) -> Result<(), Halt> {
    let Observed::Present(present) = observed else { return Ok(()) };
    if !are_bound(search) {
        return Ok(());
    }
    let adopts = facts::adopts(&search.inputs.claimant, present);
    let theirs = schemas::of_identity(search.inputs, &present.identity.schema_id).await?;
    // What logs in with it can't be told: the identity's own schema isn't served, or hides it.
    let Some(theirs) = theirs.filter(|schema| !schema.hides_identifiers) else {
        return Err(Halt::Refused(unaskable_of_identity()));
    };
    let shapes = shapes(search, Some(&theirs));
    let before = facts::observed(&present.identity, &shapes).ok_or_else(unaskable_of_identity)?;
    let after = facts::merged(Some(&before), plan, &shapes).filter(|after| *after != before);
    ask(search, before, adopts).await?;
    match after {
        Some(after) => ask(search, after, adopts).await,
        None => Ok(()),
    }
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
    let message = "the rules of the KratosInstance can't be asked about the identity as it is in Kratos: its own identity \
                   schema isn't served any more, can't be read, or may declare login identifiers in places that the \
                   operator doesn't follow";
    Verdict::new(Reason::NotPermitted, message)
}

/// The verdict where the rules themselves are of no use: consent is never guessed.
pub fn unaskable() -> Verdict {
    let message = "the rules of the KratosInstance can't be asked, so that nothing outside its namespace is admitted; its \
                   administrators see why in its status";
    Verdict::new(Reason::NotPermitted, message)
}
