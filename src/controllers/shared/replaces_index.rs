//! Which resources name which others in `spec.replaces`, by the watch. A hint: before acting on it, read the resource itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::identity::KratosIdentity;
use crate::base::namespaced_name::NamespacedName;

/// By the resource that is replaced: those that name it, and how each stood when that was last told.
#[derive(Debug, Default)]
pub struct ReplacesIndex(Mutex<HashMap<NamespacedName, HashMap<NamespacedName, Successor>>>);

/// What the one that is replaced is to learn of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Successor {
    generation: Option<i64>,
    has_identity: bool,
    is_deleting: bool,
}

impl ReplacesIndex {
    /// Takes in a resource as it is now. Returns the one that it replaces, where that is to learn of it.
    pub fn see(&self, resource: &KratosIdentity) -> Option<NamespacedName> {
        let key = NamespacedName::of(resource);
        let replaced = NamespacedName::new(key.namespace.as_str(), resource.spec.replaces.as_ref()?.name.as_str());
        let successor = Successor {
            generation: resource.metadata.generation,
            has_identity: resource.status.as_ref().is_some_and(|status| status.identity_id.is_some()),
            is_deleting: resource.metadata.deletion_timestamp.is_some(),
        };
        let before = self.state().entry(replaced.clone()).or_default().insert(key, successor);
        (before != Some(successor)).then_some(replaced)
    }

    /// A resource is gone. Returns the one that it replaced.
    pub fn forget(&self, resource: &KratosIdentity) -> Option<NamespacedName> {
        let key = NamespacedName::of(resource);
        let replaced = NamespacedName::new(key.namespace.as_str(), resource.spec.replaces.as_ref()?.name.as_str());
        let mut state = self.state();
        let replaces_index = state.get_mut(&replaced)?;
        replaces_index.remove(&key);
        if replaces_index.is_empty() {
            state.remove(&replaced);
        }
        Some(replaced)
    }

    /// Those that named a resource.
    pub fn of(&self, replaced: &NamespacedName) -> Vec<NamespacedName> {
        self.state().get(replaced).map(|replaces_index| replaces_index.keys().cloned().collect()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, HashMap<NamespacedName, HashMap<NamespacedName, Successor>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
