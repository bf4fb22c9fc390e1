//! One look at a `KratosIdentity`: `inputs → desired → observe → plan → apply → status → write if changed`.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tracing::Instrument;

use super::adoption::Target;
use super::desired::{self, Desired, Handling};
use super::digest_key::DigestKey;
use super::enforce::AsOf;
use super::failure::{self, Halt, Sent};
use super::inputs::{self, Inputs};
use super::memory::Creators;
use super::observe::Search;
use super::plan::{Observed, Plan};
use super::planned::planned;
use super::progress;
use super::record::{Course, again, api, expiry, finish, subject, uid, write};
use super::remark::{self, Would};
use super::status::{self, Outcome, RecoverySeen, Seen};
use super::validity::Phase;
use super::watch::Watch;
use super::{
    absent, addresses, admission, adopted, enforce, lock_out, read_secrets, recover, release, schemas, sole,
    succession, turn, unreadable,
};
use crate::api::IDENTITY_FINALIZER;
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::context::{Context, IdentityObject};
use crate::kratos::State;
use crate::kube_write;
use crate::place::Place;
use crate::queue::{Looked, Priority};
use crate::trace;

/// Reconciles one resource.
pub async fn reconcile(object: Arc<IdentityObject>, context: Arc<Context>) -> Result<Looked, kube::Error> {
    let object = context.latest_identities.of(&object);
    trace::note_generation(&*object);
    let Ok(resource) = &object.0 else { return unreadable::reconcile(&object, &context).await };
    context.memory.see(&uid(resource), kube_write::carries(resource, IDENTITY_FINALIZER));
    if resource.metadata.deletion_timestamp.is_some() {
        turn::leave(resource, &context);
        return release::reconcile(resource, &context).await;
    }
    if let Some((verdict, successor)) = succession::told(resource, &context) {
        turn::leave(resource, &context);
        let looked = finish(resource, Err(Halt::Refused(verdict)), Course::default(), &context).await;
        // Whoever takes over waits for this to be said.
        context.pokes.identities([successor], Priority::Arrived);
        return looked;
    }
    let handling = desired::handling(&resource.spec);
    let mut course = Course { lapse: recover::expire(resource, &context).await, ..Course::default() };
    if handling.suspended {
        let status = status::suspended(subject(resource), course.recovery(), Timestamp::now());
        let expiry = expiry(Some(&status));
        write(resource, status, &context).await?;
        return Ok(again(None, expiry).into());
    }
    course.boundary = desired::phase(&resource.spec, Timestamp::now()).and_then(Phase::boundary);
    let mut result = look(resource, handling, &context).await;
    if !matches!(result, Err(Halt::Queued(_))) {
        turn::leave(resource, &context);
    }
    if let Err(halt) = result {
        result = Err(lock_out::after(halt, resource, &handling, &mut course, &context).await);
    }
    finish(resource, result, course, &context).await
}

