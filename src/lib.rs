//! The library behind the `kratos-operator` binary: identities and sessions of Ory Kratos, declared as
//! Kubernetes resources.

pub mod api;
pub mod identity;
pub mod kratos;
