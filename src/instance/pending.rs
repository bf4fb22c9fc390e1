//! Identities whose resource is gone and whose grace period runs: kept inactive until it is over, and deleted then. The
//! mark alone decides, read freshly each time; what is kept here says only when to look.
//!
//! Nothing is done to an identity that a resource of that place may ask for, nor through an instance that only observes
//! or doesn't admit the namespace any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use tokio::sync::Notify;
use uuid::Uuid;

use super::consent;
use super::handle::{Handle, Shared};
use super::replacements;
use super::scan::current;
use crate::api::condition;
use crate::api::identity::KratosIdentity;
use crate::api::instance::{Mode, NamespacesFrom, PendingDeletions};
use crate::backoff;
use crate::context::{Context, IdentityObject};
use crate::decode::Metadata;
use crate::events::Happening;
use crate::identity::mark::{Found, Mark};
use crate::kratos::{Error, Identity, Initiator, PatchOperation, State, WriteCause};
use crate::kube_error;
use crate::place::{self, Place};
use crate::trace::{Trace, TraceId};

/// How many are dealt with at the same time.
const CONCURRENCY: usize = 8;
/// When to look again after a failure, and where a write that was under way undid ours.
const AGAIN: Duration = Duration::from_secs(2);
/// When to look again where a resource, or a namespace that isn't admitted, stands in the way.
const NOT_NOW: Duration = Duration::from_secs(30);
/// The longest sleep: a clock that is set meanwhile is noticed.
const LONGEST: Duration = Duration::from_mins(1);

/// When to look at which identity.
#[derive(Debug, Default)]
pub struct Pending {
    look_at: Mutex<HashMap<String, Timestamp>>,
    /// When the periods end that are known to run, and since when that is known.
    running: Mutex<HashMap<String, (Timestamp, Instant)>>,
    changed: Notify,
}

impl Pending {
    /// Notes that a grace period runs, and when it ends.
    pub fn begun(&self, id: &str, ends: Timestamp) {
        self.runs().insert(id.to_owned(), (ends, Instant::now()));
        self.note(id, ends);
    }

    /// Notes that none ran at `seen`: it was over, or the manifest was applied again.
    pub fn ended(&self, id: &str, seen: Instant) {
        let mut runs = self.runs();
        if runs.get(id).is_some_and(|(_, since)| *since <= seen) {
            runs.remove(id);
        }
    }

    /// Those that were asked for, all of them or these, and not shown are looked at: somebody may have deleted them. `shows`: which
    /// were shown, or not asked for.
    pub fn listed(&self, shows: impl Fn(&str) -> bool) {
        let missing: Vec<_> = self.runs().keys().filter(|id| !shows(id)).cloned().collect();
        for id in &missing {
            self.note(id, Timestamp::now());
        }
    }

    /// How many run, and when the first of them ends, as a status shows it: in whole seconds.
    pub fn running(&self) -> PendingDeletions {
        let runs = self.runs();
        let first = runs.values().map(|(ends, _)| *ends).min();
        let shown = |ends: Timestamp| Time(Timestamp::from_second(ends.as_second()).unwrap_or(ends));
        PendingDeletions { count: runs.len() as u64, next: first.map(shown) }
    }

    /// Notes an identity that is to be looked at, at the latest at the given time.
    pub fn note(&self, id: &str, at: Timestamp) {
        self.look_at().entry(id.to_owned()).and_modify(|known| *known = at.min(*known)).or_insert(at);
        self.changed.notify_one();
    }

    /// The ids of all that are to be looked at.
    pub fn ids(&self) -> Vec<Uuid> {
        self.look_at().keys().filter_map(|id| Uuid::parse_str(id).ok()).collect()
    }

    /// Takes in what a listing shows: one that isn't inactive (any more) is looked at at once.
    pub fn seen(&self, mark: &Mark, identity: &Identity, cluster: &str) {
        let Some(delete_after) = mark.delete_after.as_ref().filter(|_| mark.cluster == cluster) else { return };
        self.begun(&identity.id, delete_after.0);
        if identity.state == State::Active {
            self.note(&identity.id, Timestamp::now());
        }
    }

