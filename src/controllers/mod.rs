//! The controllers: watches, queues, leases, finalizers, statuses and events. What is done to Kratos is the engine's.

#![doc = include_str!("README.md")]

pub mod gone;
pub mod identity;
pub mod instance;
pub mod leading;
pub mod policy;
pub mod predicate;
pub mod queue;
pub mod scrape;
pub mod secrets;
pub mod shared;
pub mod watching;
pub mod workers;
