//! A lock for each identity that is being adopted: one resource at a time.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Identities that are being taken over by this process right now, by id. Kratos has no compare-and-swap: looking who
/// owns one and marking it are two requests, which nobody of this process comes between.
#[derive(Debug, Default)]
pub struct AdoptionLocks(Mutex<HashSet<String>>);

/// The sole right to take over an identity; ends when dropped.
#[derive(Debug)]
pub struct AdoptionLock<'a> {
    locks: &'a AdoptionLocks,
    id: String,
}

impl AdoptionLocks {
    /// The turn at an identity; `None` while it is another resource's.
    pub fn try_lock(&self, id: &str) -> Option<AdoptionLock<'_>> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        is_free.then(|| AdoptionLock { locks: self, id: id.to_owned() })
    }
}

impl Drop for AdoptionLock<'_> {
    fn drop(&mut self) {
        self.locks.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
