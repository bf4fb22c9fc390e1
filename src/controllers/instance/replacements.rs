//! Which resources are about to take over the identity of another one of their namespace (`spec.replaces`). Reads only.

use std::time::Instant;

use crate::api::identity::KratosIdentity;
use crate::controllers::context::Context;
use crate::identity::replacement::is_pending;

/// Whether a resource is about to take over the identity that one left which is gone: a live read.
pub async fn is_replaced(namespace: &str, name: &str, context: &Context) -> Result<bool, kube::Error> {
    let named = naming(namespace, name, Instant::now(), context).await?;
    let default = context.options.default_instance.as_ref();
    Ok(named.iter().any(|candidate| is_pending(candidate, name, None, default)))
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
