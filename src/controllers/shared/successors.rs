//! Which resources name which others in `spec.replaces`, by the watch. A hint: before acting on it, read the resource itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::identity::KratosIdentity;
use crate::base::place::Place;

/// By the resource that is replaced: those that name it, and how each stood when that was last told.
#[derive(Debug, Default)]
pub struct Successors(Mutex<HashMap<Place, HashMap<Place, Standing>>>);

/// What the one that is replaced is to learn of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    generation: Option<i64>,
    has_identity: bool,
    is_deleting: bool,
}

impl Successors {
    /// Takes in a resource as it is now. Returns the one that it replaces, where that is to learn of it.
    pub fn see(&self, resource: &KratosIdentity) -> Option<Place> {
        let place = Place::of(resource);
        let replaced = Place::new(place.namespace.as_str(), resource.spec.replaces.as_ref()?.name.as_str());
        let standing = Standing {
            generation: resource.metadata.generation,
            has_identity: resource.status.as_ref().is_some_and(|status| status.identity_id.is_some()),
            is_deleting: resource.metadata.deletion_timestamp.is_some(),
        };
        let before = self.state().entry(replaced.clone()).or_default().insert(place, standing);
        (before != Some(standing)).then_some(replaced)
    }

    /// A resource is gone. Returns the one that it replaced.
    pub fn forget(&self, resource: &KratosIdentity) -> Option<Place> {
        let place = Place::of(resource);
        let replaced = Place::new(place.namespace.as_str(), resource.spec.replaces.as_ref()?.name.as_str());
        let mut state = self.state();
        let successors = state.get_mut(&replaced)?;
        successors.remove(&place);
        if successors.is_empty() {
            state.remove(&replaced);
        }
        Some(replaced)
    }

    /// Those that named a resource.
    pub fn of(&self, replaced: &Place) -> Vec<Place> {
        self.state().get(replaced).map(|successors| successors.keys().cloned().collect()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, HashMap<Place, HashMap<Place, Standing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
