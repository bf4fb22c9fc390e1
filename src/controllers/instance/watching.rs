//! Watches instances, and says which are enqueued, and how soon.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector;
use kube::runtime::watcher::{self, Event};

use crate::api::INSTANCE_FINALIZER;
use crate::api::objects::InstanceObject;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::gone::{self, Remembering};
use crate::controllers::instance::controller::Controller;
use crate::controllers::instance::reconcile::reconcile;
use crate::controllers::queue::{Priority, ReconcileResult};
use crate::controllers::shared::references;
use crate::controllers::watching::reconciler::{Parts, Reconciler};
use crate::controllers::watching::watches;

/// Watches all instances.
pub fn watch_all(
    writer: reflector::store::Writer<InstanceObject>,
    controller: &Arc<Controller>,
) -> impl Stream<Item = watcher::Result<Event<InstanceObject>>> + Send + 'static {
    let after = Arc::clone(controller);
    // Seen after the store has taken it in.
    watches::watch::<InstanceObject, _>(&controller.watching, controller.seen.instances.clone(), |_, _| ())
        .reflect(writer)
        .inspect(move |event| seen(event, &after))
}

impl Reconciler for Controller {
    type Object = InstanceObject;
    const FINALIZER: &'static str = INSTANCE_FINALIZER;

    fn parts(&self) -> Parts<'_, InstanceObject> {
        let Self { seen, queues, leadership, access, .. } = self;
        Parts { store: &seen.instances, queue: &queues.instances, leadership, access }
    }

    // Everybody waits for instances.
    fn listed(_: &InstanceObject) -> Priority {
        Priority::Person
    }

    async fn reconcile(self: Arc<Self>, object: Arc<InstanceObject>) -> Result<ReconcileResult, kube::Error> {
        reconcile(object, self).await
    }
}

fn seen(event: &watcher::Result<Event<InstanceObject>>, controller: &Controller) {
    match event {
        Ok(Event::Delete(object)) => {
            let key = NamespacedName::of(object);
            if let Some(uid) = &object.meta().uid {
                controller.seen.instance_mutations.forget(uid);
            }
            controller.registry.forget(&key);
            controller.metrics.instances.forget(&key);
            controller.instance_leases.forget(&key);
            controller.queues.enqueue_identities(references::referring(&controller.seen, &key), Priority::Arrived);
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            controller.seen.instance_mutations.observe(object);
            let key = NamespacedName::of(object);
            if controller.options.instance_namespaces.contains(&key.namespace) {
                controller.metrics.instances.of(&key);
            }
        }
        Ok(Event::InitDone) => {
            let _ = controller.seen.has_synced.instances.set(());
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
        Err(error) => controller.watching.watches.failed::<InstanceObject>(None, error),
    }
}
