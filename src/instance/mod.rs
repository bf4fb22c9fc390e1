//! A Kratos as it stands now: its settings, its client, whether it answers, and what is remembered of it. What belongs to one
//! instance lives here, and ends with it.
//!
//! `handle` is what others get to see, through the `registry`. `consent`, `counts`, `headers`, `deletion_effect`,
//! `protection`, `release_value`, `reservations`, `rules`, `settings` and `status` are pure.

#![doc = include_str!("README.md")]

pub mod calls;
pub mod circuit_breaker;
pub mod conflicts;
pub mod connect;
pub mod consent;
pub mod counts;
pub mod credentials;
pub mod deletion_effect;
pub mod grace_periods;
pub mod handle;
pub mod headers;
pub mod kept;
pub mod listing;
pub mod managed;
pub mod protection;
pub mod protector;
pub mod readiness;
pub mod registry;
pub mod release_value;
pub mod reservations;
pub mod rules;
pub mod schemas;
pub mod settings;
pub mod status;
pub mod waiting;

pub use handle::{Handle, RunLimits};
pub use registry::{Entry, Registry};

#[cfg(test)]
mod tests;
