//! Watches session policies, and says which are enqueued, and how soon.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector;
use kube::runtime::watcher::{self, Event};

use crate::api::objects::PolicyObject;
use crate::controllers::policy::controller::Controller;
use crate::controllers::policy::priority;
use crate::controllers::policy::reconcile::reconcile;
use crate::controllers::queue::{Priority, ReconcileResult};
use crate::controllers::watching::reconciler::{Parts, Reconciler};
use crate::controllers::watching::watches;

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

impl Reconciler for Controller {
    type Object = PolicyObject;
    // Nothing in Kratos is a policy's.
    const FINALIZER: &'static str = "";

    fn parts(&self) -> Parts<'_, PolicyObject> {
        let Self { seen, queues, leadership, access, .. } = self;
        Parts { store: &seen.policies, queue: &queues.policies, leadership, access }
    }

    fn listed(object: &PolicyObject) -> Priority {
        object.0.as_ref().map_or(Priority::Routine, priority::of_listed)
    }

    async fn reconcile(self: Arc<Self>, object: Arc<PolicyObject>) -> Result<ReconcileResult, kube::Error> {
        reconcile(object, self).await
    }
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
