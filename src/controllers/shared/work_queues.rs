//! Enqueues resources of each kind.

use std::sync::Arc;

use super::informers::Informers;
use super::priority;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::controllers::workers::WorkQueue;

/// Asks for reconciles.
#[derive(Clone, Debug, Default)]
pub struct WorkQueues {
    pub identities: Arc<WorkQueue>,
    pub instances: Arc<WorkQueue>,
    pub policies: Arc<WorkQueue>,
}

impl WorkQueues {
    pub fn enqueue_identities(&self, keys: impl IntoIterator<Item = NamespacedName>, priority: Priority) {
        self.identities.enqueue(keys, priority);
    }

    pub fn enqueue_instance(&self, key: &NamespacedName) {
        self.enqueue_instances([key.clone()], Priority::Arrived);
    }

    pub fn enqueue_instances(&self, keys: impl IntoIterator<Item = NamespacedName>, priority: Priority) {
        self.instances.enqueue(keys, priority);
    }

    pub fn enqueue_policies(&self, keys: impl IntoIterator<Item = NamespacedName>, priority: Priority) {
        self.policies.enqueue(keys, priority);
    }

    /// Of identities that waited for something that has come. A person who waits goes first still.
    pub fn enqueue_waiting(&self, keys: impl IntoIterator<Item = NamespacedName>, seen: &Informers) {
        for key in keys {
            let object = seen.identity(&key);
            let resource = object.as_deref().and_then(|object| object.0.as_ref().ok());
            let priority = resource.map_or(Priority::Arrived, priority::of_listed);
            self.enqueue_identities([key], priority.max(Priority::Arrived));
        }
    }
}
