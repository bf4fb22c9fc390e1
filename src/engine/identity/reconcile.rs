//! One reconcile of a `KratosIdentity` against Kratos, up to its outcome: `inputs → desired → observe → plan → apply`. What is to
//! be written about it, and when, is its controller's.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tracing::Instrument;

use super::checked_plan::checked_plan;
use super::enforce::AsOf;
use super::inputs::{self, Inputs, uid};
use super::observe::Search;
use super::{admission, enforce, recovery_reconcile, schemas, succession};
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Engine;
use crate::engine::failure::{self, ReconcileError, Sent};
use crate::identity::adoption::Target;
use crate::identity::credential_watch::CredentialWatch;
use crate::identity::desired::{self, Desired, Handling};
use crate::identity::digest_key::DigestKey;
use crate::identity::plan::{Observed, Plan};
use crate::identity::ready_message::{self, PlannedChange};
use crate::identity::status::{Observation, Outcome, RecoveryObservation};
use crate::identity::{absent_credentials, addresses, adoption_limits};
use crate::kratos::State;

/// Everything up to the outcome.
pub async fn try_reconcile(
    resource: &KratosIdentity,
    handling: Handling,
    engine: Engine<'_>,
) -> Result<Outcome, ReconcileError> {
    let key = inputs::instance_key(resource, engine.terms.default_instance.as_ref())?;
    let inputs = inputs::gather(resource, &key, engine).await?;
    let secrets = engine.secrets.of_manifest(resource).await?;
    let mut desired = desired::parse(&resource.spec, &secrets, Timestamp::now())?;
    // Nobody is it, and nobody knows it.
    desired.auto_subject = format!("{:032x}", rand::random::<u128>());
    ensure_callable(&inputs, &desired).await?;
    let only_observes = handling.mode == Mode::Observe || inputs.instance.settings.mode == Mode::Observe;
    let traits = Value::Object(desired.traits.clone());
    let adoption = desired.adoption.clone();
    let adoption = adoption.as_ref();
    let digest_key = secrets.key();
    let search =
        search(resource, &inputs, (&desired.schema_id, &traits, adoption), (only_observes, digest_key), engine).await?;
    desired.identifiers = search.asks_for();
    if let Some(schema) = &search.schema {
        schema.shape.without_emptied_objects(&mut desired.traits);
        addresses::resolve(&mut desired.verified_addresses, &schema.shape, &traits)?;
    }
    admission::ensure_desired(&search, &desired).await?;
    let mut observed = search.run().instrument(tracing::debug_span!("observe")).await?;
    let read = Instant::now();
    if let (Observed::Absent, Some(condition)) = (&observed, &desired.lacks) {
        return Err(condition.clone().into());
    }
    adoption_limits::ensure_manifest(&inputs.claimant, &desired, &observed)?;
    succession::take_secret(&search, &observed).await?;
    let secret = recovery_reconcile::observe(&search, &desired, &observed).await?;
    note_sessions(&search, &desired, &mut observed).await?;
    let plan = checked_plan(&search, &desired, &mut observed).await?;
    let (condition, seen, recovery) = if only_observes {
        let changes = recovery_reconcile::plan(&search, &desired, &observed, &secret).changes;
        let drift: Vec<_> = plan.drift().into_iter().chain(changes).collect();
        let replaces = resource.spec.replaces.as_ref().map(|replaces| replaces.name.as_str());
        let would = PlannedChange::of(&observed, &desired, replaces, drift.len());
        (would.condition(), report(&inputs, &desired, observed, plan, drift), RecoveryObservation::Unknown)
    } else {
        let permit = inputs.create_permit(&plan)?;
        let held = Instant::now();
        // Those that will create soon share a batch.
        let expected = plan.creates().then(|| inputs.instance.batcher.expect(&inputs.claimant.namespace));
        engine.intents.ensure_finalizer(resource, &inputs.instance, &inputs.claimant, &plan).await?;
        drop(expected);
        let seen = enforce::run(&search, &desired, observed, plan, AsOf { read, held }).await?;
        drop(permit);
        let (seen, recovery) = recovery_reconcile::run(&search, &desired, seen, secret).await?;
        (ready_message::reconciled(&desired, &seen), seen, recovery)
    };
    inputs.instance.shared.circuit_breaker.succeeded(&inputs.claimant.uid);
    Ok(Outcome { condition, instance: Some(inputs::reference(&key)), seen, recovery })
}

