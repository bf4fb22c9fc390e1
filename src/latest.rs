//! What our own last write made of an object, until the watch has caught up: a reconcile never works on an object
//! that is older than what this process itself wrote.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Resource;

/// Objects by uid, as our last write returned them.
#[derive(Debug)]
pub struct Latest<K>(Mutex<HashMap<String, Arc<K>>>);

impl<K> Default for Latest<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource> Latest<K> {
    /// The newer one of what the watch shows and what we wrote.
    pub fn of(&self, seen: &Arc<K>) -> Arc<K> {
        let Some(uid) = seen.meta().uid.as_deref() else { return Arc::clone(seen) };
        let mut written = self.lock();
        match written.get(uid) {
            Some(ours) if version(&**ours) > version(&**seen) => Arc::clone(ours),
            Some(_) => {
                written.remove(uid);
                Arc::clone(seen)
            }
            None => Arc::clone(seen),
        }
    }

    /// Notes what a write returned.
    pub fn note(&self, mut written: K) {
        written.meta_mut().managed_fields = None;
        if let Some(uid) = written.meta().uid.clone() {
            self.lock().insert(uid, Arc::new(written));
        }
    }

    /// The watch has brought an object: what we wrote before is of no use any more.
    pub fn caught_up(&self, seen: &K) {
        let uid = seen.meta().uid.as_deref().unwrap_or_default();
        let mut written = self.lock();
        if written.get(uid).is_some_and(|ours| version(&**ours) <= version(seen)) {
            written.remove(uid);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resource versions of one resource can be compared as numbers (Kubernetes API conventions, 1.35 and later; true of
/// every etcd-backed server before). One that is no number counts as oldest: then the watch is believed.
fn version(object: &impl Resource) -> u128 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}
