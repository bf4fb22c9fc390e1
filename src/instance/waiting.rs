//! Who is to be reconciled again when something happens.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::base::namespaced_name::NamespacedName;

/// A set of resources that must be reconciled again when something happens.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<HashSet<NamespacedName>>);

impl Waiting {
    pub fn add(&self, key: &NamespacedName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
    }

    pub fn remove(&self, key: &NamespacedName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub fn take(&self) -> HashSet<NamespacedName> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
