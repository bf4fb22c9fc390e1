//! Kubernetes' client and what is made of it: reading, writing, watching, events. Knows no controller.

#![doc = include_str!("README.md")]

pub mod events;
pub mod kube_client;
pub mod kube_write;
pub mod mutation_cache;
pub mod selector;
pub mod watch_backoff;
pub mod watch_error;
pub mod watches;
