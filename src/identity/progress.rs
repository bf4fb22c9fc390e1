//! What is said where a reconcile comes to nothing for now: what it waits for, and what has changed meanwhile. Nobody
//! need do anything. Pure.

use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};

fn progressing(message: impl Into<String>) -> ReadyCondition {
    ReadyCondition::new(Reason::Progressing, message)
}

/// The identity went during the reconcile.
pub fn deleted() -> ReadyCondition {
    progressing("the identity was deleted while it was looked at; it is looked at again")
}

/// It is another one by now, or has changed.
pub fn changed() -> ReadyCondition {
    progressing("the identity changed while it was looked at; it is looked at again")
}

/// Somebody wrote it at the same time.
pub fn written() -> ReadyCondition {
    progressing("the identity changed while it was being written; it is looked at again")
}

/// The same, a second time.
pub fn put_right() -> ReadyCondition {
    progressing("the identity was changed while it was put right; it is looked at again")
}

/// What was done to it was undone at once.
pub fn active_again() -> ReadyCondition {
    progressing("the identity was made active again by a request that was under way; it is deactivated again")
}

/// Another resource has taken it over first.
pub fn taken() -> ReadyCondition {
    progressing("the identity was taken while it was being taken over; it is looked at again")
}

/// Whose it is can't be seen any more.
pub fn wiped() -> ReadyCondition {
    progressing("the operator's mark was wiped a moment ago; it is looked at again")
}

/// Another resource takes the same identity over right now.
pub fn turn_to_adopt() -> ReadyCondition {
    progressing("waits for its turn to take the identity over")
}

/// Others have passwords hashed.
pub fn turn_to_hash() -> ReadyCondition {
    progressing("waits for its turn to have the password hashed, of which Kratos is asked for few at a time")
}

/// Who is there isn't known yet.
pub fn unlisted() -> ReadyCondition {
    progressing("waits for a complete listing of the instance, so that no identity is made twice or left behind")
}

/// Nor who it is that is replaced.
pub fn unlisted_former() -> ReadyCondition {
    progressing("waits for a complete listing of the instance, which shows whose identity is taken over")
}

/// The namespace's turn at what it was restored from is noted first.
pub fn unnoted() -> ReadyCondition {
    progressing("that the namespace takes its identities back couldn't be noted yet; it is tried again")
}

/// A create may be under way that would ask for what the identity gives up.
pub fn unsettled() -> ReadyCondition {
    progressing(
        "a create whose answer was lost may still be carried out; until that is settled the login identifiers stay as they are",
    )
}

/// A create took too long to be this operator's still.
pub fn late() -> ReadyCondition {
    progressing("the create wasn't answered in time; its identity is looked for, before it is tried again")
}

/// The resource changed hands, or went.
pub fn not_own() -> ReadyCondition {
    progressing("the resource is gone, or another operator's by now; it is looked at again")
}

/// The instance isn't ours to make anything in.
pub fn unheld() -> ReadyCondition {
    progressing("waits until the instance is held by its finalizer")
}

/// The namespace that was seen is gone.
pub fn another_namespace() -> ReadyCondition {
    progressing("the namespace was made anew meanwhile; it is looked at again")
}

/// Nothing goes that isn't counted.
pub fn uncounted() -> ReadyCondition {
    progressing("the deletion couldn't be counted yet; it is tried again")
}

/// Another resource comes first. `what`: what that one is at.
pub fn after(name: &str, what: &str) -> ReadyCondition {
    progressing(format!("KratosIdentity {} {what}", shown(name, NAME)))
}
