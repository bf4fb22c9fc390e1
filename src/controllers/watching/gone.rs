//! What is remembered of objects that went while nobody watched is forgotten.

use std::collections::HashSet;

use kube::Resource;

use crate::base::place::Place;
use crate::controllers::context::Context;
use crate::controllers::instance::references;
use crate::controllers::queue::Priority;

/// After a complete list: objects that went while nobody watched brought no event.
pub(super) fn forget(context: &Context) {
    let identities: HashSet<_> =
        context.identities.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
    context.memory.retain(|uid| identities.contains(uid));
    context.latest_identities.retain(|uid| identities.contains(uid));
    let instances: HashSet<_> = context.instances.state().iter().map(|object| Place::of(&**object)).collect();
    context.metrics.instances.retain(|place| instances.contains(place));
    for place in context.registry.places().into_iter().filter(|place| !instances.contains(place)) {
        context.registry.forget(&place);
        context.leads.forget(&place);
        context.pokes.identities(references::referring(context, &place), Priority::Arrived);
    }
}
