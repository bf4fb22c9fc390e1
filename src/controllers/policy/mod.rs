//! The controller of `KratosSessionPolicy`.

pub mod controller;
pub mod reconcile;
pub mod record;
pub mod surroundings;
pub mod unreadable;
pub mod urgency;
pub mod watching;
