//! All instances that were looked at by this process, for the kinds that refer to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::handle::{Handle, Shared};
use crate::api::{Reason, Verdict};
use crate::base::flow::cutoff::Cutoff;
use crate::base::place::Place;

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
    /// Of each that there is, whatever becomes of its settings.
    cutoffs: Mutex<HashMap<Place, Cutoff>>,
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

    /// The same, as long as it is the one that `shared` belongs to.
    pub fn current(&self, place: &Place, shared: &Arc<Shared>) -> Option<Arc<Handle>> {
        let handle = self.handle(place)?;
        (Arc::ptr_eq(&handle.shared, shared) && !shared.stopped.is_cancelled()).then_some(handle)
    }

    /// Whether it is suspended: whoever waits for it is asked for a look when that ends.
    pub fn is_suspended(&self, place: &Place) -> bool {
        matches!(self.get(place), Some(Entry::Unusable(verdict)) if verdict.reason == Reason::Suspended)
    }

    /// Cuts off all that sends to an instance, through whichever of its settings.
    pub fn cutoff(&self, place: &Place) -> Cutoff {
        let mut cutoffs = self.cutoffs.lock().unwrap_or_else(PoisonError::into_inner);
        cutoffs.entry(place.clone()).or_default().clone()
    }

    /// A Secret has this version now; `None`: it is gone. Returns where the instances stand that have read another one.
    pub fn outdate(&self, secret: &Place, version: Option<&str>) -> Vec<Place> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let beside = entries.iter().filter(|(place, _)| place.namespace == secret.namespace);
        let has_another = |entry: &Entry| match entry {
            Entry::Usable(handle) => handle.shared.secrets.outdate(&secret.name, version),
            Entry::Unusable(_) => false,
        };
        beside.filter(|(_, entry)| has_another(entry)).map(|(place, _)| place.clone()).collect()
    }

    /// Where the instances stand that were looked at.
    pub fn places(&self) -> Vec<Place> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub fn set(&self, place: Place, entry: Entry) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(place, entry);
    }

    /// Forgets all of an instance that is gone.
    pub fn forget(&self, place: &Place) {
        self.remove(place);
        self.cutoffs.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    /// Forgets how an instance stands, and ends its listings.
    pub fn remove(&self, place: &Place) {
        let removed = self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(place);
        if let Some(Entry::Usable(handle)) = removed {
            handle.shared.stopped.cancel();
        }
    }
}
