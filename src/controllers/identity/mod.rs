//! The controller of `KratosIdentity`.

pub mod read_secrets;
pub mod reconcile;
pub mod record;
pub mod successors;
pub mod unreadable;
pub mod urgency;