/// Everything up to the outcome.
async fn look(resource: &KratosIdentity, handling: Handling, context: &Context) -> Result<Outcome, Halt> {
    let place = inputs::instance_place(resource, context)?;
    let inputs = inputs::gather(resource, &place, context).await?;
    let secrets = read_secrets::read(resource, context).await?;
    let mut desired = desired::parse(&resource.spec, &secrets, Timestamp::now())?;
    // Nobody is it, and nobody knows it.
    desired.auto_subject = format!("{:032x}", rand::random::<u128>());
    ensure_callable(&inputs, &desired, context).await?;
    let only_looks = handling.mode == Mode::Observe || inputs.instance.settings.mode == Mode::Observe;
    let traits = Value::Object(desired.traits.clone());
    let adoption = desired.adoption.clone();
    let adoption = adoption.as_ref();
    let key = secrets.key();
    let search = search(resource, &inputs, (&desired.schema_id, &traits, adoption), (only_looks, key), context).await?;
    desired.identifiers = search.asks_for();
    if let Some(schema) = &search.schema {
        schema.shape.without_emptied_objects(&mut desired.traits);
        addresses::resolve(&mut desired.verified_addresses, &schema.shape, &traits)?;
    }
    admission::ensure_desired(&search, &desired).await?;
    let mut observed = search.run().instrument(tracing::debug_span!("observe")).await?;
    let read = Instant::now();
    if let (Observed::Absent, Some(verdict)) = (&observed, &desired.lacks) {
        return Err(verdict.clone().into());
    }
    adopted::ensure_manifest(&inputs.claimant, &desired, &observed)?;
    succession::take_secret(&search, &observed).await?;
    let secret = recover::look(&search, &desired, &observed).await?;
    note_sessions(&search, &desired, &mut observed).await?;
    let plan = planned(&search, &desired, &mut observed).await?;
    let (verdict, seen, recovery) = if only_looks {
        let changes = recover::plan(&search, &desired, &observed, &secret).changes;
        let drift: Vec<_> = plan.drift().into_iter().chain(changes).collect();
        let replaces = resource.spec.replaces.as_ref().map(|replaces| replaces.name.as_str());
        let would = Would::of(&observed, &desired, replaces, drift.len());
        (would.verdict(), report(&inputs, &desired, observed, plan, drift), RecoverySeen::Unknown)
    } else {
        let turn = inputs.creating_turn(&plan)?;
        let held = Instant::now();
        // Those that will create soon travel together.
        let expected = plan.creates().then(|| inputs.instance.batcher.expect(&inputs.claimant.namespace));
        hold(resource, &inputs, &plan, context).await?;
        drop(expected);
        let seen = enforce::run(&search, &desired, observed, plan, AsOf { read, held }).await?;
        drop(turn);
        let (seen, recovery) = recover::run(&search, &desired, seen, secret).await?;
        (remark::reconciled(&desired, &seen), seen, recovery)
    };
    inputs.instance.shared.gate.served(&inputs.claimant.uid);
    Ok(Outcome { verdict, instance: Some(inputs::reference(&place)), seen, recovery })
}

/// No request while the instance is down, or for a field that the server is known not to have.
async fn ensure_callable(inputs: &Inputs, desired: &Desired, context: &Context) -> Result<(), Halt> {
    inputs.ensure_open()?;
    let first_factor = desired.absent.iter().find(|kind| absent::is_first_factor(**kind));
    let newer = match first_factor {
        Some(kind) => Some(format!("the deletion of credentials of type {}", kind.as_str())),
        None if !desired.links.saml.is_empty() => Some("SAML links".to_owned()),
        None => (!desired.auto_links.is_empty()).then(|| "useAutoLink".to_owned()),
    };
    if let Some(newer) = newer {
        let is_supported = inputs.instance.removes_first_factors().await;
        if !is_supported.map_err(|error| inputs.halt(&error, Sent::default(), context))? {
            return Err(Halt::Refused(failure::unsupported(&newer)));
        }
    }
    let fields = [("external_id", &desired.external_id), ("organization_id", &desired.organization_id)];
    match fields.iter().find(|(field, value)| value.is_some() && inputs.instance.shared.is_lacking(field)) {
        Some((field, _)) => Err(Halt::Refused(failure::unsupported(field))),
        None => Ok(()),
    }
}

