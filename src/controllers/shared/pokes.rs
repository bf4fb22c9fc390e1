//! Asks for looks at resources of each kind.

use std::sync::Arc;

use super::seen::Seen;
use super::urgency;
use crate::base::place::Place;
use crate::controllers::queue::Priority;
use crate::controllers::workers::Asks;

/// Asks for reconciles.
#[derive(Clone, Debug, Default)]
pub struct Pokes {
    pub identities: Arc<Asks>,
    pub instances: Arc<Asks>,
    pub policies: Arc<Asks>,
}

impl Pokes {
    pub fn identities(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        self.identities.ask(places, priority);
    }

    pub fn instance(&self, place: &Place) {
        self.instances([place.clone()], Priority::Arrived);
    }

    pub fn instances(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        self.instances.ask(places, priority);
    }

    pub fn policies(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        self.policies.ask(places, priority);
    }

    /// Of identities that waited for something that has come. A person who waits goes first still.
    pub fn waiting(&self, places: impl IntoIterator<Item = Place>, seen: &Seen) {
        for place in places {
            let object = seen.identity(&place);
            let resource = object.as_deref().and_then(|object| object.0.as_ref().ok());
            let urgency = resource.map_or(Priority::Arrived, urgency::listed);
            self.identities([place], urgency.max(Priority::Arrived));
        }
    }
}
