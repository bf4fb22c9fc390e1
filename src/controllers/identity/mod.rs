//! The controller of `KratosIdentity`.

pub mod births;
pub mod cleanup;
pub mod controller;
pub mod finalizer;
pub mod inputs;
pub mod read_secrets;
pub mod reconcile;
pub mod record;
pub mod surroundings;
pub mod unreadable;
pub mod watching;
