//! Which resources are about to take over the identity of another one of their namespace (`spec.replaces`). Reads only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::references;
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::context::{Context, IdentityObject};

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
    let named = context.replacing.list(namespace, since, context).await?;
    let is_named = |it: &&KratosIdentity| it.spec.replaces.as_ref().is_some_and(|replaces| replaces.name == name);
    Ok(named.iter().filter(is_named).cloned().collect())
}

/// Lists of the resources that replace others, by namespace: many that are deleted at the same time share one.
#[derive(Debug, Default)]
pub struct Replacing(Mutex<HashMap<String, Arc<Last>>>);

/// The last list of a namespace, and when it began.
type Last = tokio::sync::Mutex<Option<(Instant, Arc<Vec<KratosIdentity>>)>>;

impl Replacing {
    async fn list(
        &self,
        namespace: &str,
        since: Instant,
        context: &Context,
    ) -> Result<Arc<Vec<KratosIdentity>>, kube::Error> {
        let last = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(namespace.to_owned()).or_default())
        };
        let mut last = last.lock().await;
        if let Some((_, named)) = last.as_ref().filter(|(begun, _)| *begun >= since) {
            return Ok(Arc::clone(named));
        }
        let begun = Instant::now();
        let api = Api::<IdentityObject>::namespaced(context.client.clone(), namespace);
        // Those that have the field.
        let listed = api.list(&ListParams::default().fields("spec.replaces.name!=")).await?;
        let named = Arc::new(listed.items.into_iter().filter_map(|object| object.0.ok()).collect());
        *last = Some((begun, Arc::clone(&named)));
        Ok(named)
    }
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
