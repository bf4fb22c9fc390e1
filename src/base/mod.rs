//! What any program needs: time, queues, tasks, names, descriptions of failures. Knows nothing of the product.

#![doc = include_str!("README.md")]

pub mod backoff;
pub mod blocking;
pub mod connect_failure;
pub mod duration;
pub mod flow;
pub mod kube_error;
#[cfg(test)]
pub mod log_buffer;
pub mod namespaced_name;
pub mod resource_version;
pub mod shutdown;
pub mod supervise;
