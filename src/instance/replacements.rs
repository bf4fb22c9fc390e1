//! Which resources are about to take over the identity of another one of their namespace (`spec.replaces`). Reads only.

use std::time::Instant;

use kube::ResourceExt;

use super::references;
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::context::Context;

/// Whether a resource is about to take over the identity that one left which is gone: a live read.
pub async fn is_replaced(namespace: &str, name: &str, context: &Context) -> Result<bool, kube::Error> {
    let named = naming(namespace, name, Instant::now(), context).await?;
    Ok(named.iter().any(|candidate| is_pending(candidate, name, None, context)))
}

/// The resources of a namespace that name one in `spec.replaces`: by a list that began after `since`.
pub async fn naming(
    namespace: &str,
    name: &str,
    since: Instant,
    context: &Context,
) -> Result<Vec<KratosIdentity>, kube::Error> {
    let named = context.replacing.list(namespace, since, &context.client).await?;
    let is_named = |it: &&KratosIdentity| it.spec.replaces.as_ref().is_some_and(|replaces| replaces.name == name);
    Ok(named.iter().filter(is_named).cloned().collect())
}

/// Of several the one that was there first.
pub fn first(candidates: impl Iterator<Item = KratosIdentity>) -> Option<KratosIdentity> {
    candidates.min_by_key(|candidate| {
        (candidate.metadata.creation_timestamp.as_ref().map(|at| at.0), candidate.metadata.uid.clone())
    })
}

/// Whether a resource is about to take over the identity of the one called `name`: it names it, is carried out, and has no
/// identity of its own. `replaced`: that one, if it is there; both must refer to the same instance.
pub fn is_pending(
    candidate: &KratosIdentity,
    name: &str,
    replaced: Option<&KratosIdentity>,
    context: &Context,
) -> bool {
    let default = context.options.default_instance.as_ref();
    let is_same_instance = replaced.is_none_or(|replaced| {
        references::instance_of(candidate, default) == references::instance_of(replaced, default)
    });
    candidate.spec.replaces.as_ref().is_some_and(|replaces| replaces.name == name)
        && candidate.name_any() != name
        && candidate.metadata.deletion_timestamp.is_none()
        && candidate.spec.mode.unwrap_or_default() == Mode::Enforce
        && !candidate.spec.suspend
        && !has_identity(candidate)
        && is_same_instance
}

/// Whether a resource has an identity, as far as its status says.
pub fn has_identity(resource: &KratosIdentity) -> bool {
    resource.status.as_ref().is_some_and(|status| status.identity_id.is_some())
}
