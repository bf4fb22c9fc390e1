//! What the operator shows beside the resources: logs, traces, metrics, the audit log, health.

#![doc = include_str!("README.md")]

pub mod audit_log;
pub mod health;
pub mod log;
pub mod log_cap;
pub mod metrics;
pub mod trace;
