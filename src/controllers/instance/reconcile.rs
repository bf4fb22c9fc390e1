//! One look at a `KratosInstance`: permission, finalizer, connection, probe, status.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource};

use super::connect::{self as secrets, ReadError};
use super::controller::Controller as Context;
use super::record::{LOOK_FOR_REFERENCES, api, unusable, write_status};
use super::{background, callers, turns};
use crate::api::carries;
use crate::api::instance::{KratosInstance, KratosInstanceStatus};
use crate::api::objects::InstanceObject;
use crate::api::{INSTANCE_FINALIZER, Reason, Verdict, requested_at};
use crate::base::backoff;
use crate::base::flow::limit::Limit;
use crate::base::place::Place;
use crate::controllers::queue::{Looked, Next};
use crate::controllers::shared::{reclaim, references};
use crate::instance::connect;
use crate::instance::credentials::Credentials;
use crate::instance::handle::{Handle, NOBODY, ReadSecrets, Shared};
use crate::instance::registry::Entry;
use crate::instance::settings::{self, Settings};
use crate::instance::standing::{self, unavailable, usable};
use crate::kratos::{Auditor, Error, IdentityFilter, Observer};
use crate::kubernetes::kube_write;
use crate::telemetry::trace;

/// How many changes and deletions one instance is asked for at the same time: its database takes one after another, and
/// many at once only get into each other's way (`make bench`).
const WRITES: usize = 16;

/// Reconciles one instance.
pub async fn reconcile(object: Arc<InstanceObject>, context: Arc<Context>) -> Result<Looked, kube::Error> {
    let place = Place::of(&*object);
    let object = context.seen.latest_instances.of(&object);
    trace::note_generation(&*object);
    trace::note_instance(&place);
    let Ok(instance) = &object.0 else { return unreadable(&object, &place, &context).await };
    if !context.options.instance_namespaces.contains(&place.namespace) {
        return not_permitted(instance, place, &context).await;
    }
    context.leads.stand(instance);
    let is_deleting = instance.metadata.deletion_timestamp.is_some();
    if is_deleting && let_go(instance, &place, &context).await? {
        return Ok(Next::WhenAsked.into());
    }
    if let Some(verdict) = crate::instance::status::mistaken(instance.status.as_ref(), context.cluster(), &place) {
        return unusable(instance, place, &context, verdict).await;
    }
    let is_held = hold(instance, &place, &context).await?;
    if instance.spec.suspend {
        return unusable(instance, place, &context, standing::suspended()).await;
    }
    let settings = match settings::parse(&instance.spec) {
        Ok(settings) => settings,
        Err(verdict) => return unusable(instance, place, &context, verdict).await,
    };
    let (handle, is_new) = match connect(instance, &place, settings, (is_held, is_deleting), &context).await? {
        Ok(connected) => connected,
        Err(verdict) => return unusable(instance, place, &context, verdict).await,
    };
    // The release annotation may have a new value.
    handle.shared.protector.reconsider();
    // Only those that found it otherwise: whoever has begun since goes on.
    if handle.shared.hold(is_held) {
        context.ask_waiting(handle.shared.waiting.take());
    }
    if is_new {
        // Before the probe: looks that begin once the gate is open have seen the new settings, and aren't repeated.
        context.ask_waiting(references::referring(&context.seen, &place));
    }
    let alive = reclaim::alive(&handle, &context.seen);
    let holders = if is_deleting { references::holders((&context.seen, &context.registry), &place) } else { 0 };
    let (verdict, opened) = look(&handle, instance, (alive.as_deref(), holders), is_new).await;
    let written = write_status(instance, &verdict, &handle, &context).await;
    // Whether or not that can be written: whoever waits for this is looked at.
    if opened {
        context.ask_waiting(handle.shared.waiting.take());
    }
    if is_new {
        context.policy_pokes.instance_changed(&place);
    }
    written?;
    let again = handle.shared.gate.probe_in();
    Ok(Next::After(if is_deleting { again.min(LOOK_FOR_REFERENCES) } else { again }).after_one(verdict.reason))
}

/// Adds the finalizer once something refers to the instance, and takes it away when nothing does any more. Returns
/// whether it is there.
async fn hold(instance: &KratosInstance, place: &Place, context: &Context) -> Result<bool, kube::Error> {
    let is_deleting = instance.metadata.deletion_timestamp.is_some();
    let is_referred_to = references::is_referred_to(&context.seen, place);
    if carries(instance, INSTANCE_FINALIZER) {
        return Ok(is_deleting || is_referred_to || !put_down(instance, place, context).await?);
    }
    if is_deleting || !is_referred_to {
        return Ok(false);
    }
    let written: InstanceObject = kube_write::add_finalizer(&api(context, place), instance, INSTANCE_FINALIZER).await?;
    context.seen.latest_instances.note(written);
    Ok(true)
}

