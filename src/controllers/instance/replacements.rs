//! Which resources are about to take over the identity of another one of their namespace (`spec.replaces`). Reads only.

use std::time::Instant;

use crate::api::identity::KratosIdentity;
use crate::controllers::context::Context;

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
