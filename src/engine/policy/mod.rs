//! The engine of `KratosSessionPolicy`: sessions are read, judged, and ended or extended.

pub mod affected;
pub mod enforce;
pub mod inputs;
pub mod observe;
pub mod reach;
pub mod reconcile;
pub mod revoke_all;
pub mod run_permits;
pub mod source;
pub mod surroundings;