/// Removes the finalizer where nothing that carries ours refers to the instance. Returns whether it is gone.
async fn put_down(instance: &impl Resource, place: &Place, context: &Context) -> Result<bool, kube::Error> {
    // A process that has just started hasn't seen who refers to it.
    if !context.seen.listed.identities.initialized() || !context.leads.may_speak(place) {
        return Ok(false);
    }
    // The watch first, which costs nothing; then a live read, because the instance may go on its answer.
    if references::holders((&context.seen, &context.registry), place) > 0
        || references::is_needed((&context.seen, &context.registry), place, (&context.client, &context.options)).await?
    {
        return Ok(false);
    }
    let api: Api<InstanceObject> = api(context, place);
    kube_write::remove_finalizer(&api, instance, INSTANCE_FINALIZER).await?;
    Ok(true)
}

/// Removes the finalizer of an instance that is being deleted, once nothing that carries ours refers to it. Returns
/// whether it is gone for us.
async fn let_go(instance: &impl Resource, place: &Place, context: &Context) -> Result<bool, kube::Error> {
    if carries(instance, INSTANCE_FINALIZER) && !put_down(instance, place, context).await? {
        return Ok(false);
    }
    context.registry.remove(place);
    Ok(true)
}

/// Brings the registry up to date. Returns the handle, and whether it differs from what others saw before.
async fn connect(
    instance: &KratosInstance,
    place: &Place,
    settings: Settings,
    (is_held, is_deleting): (bool, bool),
    context: &Arc<Context>,
) -> Result<Result<(Arc<Handle>, bool), Verdict>, kube::Error> {
    let before = context.registry.handle(place);
    if let Some(handle) = &before
        && handle.settings == settings
        && handle.is_deleting == is_deleting
        && !is_due(handle, instance)
        && !handle.shared.secrets.is_outdated()
    {
        return Ok(Ok((Arc::clone(handle), false)));
    }
    let known = before.as_ref().map(|handle| &handle.shared.secrets);
    known.into_iter().for_each(ReadSecrets::are_being_read);
    let (versions, read) = secrets::read(context, &place.namespace, &settings).await;
    if let Some(known) = known {
        known.have_been_read((!matches!(read, Err(ReadError::Kube(_)))).then_some(&versions));
    }
    let credentials = match read {
        Ok(credentials) => credentials,
        Err(ReadError::Invalid(verdict)) => return Ok(Err(verdict)),
        Err(ReadError::NotReady(verdict)) => match &before {
            // The last credentials that could be read go on serving.
            Some(handle) if handle.settings.connection == settings.connection => handle.credentials.clone(),
            _ => return Ok(Err(verdict)),
        },
        Err(ReadError::Kube(error)) => return Err(error),
    };
    let is_same_server =
        |handle: &Handle| handle.settings.connection == settings.connection && handle.credentials == credentials;
    if let Some(handle) = &before
        && is_same_server(handle)
        && handle.settings == settings
        && handle.is_deleting == is_deleting
    {
        return Ok(Ok((Arc::clone(handle), false)));
    }
    // What was seen of another address says nothing about this one.
    let kept = before.clone().filter(|handle| handle.settings.connection.admin_url == settings.connection.admin_url);
    let (hashing, creating) = turns::of(kept.as_deref(), context);
    let (client, batcher, reader) = match &before {
        Some(handle) if is_same_server(handle) => {
            (handle.client.clone(), handle.batcher.clone(), handle.reader.clone())
        }
        _ => {
            let sent_by = (context.leadership.clone(), context.registry.cutoff(place).line().await);
            match connect::client(&settings, &credentials, told(place, context), sent_by) {
                Ok(client) => {
                    let (batcher, reader) = background::collect(&client, hashing.limit(), place, context);
                    (client, batcher, reader)
                }
                Err(verdict) => return Ok(Err(verdict)),
            }
        }
    };
    let rules = match &before {
        Some(handle) if handle.settings.rules == settings.rules => Arc::clone(&handle.rules),
        _ => connect::rules(&settings).await,
    };
    let shared = kept.as_ref().map_or_else(Arc::<Shared>::default, |handle| Arc::clone(&handle.shared));
    shared.hold(is_held);
    shared.secrets.have_been_read(Some(&versions));
    let writes = kept.as_ref().map_or_else(|| Arc::new(Limit::new(WRITES)), |handle| Arc::clone(&handle.writes));
    let handle = Handle {
        place: place.clone(),
        settings,
        credentials: Credentials::clone(&credentials),
        client,
        batcher,
        reader,
        writes,
        hashing,
        creating,
        rules,
        is_deleting,
        calls: callers::of(place, context),
        shared,
    };
    let handle = Arc::new(handle);
    if kept.is_none() {
        context.registry.remove(place);
    }
    context.registry.set(place.clone(), Entry::Usable(Arc::clone(&handle)));
    handle.shared.listing.reconsider();
    handle.shared.pending.reconsider();
    handle.shared.schemas.reconsider();
    if kept.is_none() {
        background::begin(&handle, context);
    }
    Ok(Ok((handle, true)))
}

