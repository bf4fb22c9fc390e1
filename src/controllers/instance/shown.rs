//! What the watch shows of an instance's resources: which have had identities, which are being deleted, and which of those are
//! about to ask whether they may. Decides nothing, and sends nothing.

use std::collections::{HashMap, HashSet};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::controller::Controller as Context;
use crate::api::identity::KratosIdentity;
use crate::api::{IDENTITY_FINALIZER, carries};
use crate::base::place::Place;
use crate::identity::{reference, replacement};
use crate::instance::handle::Handle;
use crate::instance::protection::Deletion;
use crate::instance::{consent, leaving};

/// The ids that resources of the instance have had, before a listing begins, and whose they are. A status authorises
/// nothing: here it only makes us careful.
pub(super) fn expected(handle: &Handle, context: &Context) -> HashMap<String, Place> {
    let mut expected = HashMap::new();
    each(&handle.place, context, |resource| {
        if let Some(id) = id_of(resource).filter(|_| is_admitted(handle, resource, context)) {
            expected.insert(id.to_owned(), Place::of(resource));
        }
    });
    expected
}

/// Calls for each resource of the instance that carries our finalizer, whoever reconciles it: only those have had
/// identities through it.
pub(super) fn each(place: &Place, context: &Context, mut call: impl FnMut(&KratosIdentity)) {
    let default = context.seen.default_instance.as_ref();
    for object in context.seen.identities.state() {
        let object = context.seen.latest_identities.of(&object);
        if let Ok(resource) = &object.0
            && carries(resource, IDENTITY_FINALIZER)
            && reference::is_of(resource, place, default)
        {
            call(resource);
        }
    }
}

/// The deletions that ask, and those that are going to, as far as the watch shows, whoever reconciles them: so those that come
/// together are known although some have not been looked at yet, by this process or by another one.
pub(super) fn company(handle: &Handle, context: &Context) -> Vec<Deletion> {
    let all = context.seen.identities.state();
    let names = all.iter().filter_map(|object| {
        let resource = object.0.as_ref().ok()?;
        let name = &resource.spec.replaces.as_ref()?.name;
        let is_pending = replacement::is_pending(resource, name, None, context.seen.default_instance.as_ref());
        is_pending.then(|| Place::new(resource.namespace().unwrap_or_default(), name))
    });
    let replaced: HashSet<Place> = names.collect();
    let mut company = handle.shared.protector.asking();
    each(&handle.place, context, |resource| {
        let is_one = leaving::loses_its_identity(resource)
            && is_admitted(handle, resource, context)
            && !replaced.contains(&Place::of(resource));
        company.extend(leaving::deletion_of(resource).filter(|_| is_one));
    });
    company
}

/// The resources of the instance that are being deleted and aren't let go yet.
pub(super) fn under_way(place: &Place, context: &Context) -> Vec<Place> {
    let mut found = Vec::new();
    each(place, context, |resource| found.extend(leaving::deletion_of(resource).map(|_| Place::of(resource))));
    found
}

pub(super) fn id_of(resource: &KratosIdentity) -> Option<&str> {
    resource.status.as_ref().and_then(|status| status.identity_id.as_deref())
}

/// Whether the instance admits the resource's namespace: others can't make it careful.
fn is_admitted(handle: &Handle, resource: &KratosIdentity, context: &Context) -> bool {
    let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
    let Some(seen) = context.seen.namespaces.get(&ObjectRef::new(namespace)) else { return false };
    consent::admits(handle.settings.allowed_namespaces.as_ref(), &handle.place.namespace, namespace, seen.labels())
}
