//! Whom an instance calls: its own controller, and those of the resources that wait for it.

use std::fmt;
use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use crate::api::happening::Happening;
use crate::base::place::Place;
use crate::controllers::context::Context;
use crate::instance::calls::Calls;

struct Callers {
    place: Place,
    context: Arc<Context>,
}

/// Those of the instance that stands there.
pub fn of(place: &Place, context: &Arc<Context>) -> Arc<dyn Calls> {
    Arc::new(Callers { place: place.clone(), context: Arc::clone(context) })
}

impl fmt::Debug for Callers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Callers").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Calls for Callers {
    fn instance(&self) {
        self.context.pokes.instance(&self.place);
    }

    fn waiting(&self, resources: Vec<Place>) {
        self.context.ask_waiting(resources);
    }

    fn happened(&self, happening: Happening) {
        let object = self.context.instances.get(&ObjectRef::new(&self.place.name).within(&self.place.namespace));
        if let Some(Ok(instance)) = object.as_deref().map(|object| &object.0) {
            self.context.events.publish(instance, happening);
        }
    }
}
