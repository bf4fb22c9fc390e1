//! The engine of `KratosIdentity`: the identity is found, or proven absent; the plan is run.

pub mod absence;
pub mod admission;
pub mod adoption_locks;
pub mod adoption_search;
pub mod apply;
pub mod apply_error;
pub mod checked_plan;
pub mod cleanup;
pub mod course;
pub mod enforce;
pub mod fail_closed;
pub mod final_check;
pub mod inputs;
pub mod memory;
pub mod observe;
pub mod reconcile;
pub mod recovery_issue;
pub mod recovery_reconcile;
pub mod schemas;
pub mod sharding;
pub mod succession;
pub mod write_permit;
