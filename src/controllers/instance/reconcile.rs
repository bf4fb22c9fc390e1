//! One reconcile of a `KratosInstance`: permission, finalizer, connection, probe, status.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource};

use super::connect::{self as secrets, ReadError};
use super::controller::Controller;
use super::record::{LOOK_FOR_REFERENCES, api, unusable, write_status};
use super::{background, callers, permit_queues};
use crate::api::has_finalizer;
use crate::api::instance::KratosInstance;
use crate::api::objects::InstanceObject;
use crate::api::{INSTANCE_FINALIZER, ReadyCondition, requested_at};
use crate::base::backoff;
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::controllers::shared::unreadable::Live;
use crate::controllers::shared::{reclaim, references};
use crate::instance::connect;
use crate::instance::credentials::Credentials;
use crate::instance::handle::{Handle, NOBODY, ReadSecrets, Shared};
use crate::instance::readiness::{self, unavailable, usable};
use crate::instance::registry::Entry;
use crate::instance::settings::{self, Settings};
use crate::instance::status;
use crate::kratos::{Auditor, Error, IdentityFilter, Observer};
use crate::kubernetes::kube_write;
use crate::telemetry::trace;

/// How many changes and deletions one instance is asked for at the same time: its database takes one after another, and
/// many at once only get into each other's way (`make bench`).
const WRITES: usize = 16;

/// Reconciles one instance.
pub async fn reconcile(
    object: Arc<InstanceObject>,
    controller: Arc<Controller>,
) -> Result<ReconcileResult, kube::Error> {
    let key = NamespacedName::of(&*object);
    let object = controller.seen.instance_mutations.newest(&object);
    trace::note_generation(&*object);
    trace::note_instance(&key);
    let Ok(instance) = &object.0 else { return unreadable(&object, &key, &controller).await };
    if !controller.options.instance_namespaces.contains(&key.namespace) {
        return not_permitted(instance, key, &controller).await;
    }
    controller.instance_leases.campaign(instance);
    let is_deleting = instance.metadata.deletion_timestamp.is_some();
    if is_deleting && finalize(instance, &key, &controller).await? {
        return Ok(Requeue::OnChange.into());
    }
    if let Some(condition) = status::mistaken(instance.status.as_ref(), controller.cluster(), &key) {
        return unusable(instance, key, &controller, condition).await;
    }
    let is_held = ensure_finalizer(instance, &key, &controller).await?;
    if instance.spec.suspend {
        return unusable(instance, key, &controller, readiness::suspended()).await;
    }
    let settings = match settings::parse(&instance.spec) {
        Ok(settings) => settings,
        Err(condition) => return unusable(instance, key, &controller, condition).await,
    };
    let (handle, is_new) = match connect(instance, &key, settings, (is_held, is_deleting), &controller).await? {
        Ok(connected) => connected,
        Err(condition) => return unusable(instance, key, &controller, condition).await,
    };
    // The release annotation may have a new value.
    handle.shared.protector.reconsider();
    // Only those that found it otherwise: whoever has begun since goes on.
    if handle.shared.hold(is_held) {
        controller.queues.enqueue_waiting(handle.shared.waiting.take(), &controller.seen);
    }
    if is_new {
        // Before the probe: reconciles that begin once the circuit breaker is closed have seen the new settings, and
        // aren't repeated.
        controller.queues.enqueue_waiting(references::referring(&controller.seen, &key), &controller.seen);
    }
    let alive = reclaim::alive(&handle, &controller.seen);
    let holders = if is_deleting { references::holders((&controller.seen, &controller.registry), &key) } else { 0 };
    let (condition, opened) = observe(&handle, instance, (alive.as_deref(), holders), is_new).await;
    let written = write_status(instance, &condition, &handle, &controller).await;
    // Whether or not that can be written: the resources that wait for this are enqueued.
    if opened {
        controller.queues.enqueue_waiting(handle.shared.waiting.take(), &controller.seen);
    }
    if is_new {
        controller.policy_triggers.instance_changed(&key);
    }
    written?;
    let again = handle.shared.circuit_breaker.probe_in();
    Ok(Requeue::After(if is_deleting { again.min(LOOK_FOR_REFERENCES) } else { again }).with_reason(condition.reason))
}

