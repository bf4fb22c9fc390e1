//! Tests of what the engine remembers, and of what it makes of failures.

mod failures;
mod remembering;