    /// The settings may have changed.
    pub fn reconsider(&self) {
        self.changed.notify_one();
    }

    /// Those that are due, taken out.
    fn take_due(&self, now: Timestamp) -> Vec<String> {
        self.look_at().extract_if(|_, at| *at <= now).map(|(id, _)| id).collect()
    }

    /// Returns when one may be due.
    async fn due(&self) {
        let first = self.look_at().values().min().copied();
        let Some(first) = first else { return self.changed.notified().await };
        let wait = Duration::try_from(first.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(wait.min(LONGEST)) => {}
            () = self.changed.notified() => {}
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.look_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes what is due until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_deleting(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    while !shared.stopped.is_cancelled() {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = async {
                shared.pending.due().await;
                shared.gate.opened().await;
                context.leads.led(&place).await;
            } => {}
        }
        let Some(handle) = current(&place, &shared, &context) else { return };
        if handle.settings.mode == Mode::Observe {
            if !reconsidered(&shared).await {
                return;
            }
            continue;
        }
        let due = shared.pending.take_due(Timestamp::now());
        let look = |id: String| {
            let (handle, context) = (&handle, &context);
            async move {
                let trace = Trace::of_background("graceperiod", &handle.place);
                if let Some(at) = trace.run(look(handle, &id, context)).await {
                    handle.shared.pending.note(&id, at);
                }
            }
        };
        futures::stream::iter(due).for_each_concurrent(CONCURRENCY, look).await;
    }
}

/// Waits until the settings may have changed. `false`: the instance is gone.
async fn reconsidered(shared: &Shared) -> bool {
    shared.stopped.run_until_cancelled(shared.pending.changed.notified()).await.is_some()
}

/// A resource that another operator reconciled is gone: where its grace period runs, the mark says until when.
pub fn gone_elsewhere(resource: &KratosIdentity, instance: &Place, context: &Context) {
    let own = resource.spec.deletion.as_ref().and_then(|deletion| deletion.grace_period).map(Into::into);
    let id = resource.status.as_ref().and_then(|status| status.identity_id.as_deref());
    let (Some(id), Some(handle)) = (id, context.registry.handle(instance)) else { return };
    let is_beside = resource.metadata.namespace.as_ref() == Some(&instance.namespace);
    if !handle.settings.grace.period(own, is_beside).is_zero() {
        handle.shared.pending.note(id, Timestamp::now());
    }
}

/// Looks at one identity, as long as this process leads. Returns when to look again.
async fn look(handle: &Handle, id: &str, context: &Context) -> Option<Timestamp> {
    let settled = context.leads.while_speaking(&handle.place, settle(handle, id, context)).await;
    match settled.unwrap_or_else(|| Ok(later(AGAIN))) {
        Ok(again) => {
            if again.is_none() {
                handle.shared.pending.ended(id, Instant::now());
            }
            again
        }
        Err(Failure::Kratos(error)) => {
            tracing::warn!(%error, "ending a grace period failed; it is tried again");
            if handle.shared.gate.failed(id, &error).wants_probe {
                context.pokes.instance(&handle.place);
            }
            later(backoff::spread(AGAIN))
        }
        Err(Failure::Kubernetes(error)) => {
            let error = kube_error::brief(&error);
            tracing::warn!(error, "ending a grace period failed; it is tried again");
            later(backoff::spread(AGAIN))
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Kratos(#[from] Error),
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
}

async fn settle(handle: &Handle, id: &str, context: &Context) -> Result<Option<Timestamp>, Failure> {
    // Many periods may end at the same time: the first look at each shares its request.
    let Some(identity) = handle.reader.read(id).await? else { return Ok(None) };
    let Some((mark, delete_after)) = running(&identity, handle, context) else { return Ok(None) };
    handle.shared.pending.runs().insert(id.to_owned(), (delete_after, Instant::now()));
    let is_over = delete_after <= Timestamp::now();
    if !is_over && identity.state == State::Inactive {
        return Ok(Some(delete_after));
    }
    if !place::is_name(&mark.namespace) || !place::is_name(&mark.name) {
        // No mark of ours: nobody can say whether a resource asks for it.
        return Ok(None);
    }
    if is_over {
        return end(handle, id, &mark, context).await;
    }
    if !is_admitted(handle, &mark, context).await? || is_asked_for(&mark, id, context).await? {
        return Ok(later(backoff::spread(NOT_NOW)));
    }
    // A user's request that was under way made it active again.
    let value = State::Inactive.as_str().into();
    let operations = [PatchOperation::Replace { path: "/state".into(), value }];
    let writer = handle.client.on_behalf_of(&initiator(&mark));
    writer.patch_whatever_is_there(id, &operations).await?;
    writer.delete_identity_sessions(id).await?;
    let standing = handle.client.get_identity(id, &[]).await?;
    let is_undone = standing.is_some_and(|identity| identity.state == State::Active);
    Ok(if is_undone { later(AGAIN) } else { Some(delete_after) })
}

/// Deletes an identity whose grace period is over by `seen`. Kratos has no compare-and-swap, so everything that may take its
/// time comes first: the rate limit, and consent. Then the mark is read, then the resource, and the deletion is sent at once.
async fn end(handle: &Handle, id: &str, seen: &Mark, context: &Context) -> Result<Option<Timestamp>, Failure> {
    let client = handle.client.at_once().await;
    if !is_admitted(handle, seen, context).await? {
        return Ok(later(backoff::spread(NOT_NOW)));
    }
    let Some(identity) = handle.client.get_identity(id, &[]).await? else { return Ok(None) };
    let Some((mark, delete_after)) = running(&identity, handle, context) else { return Ok(None) };
    let is_as_seen = *mark == *seen && delete_after <= Timestamp::now();
    let is_handle_current =
        context.registry.handle(&handle.place).is_some_and(|now| std::ptr::eq(Arc::as_ptr(&now), handle));
    if !is_as_seen || !is_handle_current {
        // The settings or the mark have changed meanwhile.
        return Ok(later(AGAIN));
    }
    if is_asked_for(&mark, id, context).await? {
        return Ok(later(backoff::spread(NOT_NOW)));
    }
    client.on_behalf_of(&initiator(&mark)).delete_identity(id).await?;
    handle.shared.managed.forget(id);
    context.ask_waiting(handle.shared.obstacles.freed(id));
    publish(handle, &mark, context);
    Ok(None)
}

/// The resource that is gone: its manifest asked for what is done now.
fn initiator(mark: &Mark) -> Arc<Initiator> {
    Arc::new(Initiator {
        kind: "KratosIdentity",
        namespace: mark.namespace.clone(),
        name: mark.name.clone(),
        uid: mark.uid.clone(),
        generation: None,
        cause: WriteCause::GracePeriod,
        trace_id: TraceId::current().map(|id| id.to_string()),
    })
}

/// The mark of an identity whose grace period this operator is to end, and when that is.
fn running(identity: &Identity, handle: &Handle, context: &Context) -> Option<(Box<Mark>, Timestamp)> {
    let Found::Mark(mark) = Mark::read(&identity.metadata_admin) else { return None };
    let is_ours = mark.owner == handle.settings.owner_name
        && mark.cluster == context.cluster_id
        && context.options.works_in(&mark.namespace);
    let delete_after = mark.delete_after.as_ref().filter(|_| is_ours)?.0;
    Some((mark, delete_after))
}

/// Whether a resource stands where the mark says, and may ask for this identity: live, because an identity may go on
/// the answer. One that is done, and has another identity, doesn't.
async fn is_asked_for(mark: &Mark, id: &str, context: &Context) -> Result<bool, kube::Error> {
    let api = Api::<IdentityObject>::namespaced(context.client.clone(), &mark.namespace);
    if replacements::is_replaced(&mark.namespace, &mark.name, context).await? {
        return Ok(true);
    }
    let Some(found) = api.get_opt(&mark.name).await? else { return Ok(false) };
    let has_another = found.0.is_ok_and(|resource| has_another(&resource, mark, id));
    Ok(!has_another)
}

fn has_another(resource: &KratosIdentity, mark: &Mark, id: &str) -> bool {
    let Some(status) = &resource.status else { return false };
    let is_done = status.observed_generation == resource.metadata.generation
        && condition::is_true(&status.conditions, condition::READY)
        && condition::find(&status.conditions, condition::RECONCILING).is_none();
    is_done
        && resource.uid().as_ref() != Some(&mark.uid)
        && resource.metadata.deletion_timestamp.is_none()
        && status.identity_id.as_deref().is_some_and(|other| other != id)
}

/// Whether the instance still admits the namespace. One that is gone, or was made anew under its name, was admitted when
/// the resource was deleted; that holds as long as others are admitted at all.
async fn is_admitted(handle: &Handle, mark: &Mark, context: &Context) -> Result<bool, kube::Error> {
    let allowed = handle.settings.allowed_namespaces.as_ref();
    let home = &handle.place.namespace;
    let found = Api::<Metadata<Namespace>>::all(context.client.clone()).get_opt(&mark.namespace).await?;
    match found.filter(|found| found.uid().as_ref() == Some(&mark.namespace_uid)) {
        Some(found) => Ok(consent::admits(allowed, home, &mark.namespace, found.labels())),
        None => Ok(*home == mark.namespace || allowed.is_some_and(|allowed| allowed.from != NamespacesFrom::Same)),
    }
}

/// The resource is gone, so that the instance has to say it.
fn publish(handle: &Handle, mark: &Mark, context: &Context) {
    let object = context.instances.get(&ObjectRef::new(&handle.place.name).within(&handle.place.namespace));
    if let Some(Ok(instance)) = object.as_deref().map(|object| &object.0) {
        let Mark { namespace, name, .. } = mark;
        let note = format!("the grace period of KratosIdentity {namespace}/{name} is over: its identity was deleted");
        context.events.publish(instance, Happening::normal("IdentityDeleted", "Delete", note));
    }
}

fn later(after: Duration) -> Option<Timestamp> {
    Timestamp::now().checked_add(after).ok()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_runs_is_counted_until_it_has_ended_and_the_first_end_is_told() {
        let (pending, at) = (Pending::default(), |second| Timestamp::from_second(second).unwrap());
        assert_eq!(pending.running(), PendingDeletions { count: 0, next: None });
        let [one, other] = ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"];
        let begun = Instant::now();
        pending.begun(one, at(300));
        pending.begun(other, at(200));
        pending.note("anybody", at(100));
        assert_eq!(pending.running(), PendingDeletions { count: 2, next: Some(Time(at(200))) });
        assert_eq!(pending.take_due(at(250)).len(), 2);
        assert_eq!(pending.running().count, 2, "one that is being looked at runs on");
        pending.ended(other, begun);
        assert_eq!(pending.running().count, 2, "that was seen before it began");
        pending.ended(other, Instant::now());
        assert_eq!(pending.running(), PendingDeletions { count: 1, next: Some(Time(at(300))) });
        // Somebody deleted it: it is looked at, and is counted until then.
        pending.listed(|id| id != one);
        assert_eq!((pending.take_due(Timestamp::now()), pending.running().count), (vec![one.to_owned()], 1));
    }

    #[tokio::test]
    async fn whoever_waits_for_an_instance_that_only_observes_ends_with_it_and_goes_on_with_its_settings() {
        let shared = Shared::default();
        assert_eq!(reconsidered(&shared).now_or_never(), None, "nothing has happened yet");
        shared.pending.reconsider();
        assert_eq!(reconsidered(&shared).now_or_never(), Some(true));
        shared.stopped.cancel();
        assert_eq!(reconsidered(&shared).now_or_never(), Some(false));
    }
}
