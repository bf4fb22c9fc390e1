//! Keeps objects as our last write returned them, until the watch has caught up. So a reconcile never works on an object that
//! is older than this process' own write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Resource;

use crate::base::resource_version::ResourceVersion;

/// Objects by uid, as our last write returned them.
#[derive(Debug)]
pub struct MutationCache<K>(Mutex<HashMap<String, Arc<K>>>);

impl<K> Default for MutationCache<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource> MutationCache<K> {
    /// The newer of what the watch shows and what we wrote.
    pub fn newest(&self, seen: &Arc<K>) -> Arc<K> {
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
        let Some(uid) = written.meta().uid.clone() else { return };
        let mut latest = self.lock();
        // Of two writes at the same time the later one may be noted first.
        if latest.get(&uid).is_none_or(|ours| version(&**ours) <= version(&written)) {
            latest.insert(uid, Arc::new(written));
        }
    }

    /// The watch has brought this object: what we wrote before it is dropped.
    pub fn observe(&self, seen: &K) {
        let uid = seen.meta().uid.as_deref().unwrap_or_default();
        let mut written = self.lock();
        if written.get(uid).is_some_and(|ours| version(&**ours) <= version(seen)) {
            written.remove(uid);
        }
    }

    /// Forgets objects that are gone.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_there(uid));
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object whose version can't be compared counts as oldest: then the watch is believed.
fn version<K: Resource>(object: &K) -> Option<ResourceVersion<K>> {
    ResourceVersion::of(object)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn object(uid: &str, version: &str) -> ConfigMap {
        let metadata = json!({"uid": uid, "resourceVersion": version, "managedFields": [{"manager": "us"}]});
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    /// The version of the object to work on, when the watch shows this one.
    fn version_of(latest: &MutationCache<ConfigMap>, uid: &str, seen: &str) -> String {
        latest.newest(&Arc::new(object(uid, seen))).metadata.resource_version.clone().unwrap()
    }

    #[test]
    fn the_watch_counts_until_something_was_written_and_again_once_it_has_caught_up() {
        let latest = MutationCache::default();
        assert_eq!(version_of(&latest, "ada", "9"), "9");
        latest.note(object("ada", "10"));
        assert_eq!(version_of(&latest, "ada", "9"), "10", "as numbers, not as texts");
        assert_eq!(version_of(&latest, "grace", "9"), "9", "another object");
        assert_eq!(version_of(&latest, "ada", "11"), "11");
        assert_eq!(version_of(&latest, "ada", "9"), "9", "what was written is forgotten by then");
    }

    #[test]
    fn what_is_gone_or_has_no_readable_version_is_left_to_the_watch() {
        let latest = MutationCache::default();
        latest.note(object("ada", "10"));
        latest.forget("ada");
        assert_eq!(version_of(&latest, "ada", "9"), "9");
        latest.note(object("ada", "opaque"));
        assert_eq!(version_of(&latest, "ada", "9"), "9");
    }

    #[test]
    fn nobody_needs_the_field_managers() {
        let latest = MutationCache::default();
        latest.note(object("ada", "10"));
        assert_eq!(latest.newest(&Arc::new(object("ada", "9"))).metadata.managed_fields, None);
    }
}
