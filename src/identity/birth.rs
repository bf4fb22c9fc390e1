//! Which resources were born to this process: their creation came after it began to lead, so that no other process can have
//! asked Kratos for their identity. Pure.
//!
//! Where the cluster's admission policy gives a resource its finalizer (`admission_policy.rs`), nobody's guarded write of the
//! finalizer shows that no other process is at work on it. What shows it instead:
//!
//! 1. A process asks Kratos for an identity only while it leads, and no two lead the same resources at the same time. Whoever
//!    led before has sent everything that it will ever send.
//! 2. After this process has begun to lead, it reads a consistent list. Its version, `since`, is that of the whole kind at a
//!    moment of the reading, so at a moment at which only this process leads.
//! 3. Versions of one kind grow with every write. A resource whose creation has a version above `since` was created after that
//!    moment. Nobody who led before can have known it, let alone asked for its identity: its uid is new.
//! 4. An object carries the version of its last write, not that of its creation. Both are the same in the event of its creation.
//!    That event is told by this: a watch without a gap brings it, and the store, which that watch fills, doesn't have it. A list
//!    (the first one, or one after the watch broke) proves nothing, nor does a watch that may have lost an event since its list, since it may show a resource that was created and
//!    written again meanwhile; nor does what the store had before, as a standby's. An object of a
//!    later generation, or whose status somebody has written, isn't in its first version whatever brings it.
//!    Where each namespace has a watch of its own, each has its own gaps.
//! 5. Where several operators share the resources by their labels, one that comes from another of them is known to the
//!    store, which all of them fill with everything. Its creation counts only for whom it showed the labels of; and each create
//!    is preceded by a live read all the same (`sharding.rs`), since labels may have changed since the event.
//!
//! Whether the policy or a user wrote the finalizer can't be told, and makes no difference: what counts is that nobody else can
//! have acted on the resource. One that is created without it isn't of interest here: the guarded write is still to come.
//!
//! Everything that is missing, or can't be compared, makes a resource one that wasn't born to this process. It waits for
//! a listing then (`absence.rs`).

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use kube::Resource;

use crate::base::resource_version::ResourceVersion;

/// How an object came to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A list shows it, or a watch that may have lost an event.
    Listed,
    /// A watch without a gap since its list brings it.
    Watched {
        /// Whether the store that the watch fills has an object in its place already.
        is_stored: bool,
        /// Whether somebody has written its status.
        is_reported: bool,
    },
}

/// Whether an object was created after everybody who led before had ended. `since`: the version of the list that was read
/// after this process had begun to lead.
pub fn is_born<K: Resource>(object: &K, arrival: Arrival, since: Option<ResourceVersion<K>>) -> bool {
    let is_creation = arrival == Arrival::Watched { is_stored: false, is_reported: false };
    let is_creation = is_creation && object.meta().generation == Some(1);
    match (ResourceVersion::of(object), since) {
        (Some(created), Some(since)) => is_creation && created > since,
        _ => false,
    }
}

/// Since which version all that is created is this process's, and whether the watch shows all of it.
#[derive(Debug)]
pub struct Leading<K> {
    since: OnceLock<ResourceVersion<K>>,
    /// The namespaces whose watch has shown everything since its list; `None` in it: the one watch of all.
    whole: Mutex<BTreeSet<Option<String>>>,
}

impl<K> Default for Leading<K> {
    fn default() -> Self {
        Self { since: OnceLock::new(), whole: Mutex::default() }
    }
}

impl<K> Leading<K> {
    /// Notes the version of a list that was read after this process had begun to lead. The first one counts.
    pub fn begin(&self, version: ResourceVersion<K>) {
        let _ = self.since.set(version);
    }

    /// Notes that a list is complete, which the watch goes on from; or that the watch may have lost an event. `namespace`: whose
    /// watch that is; `None`: there is one for all.
    pub fn watch_is_whole(&self, namespace: Option<&str>, is_whole: bool) {
        let namespace = namespace.map(str::to_owned);
        if is_whole {
            self.whole().insert(namespace);
        } else {
            self.whole().remove(&namespace);
        }
    }

    /// How an object came to be seen that the watch brings.
    pub fn arrival(&self, namespace: &str, is_stored: bool, is_reported: bool) -> Arrival {
        let whole = self.whole();
        let is_whole = whole.contains(&None) || whole.contains(&Some(namespace.to_owned()));
        if is_whole { Arrival::Watched { is_stored, is_reported } } else { Arrival::Listed }
    }

    /// `None`: it doesn't lead yet, or it isn't known.
    pub fn since(&self) -> Option<ResourceVersion<K>> {
        self.since.get().copied()
    }

    fn whole(&self) -> MutexGuard<'_, BTreeSet<Option<String>>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
