//! What was last known of each identity that is ours, as a digest of its content, so that a listing tells which ones
//! have changed without reading them one by one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::identity::json;
use crate::identity::watch::Watch;
use crate::kratos::Identity;
use crate::place::Place;

/// A digest of everything in an identity that a manifest may own.
pub fn digest(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&identity.schema_id, identity.state, &identity.external_id, &identity.organization_id).hash(&mut hasher);
    let verified = identity.verifiable_addresses.iter().filter(|address| address.verified);
    let mut verified: Vec<_> = verified.map(|address| &address.value).collect();
    verified.sort_unstable();
    verified.hash(&mut hasher);
    for part in [&identity.traits, &identity.metadata_public, &identity.metadata_admin] {
        json::digest(part, &mut hasher);
    }
    hasher.finish()
}

/// Identities by id.
#[derive(Debug, Default)]
pub struct Managed {
    by_id: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    place: Place,
    digest: u64,
    as_of: Instant,
    watch: Watch,
}

impl Managed {
    /// Notes how an identity stood when a reconcile ended.
    pub fn note(&self, place: &Place, identity: &Identity, as_of: Instant) {
        let mut by_id = self.by_id();
        let watch = by_id.remove(&identity.id).map(|known| known.watch).unwrap_or_default();
        let known = Known { place: place.clone(), digest: digest(identity), as_of, watch };
        by_id.insert(identity.id.clone(), known);
    }

    /// What a listing is to look for in the credentials of an identity that was noted.
    pub fn watch(&self, id: &str, watch: Watch) {
        if let Some(known) = self.by_id().get_mut(id) {
            known.watch = watch;
        }
    }

    /// Whether a listing is to show credentials, because of any identity.
    pub fn watches(&self) -> bool {
        self.by_id().values().any(|known| !known.watch.is_empty())
    }

    pub fn forget(&self, id: &str) {
        self.by_id().remove(id);
    }

    /// The resource whose identity a page shows changed. A page asked for before our last look says nothing.
    /// `shows_credentials`: whether the page was asked for with what is watched.
    pub fn changed(&self, identity: &Identity, requested_at: Instant, shows_credentials: bool) -> Option<Place> {
        let known = self.by_id().get(&identity.id).cloned()?;
        let is_off = shows_credentials && !known.watch.is_empty() && known.watch.is_off(identity);
        (requested_at > known.as_of && (is_off || digest(identity) != known.digest)).then_some(known.place)
    }

    /// The resources whose identity a complete listing, begun at `begun`, doesn't show any more.
    pub fn missing(&self, begun: Instant, is_listed: impl Fn(&str) -> bool) -> Vec<Place> {
        let by_id = self.by_id();
        let missing = by_id.iter().filter(|(id, known)| known.as_of < begun && !is_listed(id));
        missing.map(|(_, known)| known.place.clone()).collect()
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
