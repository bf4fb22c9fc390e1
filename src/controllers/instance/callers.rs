//! Whom an instance calls: its own controller, and those of the resources that wait for it.

use std::fmt;
use std::sync::Arc;

use super::controller::Controller;
use crate::api::happening::Happening;
use crate::base::place::Place;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::seen::Seen;
use crate::instance::calls::Calls;
use crate::kubernetes::events::Events;

struct Callers {
    place: Place,
    pokes: Pokes,
    seen: Arc<Seen>,
    events: Arc<Events>,
}

/// Those of the instance that stands there.
pub fn of(place: &Place, controller: &Controller) -> Arc<dyn Calls> {
    let Controller { pokes, seen, events, .. } = controller;
    let (seen, events) = (Arc::clone(seen), Arc::clone(events));
    Arc::new(Callers { place: place.clone(), pokes: pokes.clone(), seen, events })
}

impl fmt::Debug for Callers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Callers").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Calls for Callers {
    fn instance(&self) {
        self.pokes.instance(&self.place);
    }

    fn waiting(&self, resources: Vec<Place>) {
        self.pokes.waiting(resources, &self.seen);
    }

    fn happened(&self, happening: Happening) {
        let object = self.seen.instance(&self.place);
        if let Some(Ok(instance)) = object.as_deref().map(|object| &object.0) {
            self.events.publish(instance, happening);
        }
    }
}
