//! What is remembered of objects that went while nobody watched is forgotten.

use std::collections::HashSet;

use kube::Resource;

use super::leading::lease::InstanceLeases;
use super::shared::informers::Informers;
use super::shared::references;
use super::shared::work_queues::WorkQueues;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::engine::identity::memory::Memory;
use crate::instance::Registry;
use crate::telemetry::metrics::Metrics;

/// Who remembers.
pub struct Remembering<'a> {
    pub seen: &'a Informers,
    pub memory: &'a Memory,
    pub metrics: &'a Metrics,
    pub registry: &'a Registry,
    pub instance_leases: &'a InstanceLeases,
    pub queues: &'a WorkQueues,
}

/// After a complete list: objects that went while nobody watched brought no event.
pub fn forget(Remembering { seen, memory, metrics, registry, instance_leases, queues }: &Remembering<'_>) {
    let identities: HashSet<_> =
        seen.identities.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
    memory.retain(|uid| identities.contains(uid));
    seen.identity_mutations.retain(|uid| identities.contains(uid));
    let instances: HashSet<_> = seen.instances.state().iter().map(|object| NamespacedName::of(&**object)).collect();
    metrics.instances.retain(|key| instances.contains(key));
    for key in registry.keys().into_iter().filter(|key| !instances.contains(key)) {
        registry.forget(&key);
        instance_leases.forget(&key);
        queues.enqueue_identities(references::referring(seen, &key), Priority::Arrived);
    }
}
