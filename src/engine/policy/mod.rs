//! The engine of `KratosSessionPolicy`: sessions are read, judged, and ended or extended.

pub mod enforce;
pub mod inputs;
pub mod look;
pub mod observe;
pub mod reach;
pub mod revoke_all;
pub mod source;
pub mod surroundings;
pub mod turn;
pub mod whose;
