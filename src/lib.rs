//! The library behind the `kratos-operator` binary: identities of Ory Kratos, declared as Kubernetes resources.

pub mod api;
pub mod base;
pub mod commands;
pub mod controllers;
pub mod engine;
pub mod identity;
pub mod instance;
pub mod kratos;
pub mod kubernetes;
pub mod policy;
pub mod rules;
pub mod telemetry;
