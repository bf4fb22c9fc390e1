//! The controller of `KratosIdentity`.

pub mod births;
pub mod controller;
pub mod hold;
pub mod inputs;
pub mod read_secrets;
pub mod reconcile;
pub mod record;
pub mod release;
pub mod surroundings;
pub mod unreadable;
pub mod watching;
