//! The library behind the `kratos-operator` binary: identities of Ory Kratos, declared as Kubernetes resources.

pub mod access;
pub mod admission_policy;
pub mod api;
pub mod audit_log;
pub mod backoff;
pub mod changes;
pub mod cli;
pub mod context;
pub mod decode;
pub mod duration;
pub mod election;
pub mod events;
pub mod flow;
pub mod health;
pub mod identity;
pub mod instance;
pub mod kratos;
pub mod kube_client;
pub mod kube_error;
pub mod kube_write;
pub mod latest;
pub mod lease;
pub mod log;
pub mod log_cap;
#[cfg(test)]
mod messages;
pub mod metrics;
pub mod off_runtime;
pub mod operator;
pub mod operator_key;
pub mod place;
pub mod policy;
pub mod queue;
pub mod rbac;
pub mod resource_version;
pub mod rotation;
pub mod rules;
pub mod selector;
pub mod shutdown;
pub mod supervise;
pub mod trace;
pub mod unreached;
pub mod watches;
pub mod workers;
#[cfg(test)]
mod written;
