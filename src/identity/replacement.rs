//! Which resource is about to take over the identity of another one of its namespace (`spec.replaces`). Pure.

use kube::ResourceExt;

use super::reference;
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::base::namespaced_name::NamespacedName;

/// Of several the one that was there first.
pub fn first(candidates: impl Iterator<Item = KratosIdentity>) -> Option<KratosIdentity> {
    candidates.min_by_key(|candidate| {
        (candidate.metadata.creation_timestamp.as_ref().map(|at| at.0), candidate.metadata.uid.clone())
    })
}

/// Whether a resource is about to take over the identity of the one called `name`: it names it, is carried out, and has no
/// identity of its own. `replaced`: that one, if it is there; both must refer to the same instance. `default`: the one of those that name none.
pub fn is_pending(
    candidate: &KratosIdentity,
    name: &str,
    replaced: Option<&KratosIdentity>,
    default: Option<&NamespacedName>,
) -> bool {
    let is_same_instance = replaced
        .is_none_or(|replaced| reference::instance_of(candidate, default) == reference::instance_of(replaced, default));
    candidate.spec.replaces.as_ref().is_some_and(|replaces| replaces.name == name)
        && candidate.name_any() != name
        && candidate.metadata.deletion_timestamp.is_none()
        && candidate.spec.mode.unwrap_or_default() == Mode::Enforce
        && !candidate.spec.suspend
        && !has_identity(candidate)
        && is_same_instance
}

/// Whether a resource has an identity, as far as its status says.
pub fn has_identity(resource: &KratosIdentity) -> bool {
    resource.status.as_ref().is_some_and(|status| status.identity_id.is_some())
}
