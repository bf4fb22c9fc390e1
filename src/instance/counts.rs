//! How many identities there are of which sort, by their marks. Pure but for what it remembers.
//!
//! Nobody is accused by a page: an identity whose resource isn't there was perhaps deleted while pages were read, so that
//! it counts as orphaned once a later read has shown it again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::api::instance::{ForeignCluster, FormerNamespace, LastResync, PendingDeletions};
use crate::identity::mark::{Found, Mark};

/// How many other clusters, and former namespaces, a status names, and how many are told apart while counting.
const SHOWN: usize = 32;
const COUNTED: usize = 1024;
/// A longer id is none of a cluster or a namespace.
const LONGEST_ID: usize = 64;
const LONGEST_NAMESPACE: usize = 63;

/// What an identity is to this operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It carries no mark of our owner name.
    Unmanaged,
    /// Its mark names a resource of this cluster that is there.
    Managed,
    /// Its mark names a resource of this cluster that isn't there.
    Orphaned,
    /// The same, and its grace period runs.
    Leaving,
    /// Its mark names a resource of a namespace that this operator doesn't work in: nobody here can tell whether it is there.
    Elsewhere,
    /// Its mark is that of another cluster.
    Foreign,
}

/// What an identity is, by its mark. `is_there`: whether the very resource that a mark names exists.
pub fn ownership(found: &Found, owner: &str, cluster: &str, is_there: impl FnOnce(&Mark) -> bool) -> Ownership {
    match found {
        Found::Mark(mark) if mark.owner != owner => Ownership::Unmanaged,
        Found::Mark(mark) if mark.cluster != cluster => Ownership::Foreign,
        Found::Mark(mark) if mark.delete_after.is_some() => Ownership::Leaving,
        Found::Mark(mark) if is_there(mark) => Ownership::Managed,
        Found::Mark(_) => Ownership::Orphaned,
        Found::Nothing | Found::Unreadable | Found::NoObject => Ownership::Unmanaged,
    }
}

/// Identities, counted page by page.
#[derive(Debug, Default)]
pub struct Tally {
    unmanaged: u64,
    orphaned: HashSet<Uuid>,
    foreign: BTreeMap<String, u64>,
    /// By name and uid.
    former: BTreeMap<(String, String), u64>,
}

impl Tally {
    pub fn add(&mut self, ownership: Ownership, found: &Found, id: &str) {
        match (ownership, found) {
            (Ownership::Unmanaged, _) => self.unmanaged += 1,
            (Ownership::Orphaned, _) => self.orphaned.extend(Uuid::parse_str(id)),
            (Ownership::Foreign, Found::Mark(mark)) => self.add_foreign(&mark.cluster),
            (Ownership::Managed | Ownership::Foreign | Ownership::Leaving | Ownership::Elsewhere, _) => {}
        }
    }

    fn add_foreign(&mut self, cluster: &str) {
        if let Some(count) = self.foreign.get_mut(cluster) {
            *count += 1;
        } else if self.foreign.len() < COUNTED && (1..=LONGEST_ID).contains(&cluster.len()) {
            self.foreign.insert(cluster.to_owned(), 1);
        }
    }

    /// An identity whose mark names a namespace of this cluster that is gone, or was made anew.
    pub fn add_former(&mut self, mark: &Mark) {
        let is_one = (1..=LONGEST_ID).contains(&mark.namespace_uid.len()) && mark.namespace.len() <= LONGEST_NAMESPACE;
        let key = (mark.namespace.clone(), mark.namespace_uid.clone());
        if let Some(count) = self.former.get_mut(&key) {
            *count += 1;
        } else if self.former.len() < COUNTED && is_one {
            self.former.insert(key, 1);
        }
    }

    /// Those that seem orphaned and weren't before, taken out: to be read once more, and added again.
    pub fn take_suspects(&mut self, before: &HashSet<Uuid>) -> Vec<Uuid> {
        self.orphaned.extract_if(|id| !before.contains(id)).collect()
    }

