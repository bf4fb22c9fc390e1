//! Watches instances, and says which are enqueued, and how soon.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use crate::api::INSTANCE_FINALIZER;
use crate::api::objects::InstanceObject;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::gone::{self, Remembering};
use crate::controllers::instance::controller::Controller;
use crate::controllers::instance::reconcile::reconcile;
use crate::controllers::predicate::ChangePredicate;
use crate::controllers::queue::{Priority, Requeue};
use crate::controllers::shared::access;
use crate::controllers::shared::references;
use crate::controllers::watching::watches;
use crate::controllers::workers::ReconcileFuture;

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

/// Enqueues each instance that the watch shows to be worth a reconcile. Everybody waits for instances: all are urgent.
pub async fn enqueue_changed(
    watch: impl Stream<Item = watcher::Result<Event<InstanceObject>>> + Send + 'static,
    controller: Arc<Controller>,
) {
    let mut changes = ChangePredicate::new(INSTANCE_FINALIZER);
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let news = changes.changed(event);
        // Who gains the lead asks for all.
        if !controller.leadership.is_leading() {
            continue;
        }
        controller.queues.enqueue_instances(news.iter().map(NamespacedName::of), Priority::Person);
    }
}

/// Enqueues all that the watch has brought, where this process was a standby until now.
pub fn enqueue_all(controller: &Controller) {
    if controller.leadership.is_elected() {
        let all = controller.seen.instances.state();
        controller.queues.enqueue_instances(all.iter().map(|object| NamespacedName::of(&**object)), Priority::Person);
    }
}

/// One reconcile of an instance; one that is gone is none.
pub fn reconcile_key(key: &NamespacedName, controller: &Arc<Controller>) -> ReconcileFuture {
    let object = ObjectRef::new(&key.name).within(&key.namespace);
    let controller = Arc::clone(controller);
    Box::pin(async move {
        match controller.seen.instances.get(&object) {
            Some(object) => access::as_granted(&controller.access, reconcile(object, Arc::clone(&controller)).await),
            None => Ok(Requeue::OnChange.into()),
        }
    })
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
