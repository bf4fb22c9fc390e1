//! The custom resources, and the names that manifests rely on.
//!
//! Shapes only: nothing here decides anything or talks to a server.

#![doc = include_str!("README.md")]

pub mod condition;
pub mod connection;
pub mod crd;
pub mod credentials;
pub mod decode;
pub mod definitions;
pub mod depth;
pub mod free_object;
pub mod identity;
pub mod instance;
pub mod lifecycle;
mod lists;
#[cfg(test)]
pub mod messages;
pub mod objects;
pub mod protection;
pub mod recorded_event;
pub mod recovery;
pub mod session_policy;
mod session_schemas;
pub mod words;

pub use condition::{ReadyCondition, Reason};
pub use identity::{KratosIdentity, KratosIdentitySpec, KratosIdentityStatus};
pub use instance::{KratosInstance, KratosInstanceSpec, KratosInstanceStatus};
pub use session_policy::{KratosSessionPolicy, KratosSessionPolicySpec, KratosSessionPolicyStatus};

/// The API group of all kinds, and the key of the mark in an identity's `metadata_admin`.
pub const GROUP: &str = "kratos-operator.dev";
/// With `--require-secret-label`, only Secrets with this label (and the value `true`) are read.
pub const USE_LABEL: &str = "kratos-operator.dev/use";
/// Set on a `KratosIdentity` before its identity is created, removed once its deletion is carried out.
pub const IDENTITY_FINALIZER: &str = "kratos-operator.dev/identity";
/// Set on a `KratosInstance` while resources with our finalizer refer to it.
pub const INSTANCE_FINALIZER: &str = "kratos-operator.dev/instance";
/// A new value requests a reconcile.
pub const RECONCILE_REQUESTED_AT: &str = "kratos-operator.dev/reconcile-requested-at";
/// Flux's annotation with the same meaning.
pub const FLUX_REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// A new value on a `KratosInstance` releases what its protection holds at that moment.
pub const RELEASE: &str = "kratos-operator.dev/release";

/// A new value on a `KratosInstance` lets the resources go that its protection holds at that moment, and keeps their
/// identities.
pub const KEEP: &str = "kratos-operator.dev/keep";

/// The value of the keep annotation.
pub fn keep_token(annotations: Option<&std::collections::BTreeMap<String, String>>) -> Option<&str> {
    annotations?.get(KEEP).map(String::as_str)
}

/// The value of the release annotation.
pub fn release_token(annotations: Option<&std::collections::BTreeMap<String, String>>) -> Option<&str> {
    annotations?.get(RELEASE).map(String::as_str)
}

/// The value of the request annotation, ours before Flux's.
pub fn requested_at(annotations: Option<&std::collections::BTreeMap<String, String>>) -> Option<&str> {
    let annotations = annotations?;
    [RECONCILE_REQUESTED_AT, FLUX_REQUESTED_AT].iter().find_map(|key| annotations.get(*key)).map(String::as_str)
}

/// Whether an object carries a finalizer.
pub fn has_finalizer(object: &impl kube::Resource, finalizer: &str) -> bool {
    object.meta().finalizers.iter().flatten().any(|other| other == finalizer)
}

#[cfg(test)]
mod tests;