/// Adds the finalizer once something refers to the instance, and takes it away when nothing does any more. Returns
/// whether it is there.
async fn ensure_finalizer(
    instance: &KratosInstance,
    key: &NamespacedName,
    controller: &Controller,
) -> Result<bool, kube::Error> {
    let is_deleting = instance.metadata.deletion_timestamp.is_some();
    let is_referred_to = references::is_referred_to(&controller.seen, key);
    if has_finalizer(instance, INSTANCE_FINALIZER) {
        return Ok(is_deleting || is_referred_to || !remove_finalizer(instance, key, controller).await?);
    }
    if is_deleting || !is_referred_to {
        return Ok(false);
    }
    let written: InstanceObject =
        kube_write::add_finalizer(&api(controller, key), instance, INSTANCE_FINALIZER).await?;
    controller.seen.instance_mutations.note(written);
    Ok(true)
}

/// Removes the finalizer where nothing that carries ours refers to the instance. Returns whether it is gone.
async fn remove_finalizer(
    instance: &impl Resource,
    key: &NamespacedName,
    controller: &Controller,
) -> Result<bool, kube::Error> {
    // A process that has just started hasn't seen who refers to it.
    if !controller.seen.has_synced.identities.initialized() || !controller.instance_leases.may_lead(key) {
        return Ok(false);
    }
    // The watch first, which costs nothing; then a live read, because the instance may go on its answer.
    if references::holders((&controller.seen, &controller.registry), key) > 0
        || references::is_needed(
            (&controller.seen, &controller.registry),
            key,
            (&controller.client, &controller.options),
        )
        .await?
    {
        return Ok(false);
    }
    let api: Api<InstanceObject> = api(controller, key);
    kube_write::remove_finalizer(&api, instance, INSTANCE_FINALIZER).await?;
    Ok(true)
}

/// Removes the finalizer of an instance that is being deleted, once nothing that carries ours refers to it. Returns
/// whether it is gone for us.
async fn finalize(
    instance: &impl Resource,
    key: &NamespacedName,
    controller: &Controller,
) -> Result<bool, kube::Error> {
    if has_finalizer(instance, INSTANCE_FINALIZER) && !remove_finalizer(instance, key, controller).await? {
        return Ok(false);
    }
    controller.registry.remove(key);
    Ok(true)
}

