//! What an identity that was found means for a resource. Pure.

use k8s_openapi::jiff::Timestamp;

use super::Present;
use crate::api::words::{NAME, shown};
use crate::api::{GROUP, Reason, Verdict};
use crate::identity::claim::{Claim, Claimant};
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
) -> Result<Option<Present>, Verdict> {
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

/// The verdict on an identity that no mark can be written into.
pub(super) fn unmarkable() -> Verdict {
    Verdict::new(
        Reason::AdoptionRefused,
        format!(
            "metadata_admin of the identity is no object, so that the operator's mark ({GROUP}) doesn't fit in; set it to \
             null or to an object in Kratos"
        ),
    )
}

/// The verdict on a resource whose identity another one of its namespace takes, or took.
pub fn replaced(by: &str) -> Verdict {
    let by = shown(by, NAME);
    let message = format!("KratosIdentity {by} takes the identity over (its spec.replaces); delete this resource");
    Verdict::new(Reason::Replaced, message)
}

/// The verdict on an identity that an earlier resource of this name left, where nobody can tell whose it is.
pub fn untold() -> Verdict {
    Verdict::new(
        Reason::IdentityConflict,
        "an earlier resource of this name left an identity, marked under another key: nobody can tell whose it is; restore \
         the Secret kratos-operator-key, or name the identity by spec.adoption.identityID",
    )
}

/// The verdict on a value that Kratos holds for another identity already. It doesn't say which: whatever the manifest has that
/// may be meant is named.
pub fn taken(has_external_id: bool) -> Verdict {
    if !has_external_id {
        return conflict(None);
    }
    Verdict::new(Reason::IdentityConflict, anothers("spec.externalID"))
}

/// The verdict on an identity of a resource of the same namespace that was deleted, while its grace period runs.
fn leaving(neighbour: &str, until: Timestamp) -> Verdict {
    let message = format!(
        "the identity, or an identifier or address of it, is KratosIdentity {neighbour}'s, which was deleted; its grace \
         period lasts until {until}: apply {neighbour} again, or wait until then"
    );
    Verdict::new(Reason::IdentityConflict, message)
}

/// The verdict on an identity that nobody manages, beside the instance.
fn unmanaged() -> Verdict {
    let message = "Kratos has this identity, or its identifier or address, already, and nobody manages it; take it over with \
                   spec.adoption, or use another identifier";
    Verdict::new(Reason::IdentityConflict, message)
}

/// The one message about identities of others; it names a resource only within the same namespace.
pub fn conflict(neighbour: Option<&str>) -> Verdict {
    let message = match neighbour {
        Some(name) => format!(
            "the identity, or an identifier or address of it, belongs to the KratosIdentity {} in this namespace; give each \
             identity one resource",
            shown(name, NAME)
        ),
        None => anothers("the identity"),
    };
    Verdict::new(Reason::IdentityConflict, message)
}

/// What is said where `what` may be meant beside identifiers and addresses.
fn anothers(what: &str) -> String {
    format!(
        "{what}, an identifier or an address belongs to an identity that this resource doesn't manage; use another or have \
         it released (after a restore the administrators set spec.reclaimNamespaces)"
    )
}
