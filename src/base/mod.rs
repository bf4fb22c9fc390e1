//! What any program needs: time, turns, tasks, names, words for failures. Knows nothing of the product.

#![doc = include_str!("README.md")]

pub mod backoff;
pub mod duration;
pub mod flow;
pub mod kube_error;
pub mod off_runtime;
pub mod place;
pub mod resource_version;
pub mod shutdown;
pub mod supervise;
pub mod unreached;
#[cfg(test)]
pub mod written;
