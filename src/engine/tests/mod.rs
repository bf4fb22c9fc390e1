//! Tests of what the engine remembers, and of what it makes of failures.

pub mod failures;
pub mod remembering;
