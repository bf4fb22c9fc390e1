//! Keeps the number of resources with an identity, and of grace periods that run, in an instance's status current, without
//! waiting for the next resync. Reads the watch and what is noted alone, and writes nothing: a reconcile of the instance does, once.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;

use super::controller::Controller;
use crate::api::instance::PendingDeletions;
use crate::base::backoff;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::shared::references;
use crate::instance::handle::Shared;

/// How often it is counted. What is the same twice and differs from what the status says is written: so a crowd costs one write
/// when all of it has come.
const EVERY: Duration = Duration::from_secs(10);

/// Counts until the instance is gone, or isn't the one any more that `shared` belongs to.
pub(super) async fn keep_counting(key: NamespacedName, shared: Arc<Shared>, controller: Arc<Controller>) {
    while controller.registry.current(&key, &shared).is_some() {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = tokio::time::sleep(backoff::jitter(EVERY)) => {}
        }
        // Where nobody answers the status says that, and nothing else is written.
        if !shared.circuit_breaker.allows_requests()
            || !controller.instance_leases.is_leading(&key)
            || !controller.seen.has_synced.identities.initialized()
        {
            continue;
        }
        let managed = references::managed(&controller.seen, &key);
        let pending = shared.grace_periods.running();
        let is_settled = shared.counts.looked_at(managed, pending.count);
        if is_settled && shown(&key, &controller).is_some_and(|shown| shown != (managed, Some(pending))) {
            controller.queues.enqueue_instance(&key);
        }
    }
}

/// What the status says; `None`: nothing yet.
fn shown(key: &NamespacedName, controller: &Controller) -> Option<(u64, Option<PendingDeletions>)> {
    let seen = controller.seen.instances.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
    let object = controller.seen.instance_mutations.newest(&seen);
    let status = object.0.as_ref().ok()?.status.as_ref()?;
    status.identities.as_ref().map(|counts| (counts.managed, status.pending_deletions.clone()))
}
