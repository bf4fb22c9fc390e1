//! Ends grace periods: an identity whose resource is gone stays inactive until its period is over, and is deleted then. The
//! mark alone decides, read again each time.
//!
//! Nothing is done to an identity that a resource of that namespace and name may ask for, nor through an instance in mode
//! Observe or one that no longer admits the namespace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::surroundings::Surroundings;
use crate::api::condition;
use crate::api::identity::KratosIdentity;
use crate::api::instance::{Mode, NamespacesFrom};
use crate::api::recorded_event::RecordedEvent;
use crate::base::backoff;
use crate::base::kube_error;
use crate::base::namespaced_name::{self, NamespacedName};
use crate::engine::cluster::Terms;
use crate::identity::mark::{Found, Mark};
use crate::identity::replacement;
use crate::instance::consent;
use crate::instance::handle::Shared;
use crate::instance::{Handle, Registry};
use crate::kratos::{Error, Identity, Initiator, PatchOperation, State, WriteCause};
use crate::telemetry::trace::{Trace, TraceId};

/// How many are dealt with at the same time.
const CONCURRENCY: usize = 8;
/// When to reconcile again after a failure, and where a write that was under way undid ours.
const AGAIN: Duration = Duration::from_secs(2);
/// When to reconcile again where a resource, or a namespace that isn't admitted, stands in the way.
const NOT_NOW: Duration = Duration::from_secs(30);

/// Deletes what is due until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_deleting(key: NamespacedName, shared: Arc<Shared>, around: Arc<dyn Surroundings>) {
    while !shared.stopped.is_cancelled() {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = async {
                shared.grace_periods.due().await;
                shared.circuit_breaker.recovered().await;
                around.led(&key).await;
            } => {}
        }
        let Some(handle) = around.registry().current(&key, &shared) else { return };
        if handle.settings.mode == Mode::Observe {
            if !reconsidered(&shared).await {
                return;
            }
            continue;
        }
        let due = shared.grace_periods.take_due(Timestamp::now());
        let reconcile_one = |id: String| {
            let (handle, around) = (&handle, around.as_ref());
            async move {
                let trace = Trace::of_background("graceperiod", &handle.key);
                if let Some(at) = trace.run(reconcile_one(handle, &id, around)).await {
                    handle.shared.grace_periods.note(&id, at);
                }
            }
        };
        futures::stream::iter(due).for_each_concurrent(CONCURRENCY, reconcile_one).await;
    }
}

/// Waits until the settings may have changed. `false`: the instance is gone.
async fn reconsidered(shared: &Shared) -> bool {
    shared.stopped.run_until_cancelled(shared.grace_periods.changed()).await.is_some()
}

/// A resource that another operator reconciled is gone: where its grace period runs, the mark says until when.
pub fn gone_elsewhere(resource: &KratosIdentity, instance: &NamespacedName, registry: &Registry) {
    let own = resource.spec.deletion.as_ref().and_then(|deletion| deletion.grace_period).map(Into::into);
    let id = resource.status.as_ref().and_then(|status| status.identity_id.as_deref());
    let (Some(id), Some(handle)) = (id, registry.handle(instance)) else { return };
    let is_beside = resource.metadata.namespace.as_ref() == Some(&instance.namespace);
    if !handle.settings.grace.period(own, is_beside).is_zero() {
        handle.shared.grace_periods.note(id, Timestamp::now());
    }
}