    /// The clusters with the most identities.
    fn foreign_clusters(&self) -> Vec<ForeignCluster> {
        let clusters = self.foreign.iter().map(|(id, count)| ForeignCluster { id: id.clone(), identities: *count });
        let mut clusters: Vec<_> = clusters.collect();
        clusters.sort_by_key(|cluster| Reverse(cluster.identities));
        clusters.truncate(SHOWN);
        clusters.sort_by(|one, other| one.id.cmp(&other.id));
        clusters
    }

    /// The former namespaces with the most identities.
    fn former_namespaces(&self) -> Vec<FormerNamespace> {
        let former = self.former.iter().map(|((name, uid), count)| FormerNamespace {
            name: name.clone(),
            uid: uid.clone(),
            identities: *count,
        });
        let mut former: Vec<_> = former.collect();
        former.sort_by_key(|namespace| Reverse(namespace.identities));
        former.truncate(SHOWN);
        former.sort_by(|one, other| (&one.name, &one.uid).cmp(&(&other.name, &other.uid)));
        former
    }
}

/// What the last resync came to, as a status says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resynced {
    pub drifted: u64,
    pub orphaned: u64,
    pub unmanaged: u64,
    pub foreign_clusters: Vec<ForeignCluster>,
    pub former_namespaces: Vec<FormerNamespace>,
    pub last: LastResync,
}

/// The counts of an instance.
#[derive(Debug, Default)]
pub struct Counts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    resynced: Option<Resynced>,
    orphaned: HashSet<Uuid>,
    /// How often drift was corrected since the last resync.
    corrected: u64,
    /// How many resources had an identity, and how many grace periods ran, when they were last counted.
    known: Option<(u64, u64)>,
}

/// What is known of an instance's identities at any time, by the watch and by marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Resources that have an identity.
    pub managed: u64,
    pub pending: PendingDeletions,
    /// Whether both numbers were the same some seconds ago: nobody writes each step of a crowd.
    pub is_settled: bool,
}

impl Counts {
    /// Somebody's drift is being corrected.
    pub fn corrected(&self) {
        self.state().corrected += 1;
    }

    /// Those that the last complete listing has shown orphaned.
    pub fn orphaned(&self) -> HashSet<Uuid> {
        self.state().orphaned.clone()
    }

    /// A complete listing ended. `drifted`: how many differ and aren't corrected.
    pub fn listed(&self, tally: Tally, drifted: u64, last: LastResync) {
        let (foreign_clusters, former_namespaces) = (tally.foreign_clusters(), tally.former_namespaces());
        let Tally { unmanaged, orphaned, foreign: _, former: _ } = tally;
        let mut state = self.state();
        let drifted = drifted + mem::take(&mut state.corrected);
        let count = orphaned.len() as u64;
        state.orphaned = orphaned;
        state.resynced =
            Some(Resynced { drifted, orphaned: count, unmanaged, foreign_clusters, former_namespaces, last });
    }

    /// What is ours was read by ids, which says nothing of others.
    pub fn read_by_ids(&self, drifted: u64, last: LastResync) {
        let mut state = self.state();
        let drifted = drifted + mem::take(&mut state.corrected);
        if let Some(resynced) = &mut state.resynced {
            resynced.drifted = drifted;
            resynced.last = last;
        }
    }

    /// So many resources have an identity now, and so many grace periods run. Returns whether it were as many the last time.
    pub fn looked_at(&self, managed: u64, pending: u64) -> bool {
        self.state().known.replace((managed, pending)) == Some((managed, pending))
    }

    /// Whether these are the numbers of the last count.
    pub fn is_settled(&self, managed: u64, pending: u64) -> bool {
        self.state().known == Some((managed, pending))
    }

    /// What the last resync came to.
    pub fn resynced(&self) -> Option<Resynced> {
        self.state().resynced.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
