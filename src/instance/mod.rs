//! `KratosInstance`: where a Kratos is, whether it answers, and who may use it.
//!
//! `settings`, `headers`, `consent`, `counts`, `leaving`, `protection`, `release_value`, `reservations`, `rules` and `status` are pure. `handle` is what other kinds get to see,
//! through the `registry`.

mod background;
pub mod by_ids;
pub mod connect;
pub mod consent;
pub mod counts;
pub mod gate;
pub mod handle;
pub mod headers;
pub mod kept;
pub mod leaving;
pub mod listing;
pub mod managed;
pub mod obstacles;
pub mod pending;
pub mod protect;
pub mod protection;
pub mod protector;
pub mod reclaim;
pub mod reconcile;
mod record;
mod recount;
pub mod references;
pub mod registry;
pub mod release_value;
pub mod replacements;
pub mod replacing;
pub mod reservations;
pub mod rules;
pub mod scan;
pub mod schemas;
pub mod settings;
mod shown;
pub mod standing;
pub mod status;

pub use handle::{Handle, SessionTurns};
pub use registry::{Entry, Registry};

#[cfg(test)]
mod tests;