/// Looks at one identity, as long as this process leads. Returns when to reconcile again.
async fn reconcile_one(handle: &Handle, id: &str, around: &dyn Surroundings) -> Option<Timestamp> {
    let settled = tokio::select! {
        biased;
        () = around.lost(&handle.key) => None,
        settled = settle(handle, id, around) => Some(settled),
    };
    match settled.unwrap_or_else(|| Ok(later(AGAIN))) {
        Ok(again) => {
            if again.is_none() {
                handle.shared.grace_periods.ended(id, Instant::now());
            }
            again
        }
        Err(Failure::Kratos(error)) => {
            tracing::warn!(%error, "ending a grace period failed; it is tried again");
            if handle.shared.circuit_breaker.failed(id, &error).wants_probe {
                handle.calls.instance();
            }
            later(backoff::jitter(AGAIN))
        }
        Err(Failure::Kubernetes(error)) => {
            let error = kube_error::brief(&error);
            tracing::warn!(error, "ending a grace period failed; it is tried again");
            later(backoff::jitter(AGAIN))
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

async fn settle(handle: &Handle, id: &str, around: &dyn Surroundings) -> Result<Option<Timestamp>, Failure> {
    // Many periods may end at the same time: the first reconcile of each shares its request.
    let Some(identity) = handle.reader.read(id).await? else { return Ok(None) };
    let Some((mark, delete_after)) = running(&identity, handle, around.terms()) else { return Ok(None) };
    handle.shared.grace_periods.runs_until(id, delete_after);
    let is_over = delete_after <= Timestamp::now();
    if !is_over && identity.state == State::Inactive {
        return Ok(Some(delete_after));
    }
    if !namespaced_name::is_name(&mark.namespace) || !namespaced_name::is_name(&mark.name) {
        // No mark of ours: nobody can say whether a resource asks for it.
        return Ok(None);
    }
    if is_over {
        return end(handle, id, &mark, around).await;
    }
    if !is_admitted(handle, &mark, around).await? || is_asked_for(&mark, id, around).await? {
        return Ok(later(backoff::jitter(NOT_NOW)));
    }
    // A user's request that was under way made it active again.
    let value = State::Inactive.as_str().into();
    let operations = [PatchOperation::Replace { path: "/state".into(), value }];
    let writer = handle.client.on_behalf_of(&initiator(&mark));
    writer.patch_verbatim(id, &operations).await?;
    writer.delete_identity_sessions(id).await?;
    let standing = handle.client.get_identity(id, &[]).await?;
    let is_undone = standing.is_some_and(|identity| identity.state == State::Active);
    Ok(if is_undone { later(AGAIN) } else { Some(delete_after) })
}

/// Deletes an identity whose grace period is over by `seen`. Kratos has no compare-and-swap, so everything that may take its
/// time comes first: the rate limit, and consent. Then the mark is read, then the resource, and the deletion is sent at once.
async fn end(handle: &Handle, id: &str, seen: &Mark, around: &dyn Surroundings) -> Result<Option<Timestamp>, Failure> {
    let client = handle.client.at_once().await;
    if !is_admitted(handle, seen, around).await? {
        return Ok(later(backoff::jitter(NOT_NOW)));
    }
    let Some(identity) = handle.client.get_identity(id, &[]).await? else { return Ok(None) };
    let Some((mark, delete_after)) = running(&identity, handle, around.terms()) else { return Ok(None) };
    let is_as_seen = *mark == *seen && delete_after <= Timestamp::now();
    let is_handle_current =
        around.registry().handle(&handle.key).is_some_and(|now| std::ptr::eq(Arc::as_ptr(&now), handle));
    if !is_as_seen || !is_handle_current {
        // The settings or the mark have changed meanwhile.
        return Ok(later(AGAIN));
    }
    if is_asked_for(&mark, id, around).await? {
        return Ok(later(backoff::jitter(NOT_NOW)));
    }
    client.on_behalf_of(&initiator(&mark)).delete_identity(id).await?;
    handle.shared.managed.forget(id);
    handle.calls.waiting(handle.shared.conflicts.freed(id));
    publish(handle, &mark);
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
fn running(identity: &Identity, handle: &Handle, terms: &Terms) -> Option<(Box<Mark>, Timestamp)> {
    let Found::Mark(mark) = Mark::read(&identity.metadata_admin) else { return None };
    let is_ours =
        mark.owner == handle.settings.owner_name && mark.cluster == terms.cluster_id && terms.works_in(&mark.namespace);
    let delete_after = mark.delete_after.as_ref().filter(|_| is_ours)?.0;
    Some((mark, delete_after))
}

/// Whether a resource stands where the mark says, and may ask for this identity: live, because an identity may go on
/// the answer. One that is done, and has another identity, doesn't.
async fn is_asked_for(mark: &Mark, id: &str, around: &dyn Surroundings) -> Result<bool, kube::Error> {
    let named = around.others().naming(&mark.namespace, &mark.name, Instant::now()).await?;
    let default = around.terms().default_instance.as_ref();
    if named.iter().any(|candidate| replacement::is_pending(candidate, &mark.name, None, default)) {
        return Ok(true);
    }
    let key = NamespacedName::new(mark.namespace.as_str(), mark.name.as_str());
    let Some(found) = around.others().live(&key).await? else { return Ok(false) };
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
async fn is_admitted(handle: &Handle, mark: &Mark, around: &dyn Surroundings) -> Result<bool, kube::Error> {
    let allowed = handle.settings.allowed_namespaces.as_ref();
    let home = &handle.key.namespace;
    let found = around.others().live_namespace(&mark.namespace).await?;
    match found.filter(|found| found.uid().as_ref() == Some(&mark.namespace_uid)) {
        Some(found) => Ok(consent::admits(allowed, home, &mark.namespace, found.labels())),
        None => Ok(*home == mark.namespace || allowed.is_some_and(|allowed| allowed.from != NamespacesFrom::Same)),
    }
}

/// The resource is gone, so that the instance has to say it.
fn publish(handle: &Handle, Mark { namespace, name, .. }: &Mark) {
    let note = format!("the grace period of KratosIdentity {namespace}/{name} is over: its identity was deleted");
    handle.calls.happened(RecordedEvent::normal("IdentityDeleted", "Delete", note));
}

fn later(after: Duration) -> Option<Timestamp> {
    Timestamp::now().checked_add(after).ok()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_an_instance_that_only_observes_ends_with_it_and_goes_on_with_its_settings() {
        let shared = Shared::default();
        assert_eq!(reconsidered(&shared).now_or_never(), None, "nothing has happened yet");
        shared.grace_periods.reconsider();
        assert_eq!(reconsidered(&shared).now_or_never(), Some(true));
        shared.stopped.cancel();
        assert_eq!(reconsidered(&shared).now_or_never(), Some(false));
    }
}