/// Probes the instance where that is due, and says how it stands. Also returns whether the gate was opened.
async fn look(
    handle: &Handle,
    instance: &KratosInstance,
    known: (Option<&str>, usize),
    is_new: bool,
) -> (Verdict, bool) {
    let gate = &handle.shared.gate;
    if !is_new && !is_due(handle, instance) {
        return (
            if gate.is_open() {
                usable(handle, instance, known)
            } else {
                unavailable(instance, gate.reason().as_deref())
            },
            false,
        );
    }
    let asked_for = asked_for(handle, instance);
    if !gate.is_open() || asked_for.is_some() {
        handle.shared.may_be_another_server();
    }
    let interval = backoff::spread(handle.settings.resync_interval);
    match probe(handle).await {
        Ok(()) => {
            if let Some(asked_for) = asked_for {
                handle.shared.listing.want(Instant::now());
                handle.shared.has_looked_for(asked_for);
            }
            let opened = gate.probed(true, interval);
            handle.shared.schemas.refresh(opened);
            // A status that tells of none would be written again in a moment.
            handle.shared.schemas.settled().await;
            (usable(handle, instance, known), opened)
        }
        Err(error) => {
            tracing::warn!(%error, "Kratos gives no usable answer");
            gate.probed(false, interval);
            (standing::failing(&error.to_string()), false)
        }
    }
}

/// Whether credentials are to be read and Kratos to be probed: regularly, by the back-off while it is down, or on
/// request.
fn is_due(handle: &Handle, instance: &KratosInstance) -> bool {
    asked_for(handle, instance).is_some() || handle.shared.gate.probe_in() == Duration::ZERO
}

/// The look, and so the comparison of all its identities, that somebody asked for and that wasn't taken yet. The status notes it
/// only once nothing is being retried: what is retried meanwhile isn't asked for again by it.
fn asked_for<'a>(handle: &Handle, instance: &'a KratosInstance) -> Option<&'a str> {
    let served = instance.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
    let asked = requested_at(instance.metadata.annotations.as_ref()).filter(|asked| Some(*asked) != served);
    asked.filter(|asked| handle.shared.is_to_be_looked_for(asked))
}

async fn probe(handle: &Handle) -> Result<(), Error> {
    use futures::TryStreamExt;
    let pages = handle.client.list_identities(IdentityFilter::by_ids([NOBODY]));
    std::pin::pin!(pages).try_next().await.map(drop)
}

async fn not_permitted(instance: &KratosInstance, place: Place, context: &Context) -> Result<Looked, kube::Error> {
    let message = format!(
        "a KratosInstance doesn't count in namespace {}: the operator was started with --instance-namespaces that \
         leave it out",
        place.namespace
    );
    let verdict = Verdict::new(Reason::NotPermitted, message);
    if instance.metadata.deletion_timestamp.is_some() && carries(instance, INSTANCE_FINALIZER) {
        // Left by an operator that was started with other namespaces: nothing is done through it, so nothing is lost.
        let api: Api<InstanceObject> = api(context, &place);
        kube_write::remove_finalizer(&api, instance, INSTANCE_FINALIZER).await?;
        return Ok(Next::WhenAsked.into());
    }
    unusable(instance, place, context, verdict).await
}

/// An object that this version can't read: it says so, and whoever refers to it waits.
async fn unreadable(object: &InstanceObject, place: &Place, context: &Context) -> Result<Looked, kube::Error> {
    let field = object.0.as_ref().err().map_or("the resource", |unreadable| unreadable.field.as_str());
    let message =
        format!("{field} can't be read by this version of the operator: compare it with `kubectl explain kinst.spec`");
    let verdict = Verdict::new(Reason::InvalidSpec, message);
    context.registry.remove(place);
    context.registry.set(place.clone(), Entry::Unusable(verdict.clone()));
    if object.meta().deletion_timestamp.is_some() && let_go(object, place, context).await? {
        return Ok(Next::WhenAsked.into());
    }
    let api = api(context, place);
    let Some(live) = api.get_opt(&place.name).await? else { return Ok(Next::WhenAsked.into()) };
    // One that can be read by now is brought by the watch.
    let Err(unreadable) = &live.0 else { return Ok(Next::WhenAsked.into()) };
    let current: Option<KratosInstanceStatus> = unreadable.status();
    let current = current.map(crate::instance::status::without_others);
    let metadata = &unreadable.metadata;
    let asked = (metadata.generation.unwrap_or_default(), requested_at(metadata.annotations.as_ref()));
    let next =
        crate::instance::status::next(current.as_ref(), &verdict, context.cluster(), None, asked, Timestamp::now());
    if current.as_ref() != Some(&next) && context.leads.may_speak(place) {
        kube_write::status(&api, &live, &next, context.has_rivals()).await?;
    }
    let is_deleting = object.meta().deletion_timestamp.is_some();
    let next = if is_deleting { Next::After(LOOK_FOR_REFERENCES) } else { Next::WhenAsked };
    Ok(next.after_one(verdict.reason))
}

/// Who is told of an instance's requests, and of its writes.
fn told(place: &Place, context: &Context) -> (Arc<dyn Observer>, Option<Arc<dyn Auditor>>) {
    (context.metrics.instances.of(place), context.audit_log.as_ref().map(|log| log.of(place)))
}
