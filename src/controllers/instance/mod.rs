//! The controller of `KratosInstance`.

pub mod background;
pub mod callers;
pub mod connect;
pub mod controller;
pub mod kept;
pub mod permit_queues;
pub mod protect;
pub mod reconcile;
pub mod record;
pub mod recount;
pub mod shown;
pub mod surroundings;
pub mod watching;
