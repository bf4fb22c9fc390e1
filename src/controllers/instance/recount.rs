//! Keeps the number of resources with an identity in an instance's status current, without waiting for the next resync. Reads
//! the watch alone, and writes nothing: a reconcile of the instance does, once.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;

use super::controller::Controller;
use crate::base::backoff;
use crate::base::place::Place;
use crate::controllers::shared::references;
use crate::instance::handle::Shared;

/// How often it is counted. What is the same twice and differs from what the status says is written: so a crowd costs one write
/// when all of it has come.
const EVERY: Duration = Duration::from_secs(10);

/// Counts until the instance is gone, or isn't the one any more that `shared` belongs to.
pub(super) async fn keep_counting(place: Place, shared: Arc<Shared>, controller: Arc<Controller>) {
    while controller.registry.current(&place, &shared).is_some() {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = tokio::time::sleep(backoff::spread(EVERY)) => {}
        }
        // Where nobody answers the status says that, and nothing else is written.
        if !shared.gate.is_open()
            || !controller.leads.is_leading(&place)
            || !controller.seen.listed.identities.initialized()
        {
            continue;
        }
        let managed = references::managed(&controller.seen, &place);
        let is_settled = shared.counts.looked_at(managed);
        if is_settled && shown(&place, &controller).is_some_and(|shown| shown != managed) {
            controller.pokes.instance(&place);
        }
    }
}

/// How many the status says; `None`: nothing yet.
fn shown(place: &Place, controller: &Controller) -> Option<u64> {
    let seen = controller.seen.instances.get(&ObjectRef::new(&place.name).within(&place.namespace))?;
    let object = controller.seen.latest_instances.of(&seen);
    let status = object.0.as_ref().ok()?.status.as_ref()?;
    status.identities.as_ref().map(|counts| counts.managed)
}
