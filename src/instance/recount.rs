//! Has an instance's status say how many resources have an identity, and how many grace periods run, without waiting for the next
//! resync. Reads the watch and what is noted alone, and writes nothing: a look at the instance does, once.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;

use super::handle::Shared;
use super::references;
use super::scan::current;
use crate::api::instance::PendingDeletions;
use crate::backoff;
use crate::context::Context;
use crate::place::Place;

/// How often it is counted. What is the same twice and differs from what the status says is written: so a crowd costs one write
/// when all of it has come.
const EVERY: Duration = Duration::from_secs(10);

/// Counts until the instance is gone, or isn't the one any more that `shared` belongs to.
pub(super) async fn keep_counting(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    while current(&place, &shared, &context).is_some() {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = tokio::time::sleep(backoff::spread(EVERY)) => {}
        }
        // Where nobody answers the status says that, and nothing else is written.
        if !shared.gate.is_open() || !context.leads.is_leading(&place) || !context.listed.identities.initialized() {
            continue;
        }
        let managed = references::managed(&context, &place);
        let pending = shared.pending.running();
        let is_settled = shared.counts.looked_at(managed, pending.count);
        if is_settled && shown(&place, &context).is_some_and(|shown| shown != (managed, Some(pending))) {
            context.pokes.instance(&place);
        }
    }
}

/// What the status says; `None`: nothing yet.
fn shown(place: &Place, context: &Context) -> Option<(u64, Option<PendingDeletions>)> {
    let seen = context.instances.get(&ObjectRef::new(&place.name).within(&place.namespace))?;
    let object = context.latest_instances.of(&seen);
    let status = object.0.as_ref().ok()?.status.as_ref()?;
    status.identities.as_ref().map(|counts| (counts.managed, status.pending_deletions.clone()))
}
