//! What is remembered of objects that went while nobody watched is forgotten.

use std::collections::HashSet;

use kube::Resource;

use super::leading::lease::Leads;
use super::shared::pokes::Pokes;
use super::shared::references;
use super::shared::seen::Seen;
use crate::base::place::Place;
use crate::controllers::queue::Priority;
use crate::engine::identity::memory::Memory;
use crate::instance::Registry;
use crate::telemetry::metrics::Metrics;

/// Who remembers.
pub struct Remembering<'a> {
    pub seen: &'a Seen,
    pub memory: &'a Memory,
    pub metrics: &'a Metrics,
    pub registry: &'a Registry,
    pub leads: &'a Leads,
    pub pokes: &'a Pokes,
}

/// After a complete list: objects that went while nobody watched brought no event.
pub fn forget(Remembering { seen, memory, metrics, registry, leads, pokes }: &Remembering<'_>) {
    let identities: HashSet<_> =
        seen.identities.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
    memory.retain(|uid| identities.contains(uid));
    seen.latest_identities.retain(|uid| identities.contains(uid));
    let instances: HashSet<_> = seen.instances.state().iter().map(|object| Place::of(&**object)).collect();
    metrics.instances.retain(|place| instances.contains(place));
    for place in registry.places().into_iter().filter(|place| !instances.contains(place)) {
        registry.forget(&place);
        leads.forget(&place);
        pokes.identities(references::referring(seen, &place), Priority::Arrived);
    }
}