/// No request while the instance is down, or for a field that the server is known not to have.
async fn ensure_callable(inputs: &Inputs, desired: &Desired) -> Result<(), ReconcileError> {
    inputs.ensure_available()?;
    let first_factor = desired.absent.iter().find(|kind| absent_credentials::is_first_factor(**kind));
    let newer = match first_factor {
        Some(kind) => Some(format!("the deletion of credentials of type {}", kind.as_str())),
        None if !desired.links.saml.is_empty() => Some("SAML links".to_owned()),
        None => (!desired.auto_links.is_empty()).then(|| "useAutoLink".to_owned()),
    };
    if let Some(newer) = newer {
        let is_supported = inputs.instance.removes_first_factors().await;
        if !is_supported.map_err(|error| inputs.classify(&error, Sent::default()))? {
            return Err(ReconcileError::Refused(failure::unsupported(&newer)));
        }
    }
    let fields = [("external_id", &desired.external_id), ("organization_id", &desired.organization_id)];
    match fields.iter().find(|(field, value)| value.is_some() && inputs.instance.shared.is_lacking(field)) {
        Some((field, _)) => Err(ReconcileError::Refused(failure::unsupported(field))),
        None => Ok(()),
    }
}

/// Makes the search; refused where Kratos doesn't serve the schema.
async fn search<'a>(
    resource: &'a KratosIdentity,
    inputs: &'a Inputs,
    (schema_id, traits, adoption): (&str, &'a Value, Option<&'a Target>),
    (only_observes, key): (bool, Option<Arc<DigestKey>>),
    engine: Engine<'a>,
) -> Result<Search<'a>, ReconcileError> {
    let schema = schemas::of_manifest(inputs, schema_id).await?;
    let remembered = engine.memory.recall(&uid(resource));
    Ok(Search { engine, inputs, resource, remembered, schema: Some(schema), traits, key, adoption, only_observes })
}

/// Inactive identities whose sessions weren't seen to be gone: a crash may have come between the two.
async fn note_sessions(search: &Search<'_>, desired: &Desired, observed: &mut Observed) -> Result<(), ReconcileError> {
    if let Observed::Present(present) = observed
        && desired.state == Some(State::Inactive)
        && present.identity.state == State::Inactive
        && !search.remembered.sessions_ended
    {
        present.has_sessions = search.has_sessions(&present.identity.id).await?;
    }
    Ok(())
}

/// Observe mode: what would be done. Outside the instance's namespace nothing shows of what isn't ours; an identity
/// that isn't ours never gets this far.
fn report(inputs: &Inputs, desired: &Desired, observed: Observed, plan: Plan, drift: Vec<String>) -> Observation {
    match observed {
        // Nothing is created; and whether there is something to take over doesn't show.
        Observed::Absent if desired.adoption.is_some() => Observation::Absent { drift: Vec::new() },
        // Not its own yet: a status that named it would let it be taken over without the checks.
        Observed::Present(present) if present.is_adoption() => Observation::Absent { drift },
        Observed::Absent => Observation::Absent { drift },
        Observed::Present(present) => {
            let key = NamespacedName::new(inputs.claimant.namespace.as_str(), inputs.claimant.name.as_str());
            let watch = CredentialWatch::new(desired, &present.identity).leaving(&present.identity, present.contents);
            inputs.instance.shared.managed.note(&key, &present.identity, Instant::now());
            inputs.instance.shared.managed.watch(&present.identity.id, watch);
            // Its schema may still be another than the manifest's: which identifiers are stale shows once it isn't.
            Observation::Present {
                identity: Box::new(present.identity),
                owned_paths: plan.owned_paths,
                drift,
                stale_identifiers: 0,
                is_changed: false,
            }
        }
    }
}
