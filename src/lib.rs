//! The library behind the `kratos-operator` binary: identities and sessions of Ory Kratos, declared as
//! Kubernetes resources.

#![forbid(unsafe_code)]

pub mod kratos;
