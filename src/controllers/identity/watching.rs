//! Watches identities: enqueues the operator's own; of the others it keeps the outline.

use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt, future};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use super::births;
use crate::api::IDENTITY_FINALIZER;
use crate::api::identity::{IdentityState, KratosIdentity};
use crate::api::objects::IdentityObject;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::gone::{self, Remembering};
use crate::controllers::identity::controller::Controller;
use crate::controllers::identity::reconcile::reconcile;
use crate::controllers::queue::{Priority, ReconcileResult};
use crate::controllers::shared::priority;
use crate::controllers::watching::reconciler::{Parts, Reconciler};
use crate::controllers::watching::watches;
use crate::engine::instance::grace_periods;
use crate::identity::reference;
use crate::kubernetes::selector::{self, narrow};

/// Watches all identities. Of those that aren't its own only the outline is kept, and nothing is shown from here on.
pub fn watch_all(
    writer: reflector::store::Writer<IdentityObject>,
    controller: &Arc<Controller>,
) -> impl Stream<Item = watcher::Result<Event<IdentityObject>>> + Send + 'static {
    let [all, gaps, born, before, after, own] = std::array::from_fn(|_| Arc::clone(controller));
    let noted = move |namespace: Option<&str>, told: &watcher::Result<_>| births::note_gaps(namespace, told, &gaps);
    watches::watch::<IdentityObject, _>(&controller.watching, controller.seen.identities.clone(), noted)
        .modify(move |object| {
            if !all.seen.is_own(object) {
                selector::outline(object);
            }
        })
        .inspect(move |event| births::note(event, &born))
        .inspect(move |event| deactivated_elsewhere(event, &before))
        .reflect(writer)
        // Seen after the store has taken it in.
        .inspect(move |event| identity_seen(event, &after))
        .filter_map(move |event| {
            let event = event.map(|event| narrow(&own.options.watch_selector, event));
            future::ready(event.transpose())
        })
}

impl Reconciler for Controller {
    type Object = IdentityObject;
    const FINALIZER: &'static str = IDENTITY_FINALIZER;

    fn parts(&self) -> Parts<'_, IdentityObject> {
        let Self { seen, queues, leadership, access, .. } = self;
        Parts { store: &seen.identities, queue: &queues.identities, leadership, access }
    }

    fn is_own(&self, object: &IdentityObject) -> bool {
        self.seen.is_own(object)
    }

    // Whoever waits for one that can't be read waits for a better manifest.
    fn listed(object: &IdentityObject) -> Priority {
        object.0.as_ref().map_or(Priority::Routine, priority::of_listed)
    }

    async fn reconcile(self: Arc<Self>, object: Arc<IdentityObject>) -> Result<ReconcileResult, kube::Error> {
        reconcile(object, self).await
    }
}

fn identity_seen(event: &watcher::Result<Event<IdentityObject>>, controller: &Controller) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                controller.memory.forget(uid);
                controller.seen.identity_mutations.forget(uid);
            }
            controller.rotation.forget(&NamespacedName::of(object));
            let default = controller.seen.default_instance.as_ref();
            if let Ok(identity) = &object.0 {
                controller.queues.enqueue_identities(controller.replaces_index.forget(identity), Priority::Arrived);
            }
            if let Ok(identity) = &object.0
                && let Some(instance) = reference::instance_of(identity, default)
            {
                controller.queues.enqueue_instance(&instance);
                freed(identity, &instance, controller);
                if !controller.seen.is_own(object) {
                    grace_periods::gone_elsewhere(identity, &instance, &controller.registry);
                }
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            controller.seen.identity_mutations.observe(object);
            if let Ok(identity) = &object.0 {
                controller.queues.enqueue_identities(controller.replaces_index.see(identity), Priority::Arrived);
            }
            if !controller.seen.is_own(object) {
                controller.memory.leave(object.meta().uid.as_deref().unwrap_or_default());
                controller.rotation.forget(&NamespacedName::of(object));
            }
        }
        Ok(Event::InitDone) => {
            // Later lists find it set already.
            if controller.seen.has_synced.identities.set(()).is_err() && controller.instance_leases.is_sharded() {
                missed(controller);
            }
            gone::forget(&Remembering {
                seen: &controller.seen,
                memory: &controller.memory,
                metrics: &controller.metrics,
                registry: &controller.registry,
                instance_leases: &controller.instance_leases,
                queues: &controller.queues,
            });
        }
        Ok(Event::Init) => {}
        Err(error) => controller.watching.watches.failed::<IdentityObject>(None, error),
    }
}

/// A resource is gone, and with it perhaps the identity that stood in others' way.
fn freed(identity: &KratosIdentity, instance: &NamespacedName, controller: &Controller) {
    let id = identity.status.as_ref().and_then(|status| status.identity_id.as_deref());
    if let (Some(id), Some(handle)) = (id, controller.registry.handle(instance)) {
        controller.queues.enqueue_waiting(handle.shared.conflicts.freed(id), &controller.seen);
    }
}

/// What happened while nobody watched, and other operators did: resources may have been theirs meanwhile, and may be
/// gone with a grace period that runs.
fn missed(controller: &Controller) {
    controller.memory.leave_all();
    for handle in controller.registry.keys().iter().filter_map(|key| controller.registry.handle(key)) {
        handle.shared.listing.want(Instant::now());
    }
}

/// An identity that another operator reconciles became inactive. The store doesn't have the event yet.
fn deactivated_elsewhere(event: &watcher::Result<Event<IdentityObject>>, controller: &Controller) {
    let Ok(Event::Apply(object)) = event else { return };
    let Ok(resource) = &object.0 else { return };
    if controller.seen.is_own(object) || !is_inactive(object) {
        return;
    }
    let NamespacedName { namespace, name } = NamespacedName::of(object);
    let before = controller.seen.identities.get(&ObjectRef::new(&name).within(&namespace));
    if let Some(instance) = reference::instance_of(resource, controller.seen.default_instance.as_ref())
        && !before.is_some_and(|before| is_inactive(&before))
    {
        controller.policy_triggers.deactivated(&instance, &namespace);
    }
}

fn is_inactive(object: &IdentityObject) -> bool {
    let status = object.0.as_ref().ok().and_then(|identity| identity.status.as_ref());
    status.is_some_and(|status| status.state == Some(IdentityState::Inactive))
}