/// The finalizer is the intent: it is there before anything is created. The instance carries its own first.
async fn hold(resource: &KratosIdentity, inputs: &Inputs, plan: &Plan, context: &Context) -> Result<(), Halt> {
    if !inputs.instance.shared.is_held_for(&Place::of(resource)) {
        context.pokes.instance(&inputs.instance.place);
        return Err(Halt::Waiting(progress::unheld()));
    }
    if plan.creates() {
        inputs::ensure_admitted(inputs, context).await?;
    }
    let pinned = pin(resource, inputs, context).await?;
    if kube_write::carries(resource, IDENTITY_FINALIZER) {
        context.memory.hold(&uid(resource));
        // Writing the finalizer shows that nobody else has taken over; here only a read does.
        return if plan.creates() { sole::ensure_own(resource, context).await } else { Ok(()) };
    }
    let api = api(resource, context);
    let permit = context.kubernetes.acquire(&inputs.claimant.namespace).await;
    let written: IdentityObject = match &pinned {
        Some(pinned) => kube_write::add_finalizer(&api, pinned, IDENTITY_FINALIZER).await?,
        None => kube_write::add_finalizer(&api, resource, IDENTITY_FINALIZER).await?,
    };
    drop(permit);
    context.latest_identities.note(written);
    context.memory.update(&uid(resource), |remembered| remembered.creators = Creators::Us);
    Ok(())
}

/// Where the status lets people name another instance it says first that they may not any more: whoever does so at the same time
/// has this refused, or is refused. Returns the resource as it is then.
async fn pin(resource: &KratosIdentity, inputs: &Inputs, context: &Context) -> Result<Option<IdentityObject>, Halt> {
    // The answer to what opened it may be lost: then the status that is known doesn't show it.
    let is_opened = context.memory.recall(&uid(resource)).opened;
    let is_open = is_opened || resource.status.as_ref().is_some_and(status::is_open);
    let Some(mut pinned) = resource.status.clone().filter(|_| is_open) else { return Ok(None) };
    pinned.instance = Some(inputs::reference(&inputs.instance.place));
    let permit = context.kubernetes.acquire(&inputs.claimant.namespace).await;
    let written: IdentityObject = kube_write::guarded_status(&api(resource, context), resource, &pinned).await?;
    drop(permit);
    context.latest_identities.note(written.clone());
    context.memory.update(&uid(resource), |remembered| remembered.opened = false);
    Ok(Some(written))
}

/// Makes the search; refused where Kratos doesn't serve the schema.
async fn search<'a>(
    resource: &'a KratosIdentity,
    inputs: &'a Inputs,
    (schema_id, traits, adoption): (&str, &'a Value, Option<&'a Target>),
    (only_looks, key): (bool, Option<Arc<DigestKey>>),
    context: &'a Context,
) -> Result<Search<'a>, Halt> {
    let schema = schemas::of_manifest(inputs, schema_id).await?;
    let remembered = context.memory.recall(&uid(resource));
    Ok(Search { context, inputs, resource, remembered, schema: Some(schema), traits, key, adoption, only_looks })
}

/// Inactive identities whose sessions weren't seen to be gone: a crash may have come between the two.
async fn note_sessions(search: &Search<'_>, desired: &Desired, observed: &mut Observed) -> Result<(), Halt> {
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
fn report(inputs: &Inputs, desired: &Desired, observed: Observed, plan: Plan, drift: Vec<String>) -> Seen {
    match observed {
        // Nothing is created; and whether there is something to take over doesn't show.
        Observed::Absent if desired.adoption.is_some() => Seen::Absent { drift: Vec::new() },
        // Not its own yet: a status that named it would let it be taken over without the checks.
        Observed::Present(present) if present.is_adoption() => Seen::Absent { drift },
        Observed::Absent => Seen::Absent { drift },
        Observed::Present(present) => {
            let place = Place::new(inputs.claimant.namespace.as_str(), inputs.claimant.name.as_str());
            let watch = Watch::new(desired, &present.identity).leaving(&present.identity, present.contents);
            inputs.instance.shared.managed.note(&place, &present.identity, Instant::now());
            inputs.instance.shared.managed.watch(&present.identity.id, watch);
            // Its schema may still be another than the manifest's: which identifiers are stale shows once it isn't.
            Seen::Present {
                identity: Box::new(present.identity),
                owned_paths: plan.owned_paths,
                drift,
                stale_identifiers: 0,
                is_changed: false,
            }
        }
    }
}
