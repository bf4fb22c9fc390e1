//! What the operator was started with.

use std::collections::BTreeSet;

use kube::core::Selector;

use crate::base::namespaced_name::NamespacedName;

/// What the operator was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub default_instance: Option<NamespacedName>,
    /// The namespaces that the operator works in; what is in others it doesn't know. `None`: all of them.
    pub namespaces: Option<BTreeSet<String>>,
    /// Namespaces in which a `KratosInstance` counts.
    pub instance_namespaces: BTreeSet<String>,
    /// The operator's own namespace.
    pub namespace: String,
    /// This cluster's id, where it was named and isn't asked for.
    pub cluster_id: Option<String>,
    /// Whether only Secrets that carry the label are read for identities.
    pub require_secret_label: bool,
    /// How many characters a password in clear text has at least that is sent to Kratos.
    pub min_password_length: u16,
    /// Whether Secrets are listed and watched, or only read where they are referred to.
    pub watches_secrets: bool,
    /// Whether recoveries are issued into Secrets.
    pub writes_recovery_secrets: bool,
    /// Which `KratosIdentity` resources are reconciled; other operators reconcile the others.
    pub watch_selector: Selector,
}

impl Options {
    /// Whether the operator works in a namespace.
    pub fn works_in(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }
}
