//! What an identity that was found means for a resource. Pure.

use k8s_openapi::jiff::Timestamp;

use super::step::Present;
use crate::api::{ReadyCondition, Reason};
use crate::identity::claim::{Claim, Claimant};
use crate::identity::conflict::{conflict, replaced, unmarkable};
use crate::identity::mark::Mark;
use crate::kratos::Identity;

/// What an identity that was found means for a resource: its own, one that it may not touch, or none.
///
/// `restorable`: a mark that is missing may be written again, because this process saw the identity marked as ours, or
/// because the status of a resource beside the instance names it. `is_same_person`: see
/// [`crate::identity::person`].
pub fn judge(
    claimant: &Claimant,
    identity: Identity,
    restorable: bool,
    is_same_person: bool,
) -> Result<Option<Present>, ReadyCondition> {
    let present = |identity, mark: Option<Mark>| Ok(Some(Present::new(identity, mark)));
    match claimant.claim(&identity) {
        Claim::Ours(mark) => present(identity, Some(*mark)),
        Claim::Former(mark) if is_same_person => present(identity, Some(*mark)),
        // Somebody else had this name; the new person gets an identity of their own.
        Claim::Former(_) => Ok(None),
        Claim::Unmarked if restorable => present(identity, None),
        Claim::Unmarkable if restorable => Err(unmarkable()),
        Claim::Replaced { by } => Err(replaced(&by)),
        Claim::Leaving { neighbour, until } => Err(leaving(&neighbour, until)),
        Claim::Foreign { neighbour } => Err(conflict(neighbour.as_deref())),
        // Its administrators own whatever is there, and may know it.
        Claim::Unmarked if claimant.beside_instance => Err(unmanaged()),
        Claim::Unmarked | Claim::Unmarkable => Err(conflict(None)),
    }
}

/// The condition for an identity of a resource of the same namespace that was deleted, while its grace period runs.
fn leaving(neighbour: &str, until: Timestamp) -> ReadyCondition {
    let message = format!(
        "the identity, or an identifier or address of it, is KratosIdentity {neighbour}'s, which was deleted; its grace \
         period lasts until {until}: apply {neighbour} again, or wait until then"
    );
    ReadyCondition::new(Reason::IdentityConflict, message)
}

/// The condition for an identity that nobody manages, beside the instance.
fn unmanaged() -> ReadyCondition {
    let message = "Kratos has this identity, or its identifier or address, already, and nobody manages it; take it over with \
                   spec.adoption, or use another identifier";
    ReadyCondition::new(Reason::IdentityConflict, message)
}
