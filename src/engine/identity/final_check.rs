//! The final check of a deletion, after everything was waited for and right before the first write: the resource, its instance
//! and its identities as they are now. Reads only, and waits for no permit.
//!
//! Kratos has no compare-and-swap: what changes between this check and the write isn't seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;

use super::observe::Search;
use super::succession;
use crate::api::identity::KratosIdentity;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::failure::ReconcileError;
use crate::kratos::Identity;

/// Of many deletions each costs its share of a list that is no older than this.
const RECENT: Duration = Duration::from_secs(2);

/// What a final check shows.
pub enum FinalCheck {
    /// Everything is as it was: these are still the resource's.
    Unchanged(Vec<Identity>),
    /// The marks name somebody else now.
    Taken,
    /// The manifest, the instance or its consent was changed meanwhile. The resource as it is now; `None`: it is gone.
    Changed(Option<Box<KratosIdentity>>),
    /// This resource is about to take the identity over.
    Replaced(Box<KratosIdentity>),
}

/// Looks at what a deletion stands on, and at `ours`, which were found to be the resource's, unless that `is_recent`. The
/// resource is read last, since it is what people change.
///
/// `begun`: when this reconcile of the deletion began. Whoever is about to take the identities over by then is seen by
/// a list that began later, of the last two seconds.
pub async fn check(
    search: &Search<'_>,
    ours: Vec<Identity>,
    is_recent: bool,
    begun: Instant,
) -> Result<FinalCheck, ReconcileError> {
    let (resource, engine) = (search.resource, search.engine);
    let (mut still, mut is_taken) = (Vec::new(), false);
    for identity in ours {
        if is_recent {
            still.push(identity);
            continue;
        }
        match search.get_among_many(&identity.id).await? {
            Some(identity) if search.may_delete(&identity) => still.push(identity),
            Some(_) => is_taken = true,
            None => {}
        }
    }
    search.inputs.ensure_whole(engine.deletions)?;
    let stands = stands(search).await?;
    let since = Instant::now().checked_sub(RECENT).map_or(begun, |recent| begun.max(recent));
    if let Some(by) = succession::live_successor(resource, since, engine).await? {
        return Ok(FinalCheck::Replaced(Box::new(by)));
    }
    let newest = engine.others.live(&NamespacedName::of(resource)).await?;
    let newest = newest.filter(|newest| newest.uid() == resource.uid()).and_then(|newest| newest.0.ok());
    let is_same = newest.as_ref().is_some_and(|newest| newest.metadata.generation == resource.metadata.generation);
    if !stands || !is_same {
        return Ok(FinalCheck::Changed(newest.map(Box::new)));
    }
    Ok(if still.is_empty() && is_taken { FinalCheck::Taken } else { FinalCheck::Unchanged(still) })
}

/// Whether the instance is as it was, and still admits the resource's namespace.
async fn stands(search: &Search<'_>) -> Result<bool, ReconcileError> {
    let NamespacedName { namespace, .. } = NamespacedName::of(search.resource);
    let before = &search.inputs.instance;
    match search.engine.instances.admitting(&before.key, &namespace).await {
        Ok(now) => Ok(Arc::ptr_eq(&now, before)),
        Err(ReconcileError::Kubernetes(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}
