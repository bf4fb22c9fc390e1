//! All instances that this process has reconciled, for the kinds that refer to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use super::handle::{Handle, Shared};
use crate::api::{ReadyCondition, Reason};
use crate::base::flow::fence::Fence;
use crate::base::namespaced_name::NamespacedName;

/// How an instance stands for those who refer to it.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It may be called (whether it answers is the circuit breaker's to say).
    Usable(Arc<Handle>),
    /// It can't be called, and why.
    Unusable(ReadyCondition),
}

/// Instances by key.
#[derive(Debug, Default)]
pub struct Registry {
    entries: RwLock<HashMap<NamespacedName, Entry>>,
    /// Changes with each entry.
    changes: watch::Sender<()>,
    /// Of each that there is, whatever becomes of its settings.
    fences: Mutex<HashMap<NamespacedName, Fence>>,
}

impl Registry {
    /// `None`: it wasn't reconciled yet, or is gone.
    pub fn get(&self, key: &NamespacedName) -> Option<Entry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The handle of an instance that may be called.
    pub fn handle(&self, key: &NamespacedName) -> Option<Arc<Handle>> {
        match self.get(key) {
            Some(Entry::Usable(handle)) => Some(handle),
            _ => None,
        }
    }

    /// The same, as long as it is the one that `shared` belongs to.
    pub fn current(&self, key: &NamespacedName, shared: &Arc<Shared>) -> Option<Arc<Handle>> {
        let handle = self.handle(key)?;
        (Arc::ptr_eq(&handle.shared, shared) && !shared.stopped.is_cancelled()).then_some(handle)
    }

    /// Whether it is suspended: whoever waits for it is enqueued when that ends.
    pub fn is_suspended(&self, key: &NamespacedName) -> bool {
        matches!(self.get(key), Some(Entry::Unusable(condition)) if condition.reason == Reason::Suspended)
    }

    /// Cuts off all that sends to an instance, through whichever of its settings.
    pub fn fence(&self, key: &NamespacedName) -> Fence {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        fences.entry(key.clone()).or_default().clone()
    }

    /// A Secret has this version now; `None`: it is gone. Returns where the instances stand that have read another one.
    pub fn outdate(&self, secret: &NamespacedName, version: Option<&str>) -> Vec<NamespacedName> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let beside = entries.iter().filter(|(key, _)| key.namespace == secret.namespace);
        let has_another = |entry: &Entry| match entry {
            Entry::Usable(handle) => handle.shared.secrets.outdate(&secret.name, version),
            Entry::Unusable(_) => false,
        };
        beside.filter(|(_, entry)| has_another(entry)).map(|(key, _)| key.clone()).collect()
    }

    /// The names of the instances that were reconciled.
    pub fn keys(&self) -> Vec<NamespacedName> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub fn set(&self, key: NamespacedName, entry: Entry) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
        self.changes.send_replace(());
    }

    /// Returns once each of these was reconciled, and those that may be called were found to answer.
    pub async fn answering(&self, keys: &[NamespacedName]) {
        for key in keys {
            // The sender lives as long as self does.
            let _ = self.changes.subscribe().wait_for(|()| self.get(key).is_some()).await;
            if let Some(handle) = self.handle(key) {
                handle.shared.circuit_breaker.recovered().await;
            }
        }
    }

    /// Forgets all of an instance that is gone.
    pub fn forget(&self, key: &NamespacedName) {
        self.remove(key);
        self.fences.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Forgets how an instance stands, and ends its listings.
    pub fn remove(&self, key: &NamespacedName) {
        let removed = self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(Entry::Usable(handle)) = removed {
            handle.shared.stopped.cancel();
        }
    }
}
