//! The controller of `KratosInstance`.

pub mod background;
pub mod callers;
pub mod connect;
pub mod controller;
pub mod protect;
pub mod reconcile;
pub mod record;
pub mod recount;
pub mod surroundings;
pub mod turns;
pub mod watching;
