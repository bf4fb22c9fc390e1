//! The controller of `KratosInstance`.

pub mod background;
pub mod callers;
pub mod connect;
pub mod protect;
pub mod reclaim;
pub mod reconcile;
pub mod record;
pub mod recount;
pub mod references;
pub mod replacements;
pub mod replacing;
pub mod surroundings;
pub mod turns;
