//! The controller of `KratosSessionPolicy`.

pub mod controller;
pub mod priority;
pub mod reconcile;
pub mod record;
pub mod surroundings;
pub mod unreadable;
pub mod watching;
