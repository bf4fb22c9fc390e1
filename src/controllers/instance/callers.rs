//! Whom an instance calls: its own controller, and those of the resources that wait for it.

use std::fmt;
use std::sync::Arc;

use super::controller::Controller;
use crate::api::recorded_event::RecordedEvent;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::shared::informers::Informers;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::instance::calls::Calls;
use crate::kubernetes::events::EventRecorder;

struct Callers {
    key: NamespacedName,
    queues: WorkQueues,
    seen: Arc<Informers>,
    events: Arc<EventRecorder>,
}

/// Those of the instance that stands there.
pub fn of(key: &NamespacedName, controller: &Controller) -> Arc<dyn Calls> {
    let Controller { queues, seen, events, .. } = controller;
    let (seen, events) = (Arc::clone(seen), Arc::clone(events));
    Arc::new(Callers { key: key.clone(), queues: queues.clone(), seen, events })
}

impl fmt::Debug for Callers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Callers").field("place", &self.key).finish_non_exhaustive()
    }
}

impl Calls for Callers {
    fn instance(&self) {
        self.queues.enqueue_instance(&self.key);
    }

    fn waiting(&self, resources: Vec<NamespacedName>) {
        self.queues.enqueue_waiting(resources, &self.seen);
    }

    fn happened(&self, event: RecordedEvent) {
        let object = self.seen.instance(&self.key);
        if let Some(Ok(instance)) = object.as_deref().map(|object| &object.0) {
            self.events.publish(instance, event);
        }
    }
}
