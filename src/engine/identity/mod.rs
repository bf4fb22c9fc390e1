//! The engine of `KratosIdentity`: the identity is found, or proven absent; the plan is run.

pub mod absence;
pub mod admission;
pub mod adopt;
pub mod apply;
pub mod apply_error;
pub mod course;
pub mod enforce;
pub mod inputs;
pub mod issue;
pub mod last_look;
pub mod lock_out;
pub mod look;
pub mod memory;
pub mod observe;
pub mod planned;
pub mod recover;
pub mod release;
pub mod schemas;
pub mod sole;
pub mod succession;
pub mod taking;
pub mod turn;
