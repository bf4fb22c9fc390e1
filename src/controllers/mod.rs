//! The controllers: watches, queues, leases, finalizers, statuses and events. What is done to Kratos is the engine's.

#![doc = include_str!("README.md")]

pub mod access;
pub mod admission;
pub mod changes;
pub mod election;
pub mod gone;
pub mod identity;
pub mod instance;
pub mod lease;
pub mod namespaces;
pub mod neighbours;
pub mod operator_key;
pub mod options;
pub mod pokes;
pub mod policy;
pub mod queue;
pub mod recording;
pub mod replacing;
pub mod rotation;
pub mod scrape;
pub mod seen;
pub mod watching;
pub mod workers;