/// Brings the registry up to date. Returns the handle, and whether it differs from what others saw before.
async fn connect(
    instance: &KratosInstance,
    key: &NamespacedName,
    settings: Settings,
    (is_held, is_deleting): (bool, bool),
    controller: &Arc<Controller>,
) -> Result<Result<(Arc<Handle>, bool), ReadyCondition>, kube::Error> {
    let before = controller.registry.handle(key);
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
    let (versions, read) = secrets::read(controller, &key.namespace, &settings).await;
    if let Some(known) = known {
        known.have_been_read((!matches!(read, Err(ReadError::Kube(_)))).then_some(&versions));
    }
    let credentials = match read {
        Ok(credentials) => credentials,
        Err(ReadError::Invalid(condition)) => return Ok(Err(condition)),
        Err(ReadError::NotReady(condition)) => match &before {
            // The last credentials that could be read go on serving.
            Some(handle) if handle.settings.connection == settings.connection => handle.credentials.clone(),
            _ => return Ok(Err(condition)),
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
    let (hashing, creating) = permit_queues::of(kept.as_deref(), controller);
    let (client, batcher, reader) = match &before {
        Some(handle) if is_same_server(handle) => {
            (handle.client.clone(), handle.batcher.clone(), handle.reader.clone())
        }
        _ => {
            let sent_by = (controller.leadership.clone(), controller.registry.fence(key).token().await);
            match connect::client(&settings, &credentials, told(key, controller), sent_by) {
                Ok(client) => {
                    let (batcher, reader) = background::collect(&client, hashing.limit(), key, controller);
                    (client, batcher, reader)
                }
                Err(condition) => return Ok(Err(condition)),
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
    let writes =
        kept.as_ref().map_or_else(|| Arc::new(FairSemaphore::new(WRITES)), |handle| Arc::clone(&handle.writes));
    let handle = Handle {
        key: key.clone(),
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
        calls: callers::of(key, controller),
        shared,
    };
    let handle = Arc::new(handle);
    if kept.is_none() {
        controller.registry.remove(key);
    }
    controller.registry.set(key.clone(), Entry::Usable(Arc::clone(&handle)));
    handle.shared.listing.reconsider();
    handle.shared.grace_periods.reconsider();
    handle.shared.schemas.reconsider();
    if kept.is_none() {
        background::begin(&handle, controller);
    }
    Ok(Ok((handle, true)))
}

/// Probes the instance where that is due, and says how it stands. Also returns whether the circuit breaker was closed.
async fn observe(
    handle: &Handle,
    instance: &KratosInstance,
    known: (Option<&str>, usize),
    is_new: bool,
) -> (ReadyCondition, bool) {
    let circuit_breaker = &handle.shared.circuit_breaker;
    if !is_new && !is_due(handle, instance) {
        return (
            if circuit_breaker.allows_requests() {
                usable(handle, instance, known)
            } else {
                unavailable(instance, circuit_breaker.reason().as_deref())
            },
            false,
        );
    }
    // As regularly as Kratos is probed, it is seen whether somebody has touched what is kept.
    handle.shared.protector.doubt();
    let asked_for = asked_for(handle, instance);
    if !circuit_breaker.allows_requests() || asked_for.is_some() {
        handle.shared.may_be_another_server();
    }
    let interval = backoff::jitter(handle.settings.resync_interval);
    match probe(handle).await {
        Ok(()) => {
            if let Some(asked_for) = asked_for {
                handle.shared.listing.want(Instant::now());
                handle.shared.has_looked_for(asked_for);
            }
            let opened = circuit_breaker.probed(true, interval);
            handle.shared.schemas.refresh(opened);
            // A status that tells of none would be written again in a moment.
            handle.shared.schemas.settled().await;
            (usable(handle, instance, known), opened)
        }
        Err(error) => {
            tracing::warn!(%error, "Kratos gives no usable answer");
            circuit_breaker.probed(false, interval);
            (readiness::failing(&error.to_string()), false)
        }
    }
}

/// Whether credentials are to be read and Kratos to be probed: regularly, by the back-off while it is down, or on
/// request.
fn is_due(handle: &Handle, instance: &KratosInstance) -> bool {
    asked_for(handle, instance).is_some() || handle.shared.circuit_breaker.probe_in() == Duration::ZERO
}

/// The reconcile, and so the comparison of all its identities, that somebody asked for and that wasn't taken yet. The
/// status notes it only once nothing is being retried: what is retried meanwhile isn't asked for again by it.
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

async fn not_permitted(
    instance: &KratosInstance,
    key: NamespacedName,
    controller: &Controller,
) -> Result<ReconcileResult, kube::Error> {
    let condition = readiness::not_permitted(&key.namespace);
    if instance.metadata.deletion_timestamp.is_some() && has_finalizer(instance, INSTANCE_FINALIZER) {
        // Left by an operator that was started with other namespaces: nothing is done through it, so nothing is lost.
        let api: Api<InstanceObject> = api(controller, &key);
        kube_write::remove_finalizer(&api, instance, INSTANCE_FINALIZER).await?;
        return Ok(Requeue::OnChange.into());
    }
    unusable(instance, key, controller, condition).await
}

/// An object that this version can't read: it says so, and whoever refers to it waits.
async fn unreadable(
    object: &InstanceObject,
    key: &NamespacedName,
    controller: &Controller,
) -> Result<ReconcileResult, kube::Error> {
    let field = object.0.as_ref().err().map_or("the resource", |unreadable| unreadable.field.as_str());
    let condition = readiness::unreadable(field);
    controller.registry.remove(key);
    controller.registry.set(key.clone(), Entry::Unusable(condition.clone()));
    if object.meta().deletion_timestamp.is_some() && finalize(object, key, controller).await? {
        return Ok(Requeue::OnChange.into());
    }
    let live = Live::read(api(controller, key), &key.name).await?;
    let Some(mut live) = live else { return Ok(Requeue::OnChange.into()) };
    live.status = live.status.map(status::without_others);
    let (current, cluster) = (live.status.as_ref(), controller.cluster());
    let next = status::next(current, &condition, cluster, None, live.asked(), Timestamp::now());
    if controller.instance_leases.may_lead(key) {
        live.write(&next, controller.has_concurrent_writers).await?;
    }
    let is_deleting = object.meta().deletion_timestamp.is_some();
    let next = if is_deleting { Requeue::After(LOOK_FOR_REFERENCES) } else { Requeue::OnChange };
    Ok(next.with_reason(condition.reason))
}

/// Who is told of an instance's requests, and of its writes.
fn told(key: &NamespacedName, controller: &Controller) -> (Arc<dyn Observer>, Option<Arc<dyn Auditor>>) {
    (controller.metrics.instances.of(key), controller.audit_log.as_ref().map(|log| log.of(key)))
}
