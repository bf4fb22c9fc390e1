//! Which instance a resource refers to. Pure.

use crate::api::identity::{InstanceRef, KratosIdentity};
use crate::base::namespaced_name::NamespacedName;

/// The instance that an identity refers to: named by its spec, else pinned by its status, else the default one.
pub fn instance_of(identity: &KratosIdentity, default: Option<&NamespacedName>) -> Option<NamespacedName> {
    named(identity, default).map(|(namespace, name)| NamespacedName::new(namespace, name))
}

/// Whether that is this one. Asked of all identities in one go: nothing is copied.
pub fn is_of(identity: &KratosIdentity, instance: &NamespacedName, default: Option<&NamespacedName>) -> bool {
    named(identity, default) == Some((&instance.namespace, &instance.name))
}

/// Its namespace and name.
fn named<'a>(identity: &'a KratosIdentity, default: Option<&'a NamespacedName>) -> Option<(&'a str, &'a str)> {
    let pinned = || identity.status.as_ref().and_then(|status| status.instance.as_ref());
    match identity.spec.instance_ref.as_ref().or_else(pinned) {
        Some(InstanceRef { name, namespace }) => {
            let own = identity.metadata.namespace.as_deref().unwrap_or_default();
            Some((namespace.as_deref().unwrap_or(own), name))
        }
        None => default.map(|default| (&*default.namespace, &*default.name)),
    }
}
