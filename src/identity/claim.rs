//! Whose identity is it? Decides from the mark alone whether a resource may touch an identity. Pure.

use k8s_openapi::jiff::Timestamp;

use super::mark::{Found, Mark};
use crate::kratos::Identity;

/// The resource that asks, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The instance's `ownerName`.
    pub owner: String,
    /// This cluster's id.
    pub cluster: String,
    pub namespace: String,
    pub namespace_uid: String,
    pub name: String,
    pub uid: String,
    /// Clusters that are gone for good.
    pub reclaim_from: Vec<String>,
    /// Uids of namespaces that are gone for good, and whose identities this namespace may take back.
    pub reclaim_namespaces: Vec<String>,
    /// Whether the resource stands in the instance's own namespace.
    pub beside_instance: bool,
}

/// What the mark says to a claimant.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The mark names this very resource.
    Ours(Box<Mark>),
    /// The mark names an earlier resource of the same key: it may be taken back, if it is the same person's.
    Former(Box<Mark>),
    /// The mark names a resource of the same namespace that took the identity over from this one.
    Replaced {
        /// Its name.
        by: String,
    },
    /// The mark names another resource, or can't be read. Never touched.
    Foreign {
        /// The other resource's name, where it stands in the claimant's own namespace.
        neighbour: Option<String>,
    },
    /// The mark names a resource of the same namespace that was deleted: the identity is kept until then.
    Leaving {
        /// Its name.
        neighbour: String,
        until: Timestamp,
    },
    /// There is no mark.
    Unmarked,
    /// There is no mark, and none can be written, because `metadata_admin` is no object.
    Unmarkable,
}

impl Claimant {
    /// What an identity's mark says to this claimant.
    pub fn claim(&self, identity: &Identity) -> Claim {
        let mark = match Mark::read(&identity.metadata_admin) {
            Found::Mark(mark) => mark,
            Found::Nothing => return Claim::Unmarked,
            Found::NoObject => return Claim::Unmarkable,
            Found::Unreadable => return Claim::Foreign { neighbour: None },
        };
        if self.is_ours(&mark) {
            Claim::Ours(mark)
        } else if self.is_former(&mark) {
            Claim::Former(mark)
        } else if self.is_same_namespace(&mark) && mark.replaced.as_deref() == Some(&*self.uid) {
            Claim::Replaced { by: mark.name }
        } else if self.is_same_namespace(&mark)
            && let Some(until) = &mark.delete_after
        {
            Claim::Leaving { until: until.0, neighbour: mark.name }
        } else {
            let neighbour = self.is_same_namespace(&mark).then(|| mark.name.clone());
            Claim::Foreign { neighbour }
        }
    }

    /// Whether a mark names this very resource.
    pub fn is_ours(&self, mark: &Mark) -> bool {
        mark.owner == self.owner && mark.cluster == self.cluster && mark.uid == self.uid
    }

    /// Whether a mark names a resource that stood in this one's place: same namespace (not one re-created under
    /// its name, unless that is said to be restored) and same name, in this cluster or in one that is gone for good.
    fn is_former(&self, mark: &Mark) -> bool {
        mark.owner == self.owner
            && mark.namespace == self.namespace
            && mark.name == self.name
            && mark.uid != self.uid
            && self.inherits(mark)
    }

    /// Whether what a namespace of this name has left is this one's: its own, that of a cluster that is gone for good, or that of
    /// the namespace that it was restored from.
    fn inherits(&self, mark: &Mark) -> bool {
        self.is_same_namespace(mark) || self.is_reclaimed(&mark.cluster) || self.is_restored(mark)
    }

    /// Whether a mark names a namespace of this cluster that is gone, and that this one was restored from.
    pub fn is_restored(&self, mark: &Mark) -> bool {
        mark.cluster == self.cluster
            && mark.namespace == self.namespace
            && mark.namespace_uid != self.namespace_uid
            && self.reclaim_namespaces.contains(&mark.namespace_uid)
    }

    /// Whether a mark names the resource of this name that the claimant replaces: in its own namespace, or where that stood in a
    /// cluster that is gone. `uid`: of that resource, if it is there.
    pub fn may_replace(&self, mark: &Mark, name: &str, uid: Option<&str>) -> bool {
        mark.owner == self.owner
            && mark.namespace == self.namespace
            && mark.name == name
            && uid.is_none_or(|uid| mark.uid == uid)
            && self.inherits(mark)
    }

    /// Whether a cluster is gone for good. The own one can't be, whatever the list says.
    pub fn is_reclaimed(&self, cluster: &String) -> bool {
        *cluster != self.cluster && self.reclaim_from.contains(cluster)
    }

    /// Whether a mark names a resource of this very namespace.
    pub fn is_same_namespace(&self, mark: &Mark) -> bool {
        mark.owner == self.owner
            && mark.cluster == self.cluster
            && mark.namespace == self.namespace
            && mark.namespace_uid == self.namespace_uid
    }

    /// The mark that this claimant writes, keeping what `before` says of the identity itself. A grace period that ran
    /// is over: the resource is there.
    pub fn mark(&self, owned_paths: Vec<String>, before: Option<&Mark>) -> Mark {
        let before = before.cloned().unwrap_or_default();
        Mark {
            owner: self.owner.clone(),
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            namespace_uid: self.namespace_uid.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            owned_paths,
            delete_after: None,
            state_before: None,
            ..before
        }
    }
}
