//! The words for an identity that a resource may not change. Pure. They reveal nothing about other identities.

use crate::api::words::{NAME, shown};
use crate::api::{GROUP, ReadyCondition, Reason};

/// The condition for an identity that no mark can be written into.
pub fn unmarkable() -> ReadyCondition {
    ReadyCondition::new(
        Reason::AdoptionRefused,
        format!(
            "metadata_admin of the identity is no object, so that the operator's mark ({GROUP}) doesn't fit in; set it to \
             null or to an object in Kratos"
        ),
    )
}

/// The condition for a resource whose identity another one of its namespace takes, or took.
pub fn replaced(by: &str) -> ReadyCondition {
    let by = shown(by, NAME);
    let message = format!("KratosIdentity {by} takes the identity over (its spec.replaces); delete this resource");
    ReadyCondition::new(Reason::Replaced, message)
}

/// The condition for an identity that an earlier resource of this name left, where nobody can tell whose it is.
pub fn person_unknown() -> ReadyCondition {
    ReadyCondition::new(
        Reason::IdentityConflict,
        "an earlier resource of this name left an identity, marked under another key: nobody can tell whose it is; restore \
         the Secret kratos-operator-key, or name the identity by spec.adoption.identityID",
    )
}

/// The condition for a value that Kratos holds for another identity already. It doesn't say which: whatever the
/// manifest has that may be meant is named.
pub fn taken(has_external_id: bool) -> ReadyCondition {
    if !has_external_id {
        return conflict(None);
    }
    ReadyCondition::new(Reason::IdentityConflict, anothers("spec.externalID"))
}

/// The one message about identities of others; it names a resource only within the same namespace.
pub fn conflict(neighbour: Option<&str>) -> ReadyCondition {
    let message = match neighbour {
        Some(name) => format!(
            "the identity, or an identifier or address of it, belongs to the KratosIdentity {} in this namespace; give each \
             identity one resource",
            shown(name, NAME)
        ),
        None => anothers("the identity"),
    };
    ReadyCondition::new(Reason::IdentityConflict, message)
}

/// What is said where `what` may be meant beside identifiers and addresses.
fn anothers(what: &str) -> String {
    format!(
        "{what}, an identifier or an address belongs to an identity that this resource doesn't manage; use another or have \
         it released (after a restore the administrators set spec.reclaimNamespaces)"
    )
}
