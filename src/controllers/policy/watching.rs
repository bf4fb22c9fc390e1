//! Watches session policies, and says which are enqueued, and how soon.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use crate::api::objects::PolicyObject;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::policy::controller::Controller;
use crate::controllers::policy::priority;
use crate::controllers::policy::reconcile::reconcile;
use crate::controllers::predicate::ChangePredicate;
use crate::controllers::queue::{Priority, Requeue};
use crate::controllers::shared::access;
use crate::controllers::watching::watches;
use crate::controllers::workers::ReconcileFuture;

/// Watches all policies.
pub fn watch_all(
    writer: reflector::store::Writer<PolicyObject>,
    controller: &Arc<Controller>,
) -> impl Stream<Item = watcher::Result<Event<PolicyObject>>> + Send + 'static {
    let after = Arc::clone(controller);
    // Seen after the store has taken it in.
    watches::watch::<PolicyObject, _>(&controller.watching, controller.seen.policies.clone(), |_, _| ())
        .reflect(writer)
        .inspect(move |event| seen(event, &after))
}

/// Enqueues each policy that the watch shows to be worth a reconcile.
pub async fn enqueue_changed(
    watch: impl Stream<Item = watcher::Result<Event<PolicyObject>>> + Send + 'static,
    controller: Arc<Controller>,
) {
    // It carries no finalizer: nothing in Kratos is a policy's.
    let mut changes = ChangePredicate::new("");
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let is_list = matches!(event, Event::InitDone);
        let news = changes.changed(event);
        // Who gains the lead asks for all.
        if controller.leadership.is_leading() {
            for object in news {
                let priority = if is_list { listed(&object) } else { Priority::Person };
                controller.queues.enqueue_policies([NamespacedName::of(&object)], priority);
            }
        }
    }
}

/// Enqueues all that the watch has brought, where this process was a standby until now.
pub fn enqueue_all(controller: &Controller) {
    if controller.leadership.is_elected() {
        for object in &controller.seen.policies.state() {
            controller.queues.enqueue_policies([NamespacedName::of(&**object)], listed(object));
        }
    }
}

fn listed(object: &PolicyObject) -> Priority {
    object.0.as_ref().map_or(Priority::Routine, priority::of_listed)
}

/// One reconcile of a policy; one that is gone is none.
pub fn reconcile_key(key: &NamespacedName, controller: &Arc<Controller>) -> ReconcileFuture {
    let object = ObjectRef::new(&key.name).within(&key.namespace);
    let controller = Arc::clone(controller);
    Box::pin(async move {
        match controller.seen.policies.get(&object) {
            Some(object) => access::as_granted(&controller.access, reconcile(object, Arc::clone(&controller)).await),
            None => Ok(Requeue::OnChange.into()),
        }
    })
}

fn seen(event: &watcher::Result<Event<PolicyObject>>, controller: &Controller) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                controller.runs.forget(uid);
                controller.seen.policy_mutations.forget(uid);
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => controller.seen.policy_mutations.observe(object),
        Ok(Event::InitDone) => {
            let policies: HashSet<_> =
                controller.seen.policies.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
            controller.runs.retain(|uid| policies.contains(uid));
            controller.seen.policy_mutations.retain(|uid| policies.contains(uid));
        }
        Ok(Event::Init) => {}
        Err(error) => controller.watching.watches.failed::<PolicyObject>(None, error),
    }
}
