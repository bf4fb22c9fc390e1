//! All instances that were looked at by this process, for the kinds that refer to them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::handle::Handle;
use crate::api::Verdict;
use crate::place::Place;

/// How an instance stands for those who refer to it.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It may be called (whether it answers is the gate's to say).
    Usable(Arc<Handle>),
    /// It can't be called, and why.
    Unusable(Verdict),
}

/// Instances by place.
#[derive(Debug, Default)]
pub struct Registry {
    entries: RwLock<HashMap<Place, Entry>>,
}

impl Registry {
    /// `None`: nobody has looked at it yet, or it is gone.
    pub fn get(&self, place: &Place) -> Option<Entry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    /// The handle of an instance that may be called.
    pub fn handle(&self, place: &Place) -> Option<Arc<Handle>> {
        match self.get(place) {
            Some(Entry::Usable(handle)) => Some(handle),
            _ => None,
        }
    }

    /// Where the instances stand that were looked at.
    pub fn places(&self) -> Vec<Place> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub fn set(&self, place: Place, entry: Entry) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(place, entry);
    }

    /// Forgets an instance that is gone, and ends its listings.
    pub fn remove(&self, place: &Place) {
        let removed = self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(place);
        if let Some(Entry::Usable(handle)) = removed {
            handle.shared.stopped.cancel();
        }
    }
}
