//! A digest of each of our identities as last known, so a listing shows which have changed without reading them one by one.
//! About 85 bytes each: 56, and the free space of a hash table.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use crate::base::namespaced_name::{KeyHash, NamespacedName};
use crate::identity::credential_watch::CredentialWatch;
use crate::identity::json;
use crate::kratos::Identity;

/// A digest of everything in an identity that a manifest may own.
pub fn digest(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&identity.schema_id, identity.state, &identity.external_id, &identity.organization_id).hash(&mut hasher);
    let verified = identity.verifiable_addresses.iter().filter(|address| address.verified);
    let mut verified: Vec<_> = verified.map(|address| &address.value).collect();
    verified.sort_unstable();
    verified.hash(&mut hasher);
    for part in [&identity.traits, &identity.metadata_public, &identity.metadata_admin] {
        match part.read() {
            Ok(value) => json::digest(value, &mut hasher),
            Err(opaque) => opaque.digest().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Identities by id.
#[derive(Debug, Default)]
pub struct Managed {
    by_id: Mutex<HashMap<Uuid, Known>>,
}

#[derive(Debug)]
struct Known {
    key: KeyHash,
    digest: u64,
    as_of: Instant,
    /// Most have none.
    watch: Option<Box<CredentialWatch>>,
}

// There may be a million of them.
const _: () = assert!(size_of::<(Uuid, Known)>() <= 56);

impl Managed {
    /// Notes how an identity stood when a reconcile ended.
    pub fn note(&self, key: &NamespacedName, identity: &Identity, as_of: Instant) {
        // Kratos has no other ids.
        let Ok(id) = Uuid::parse_str(&identity.id) else { return };
        let mut by_id = self.by_id();
        let watch = by_id.remove(&id).and_then(|known| known.watch);
        by_id.insert(id, Known { key: key.key_hash(), digest: digest(identity), as_of, watch });
    }

    /// What a listing compares in the credentials of an identity that was noted.
    pub fn watch(&self, id: &str, watch: CredentialWatch) {
        let Ok(id) = Uuid::parse_str(id) else { return };
        if let Some(known) = self.by_id().get_mut(&id) {
            known.watch = (!watch.is_empty()).then(|| Box::new(watch));
        }
    }

    /// Whether a listing is to show credentials, because of any identity.
    pub fn watches(&self) -> bool {
        self.by_id().values().any(|known| known.watch.is_some())
    }

    pub fn forget(&self, id: &str) {
        if let Ok(id) = Uuid::parse_str(id) {
            self.by_id().remove(&id);
        }
    }

    /// Forgets the identities of resources that aren't there any more.
    pub fn retain(&self, is_there: impl Fn(KeyHash) -> bool) {
        self.by_id().retain(|_, known| is_there(known.key));
    }

    /// The ids of all that are known.
    pub fn ids(&self) -> Vec<Uuid> {
        self.by_id().keys().copied().collect()
    }

    /// Whether an identity, just read, isn't as it was left: somebody changed it behind our back.
    pub fn differs(&self, identity: &Identity) -> bool {
        let Ok(id) = Uuid::parse_str(&identity.id) else { return false };
        self.by_id().get(&id).is_some_and(|known| digest(identity) != known.digest)
    }

    /// The resource whose identity a page shows changed. A page asked for before our last reconcile says nothing.
    /// `shows_credentials`: whether the page was asked for with what is watched.
    pub fn changed(&self, identity: &Identity, requested_at: Instant, shows_credentials: bool) -> Option<KeyHash> {
        let by_id = self.by_id();
        let known = by_id.get(&Uuid::parse_str(&identity.id).ok()?)?;
        let is_off = shows_credentials && known.watch.as_ref().is_some_and(|watch| watch.is_off(identity));
        (requested_at > known.as_of && (is_off || digest(identity) != known.digest)).then_some(known.key)
    }

    /// The resources whose identity a read that began at `begun`, and was to show it, doesn't show any more.
    pub fn missing(&self, begun: Instant, is_shown: impl Fn(&Uuid) -> bool) -> Vec<KeyHash> {
        let by_id = self.by_id();
        let missing = by_id.iter().filter(|(id, known)| known.as_of < begun && !is_shown(id));
        missing.map(|(_, known)| known.key).collect()
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<Uuid, Known>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
