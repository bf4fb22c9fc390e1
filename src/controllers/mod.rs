//! The controllers: watches, queues, leases, finalizers, statuses and events. What is done to Kratos is the engine's.

#![doc = include_str!("README.md")]

pub mod access;
pub mod changes;
pub mod context;
pub mod election;
pub mod identity;
pub mod instance;
pub mod lease;
pub mod operator_key;
pub mod options;
pub mod policy;
pub mod queue;
pub mod rotation;
pub mod scrape;
pub mod watching;
pub mod workers;
