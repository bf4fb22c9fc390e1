//! What Kubernetes shows of an instance: which of its resources have had identities, which are being deleted, and which of those
//! are about to ask whether they may. Decides nothing, and sends nothing.

use std::collections::{HashMap, HashSet};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::controller::Controller;
use crate::api::identity::KratosIdentity;
use crate::api::{IDENTITY_FINALIZER, has_finalizer};
use crate::base::namespaced_name::NamespacedName;
use crate::identity::{reference, replacement};
use crate::instance::handle::Handle;
use crate::instance::protection::Deletion;
use crate::instance::{consent, deletion_effect};

/// The ids that resources of the instance have had, before a listing begins, and whose they are. A status authorises
/// nothing: here it only makes us careful.
pub(super) fn expected(handle: &Handle, controller: &Controller) -> HashMap<String, NamespacedName> {
    let mut expected = HashMap::new();
    each(&handle.key, controller, |resource| {
        if let Some(id) = id_of(resource).filter(|_| is_admitted(handle, resource, controller)) {
            expected.insert(id.to_owned(), NamespacedName::of(resource));
        }
    });
    expected
}

/// Calls for each resource of the instance that carries our finalizer, whoever reconciles it: only those have had
/// identities through it.
pub(super) fn each(key: &NamespacedName, controller: &Controller, mut call: impl FnMut(&KratosIdentity)) {
    let default = controller.seen.default_instance.as_ref();
    for object in controller.seen.identities.state() {
        let object = controller.seen.identity_mutations.newest(&object);
        if let Ok(resource) = &object.0
            && has_finalizer(resource, IDENTITY_FINALIZER)
            && reference::is_of(resource, key, default)
        {
            call(resource);
        }
    }
}

/// The deletions that ask, and those that will, as far as the watch shows, whoever reconciles them: so those that come together
/// are known, even if this process or another one hasn't reconciled some of them yet.
pub(super) fn peers(handle: &Handle, controller: &Controller) -> Vec<Deletion> {
    let all = controller.seen.identities.state();
    let names = all.iter().filter_map(|object| {
        let resource = object.0.as_ref().ok()?;
        let name = &resource.spec.replaces.as_ref()?.name;
        let is_pending = replacement::is_pending(resource, name, None, controller.seen.default_instance.as_ref());
        is_pending.then(|| NamespacedName::new(resource.namespace().unwrap_or_default(), name))
    });
    let replaced: HashSet<NamespacedName> = names.collect();
    let mut peers = handle.shared.protector.asking();
    each(&handle.key, controller, |resource| {
        let is_one = deletion_effect::loses_its_identity(resource)
            && is_admitted(handle, resource, controller)
            && !replaced.contains(&NamespacedName::of(resource));
        peers.extend(deletion_effect::deletion_of(resource).filter(|_| is_one));
    });
    peers
}

/// The resources of the instance that are being deleted and aren't let go yet.
pub(super) fn under_way(key: &NamespacedName, controller: &Controller) -> Vec<NamespacedName> {
    let mut found = Vec::new();
    each(key, controller, |resource| {
        found.extend(deletion_effect::deletion_of(resource).map(|_| NamespacedName::of(resource)));
    });
    found
}

pub(super) fn id_of(resource: &KratosIdentity) -> Option<&str> {
    resource.status.as_ref().and_then(|status| status.identity_id.as_deref())
}

/// Whether the instance admits the resource's namespace: others can't make it careful.
fn is_admitted(handle: &Handle, resource: &KratosIdentity, controller: &Controller) -> bool {
    let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
    let Some(seen) = controller.seen.namespaces.get(&ObjectRef::new(namespace)) else { return false };
    consent::admits(handle.settings.allowed_namespaces.as_ref(), &handle.key.namespace, namespace, seen.labels())
}
