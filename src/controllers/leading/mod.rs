//! Who leads, and who speaks for an instance: Leases.

pub mod election;
pub mod lease;
