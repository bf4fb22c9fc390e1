//! What the cluster says that a look stands on: which instance admits a resource, and who it is to it. Reads only.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::record::api;
use crate::api::decode::Metadata;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::{Reason, Verdict};
use crate::base::place::Place;
use crate::controllers::context::Context;
use crate::controllers::instance::reclaim;
use crate::engine::failure::Halt;
use crate::engine::identity::inputs::{later, not_permitted, not_ready, uid};
use crate::engine::identity::memory::Creators;
use crate::identity::claim::Claimant;
use crate::instance::{Entry, Handle, consent};

/// The instance of a resource, if it is there, looked at, and admits the resource's namespace.
pub async fn instance(place: &Place, namespace: &str, context: &Context) -> Result<Arc<Handle>, Halt> {
    let handle = match context.registry.get(place) {
        Some(Entry::Usable(handle)) => handle,
        Some(Entry::Unusable(verdict)) if verdict.reason == Reason::NotPermitted => {
            return Err(Halt::Refused(not_permitted(place, namespace)));
        }
        Some(Entry::Unusable(verdict)) if verdict.reason == Reason::Suspended => {
            return Err(suspended(place, &labels(namespace, context).await?, namespace, context));
        }
        // Its own status says why; identities that are Ready aren't rewritten.
        Some(Entry::Unusable(_)) => return Err(Halt::Waiting(not_ready(place, "isn't usable; see its status"))),
        None => return Err(unseen(place, namespace, context).await),
    };
    if !consent::admits(
        handle.settings.allowed_namespaces.as_ref(),
        &place.namespace,
        namespace,
        &labels(namespace, context).await?,
    ) {
        return Err(Halt::Refused(not_permitted(place, namespace)));
    }
    Ok(handle)
}

/// An instance that is suspended. Whom it doesn't admit isn't told so.
fn suspended(place: &Place, labels: &BTreeMap<String, String>, namespace: &str, context: &Context) -> Halt {
    let object = context.instances.get(&ObjectRef::new(&place.name).within(&place.namespace));
    let spec = object.as_deref().and_then(|object| object.0.as_ref().ok()).map(|instance| &instance.spec);
    let allowed = spec.and_then(|spec| spec.allowed_namespaces.as_ref());
    if !consent::admits(allowed, &place.namespace, namespace, labels) {
        return Halt::Refused(not_permitted(place, namespace));
    }
    let what = "is suspended (its spec.suspend is true): nothing is sent to its Kratos, and this waits until that ends";
    Halt::Waiting(not_ready(place, what))
}

/// An instance that isn't in the registry: gone, or not looked at yet by a process that just started.
async fn unseen(place: &Place, namespace: &str, context: &Context) -> Halt {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    if !context.options.works_in(&place.namespace) {
        later(not_ready(place, "is in a namespace that the operator doesn't work in (--namespaces)"))
    } else if context.instances.get(&object).is_some() {
        Halt::Waiting(not_ready(place, "hasn't been looked at yet; it is waited for"))
    } else {
        let meant = meant(place, namespace, context).await;
        let hint =
            meant.map(|meant| format!(". Did you mean {meant} (spec.instanceRef.namespace)?")).unwrap_or_default();
        later(not_ready(place, &format!("doesn't exist; it is waited for{hint}")))
    }
}

/// The instance of that name in another namespace that may be meant: the operator's default one, or one that admits the resource's
/// namespace. Of others nothing is said.
async fn meant(place: &Place, namespace: &str, context: &Context) -> Option<Place> {
    let default = context.options.default_instance.clone().filter(|default| default.name == place.name);
    if default.is_some() {
        return default.filter(|default| default != place);
    }
    let namesakes: Vec<_> = context.registry.places().into_iter().filter(|other| other.name == place.name).collect();
    if namesakes.is_empty() {
        return None;
    }
    let labels = labels(namespace, context).await.ok()?;
    let admits = |other: &Place| {
        let handle = context.registry.handle(other);
        handle.is_some_and(|handle| {
            consent::admits(handle.settings.allowed_namespaces.as_ref(), &other.namespace, namespace, &labels)
        })
    };
    namesakes.into_iter().filter(admits).min()
}

/// The labels of a namespace.
pub async fn labels(namespace: &str, context: &Context) -> Result<BTreeMap<String, String>, kube::Error> {
    if let Some(seen) = context.namespaces.get(&ObjectRef::new(namespace)) {
        return Ok(seen.labels().clone());
    }
    Ok(live_namespace(namespace, context).await?.labels().clone())
}

/// A namespace that may not be read isn't known, which is neither gone nor refused.
pub async fn live_namespace(namespace: &str, context: &Context) -> Result<Metadata<Namespace>, kube::Error> {
    Api::<Metadata<Namespace>>::all(context.client.clone()).get(namespace).await
}

/// Right before something is created, where namespaces aren't watched: that the resource's is still the one that was seen,
/// and is admitted. A live read.
pub async fn ensure_admitted((instance, claimant): (&Handle, &Claimant), context: &Context) -> Result<(), Halt> {
    if context.options.namespaces.is_none() {
        return Ok(());
    }
    let place = &instance.place;
    let permit = context.kubernetes.acquire(&claimant.namespace).await;
    let live = live_namespace(&claimant.namespace, context).await?;
    drop(permit);
    let allowed = instance.settings.allowed_namespaces.as_ref();
    let is_admitted = consent::admits(allowed, &place.namespace, &claimant.namespace, live.labels());
    if is_admitted && live.uid().as_ref() == Some(&claimant.namespace_uid) {
        return Ok(());
    }
    // Whoever else stands on what was seen is looked at again.
    context.namespaces_changed.notify_one();
    if !is_admitted {
        return Err(Halt::Refused(not_permitted(place, &claimant.namespace)));
    }
    let verdict = Verdict::new(Reason::Progressing, "the namespace was made anew meanwhile; it is looked at again");
    Err(Halt::Retry { verdict, after: None })
}

/// Who is asking. The namespace's uid is what tells a namespace from one that was re-created under its name.
pub async fn claimant(resource: &KratosIdentity, instance: &Handle, context: &Context) -> Result<Claimant, Halt> {
    let namespace = resource.namespace().unwrap_or_default();
    let seen = context.namespaces.get(&ObjectRef::new(&namespace)).and_then(|seen| seen.meta().uid.clone());
    let namespace_uid = match seen {
        Some(uid) => uid,
        None => live_namespace(&namespace, context).await?.uid().unwrap_or_default(),
    };
    Ok(Claimant {
        owner: instance.settings.owner_name.clone(),
        cluster: context.cluster_id.clone(),
        name: resource.name_any(),
        uid: resource.uid().unwrap_or_default(),
        reclaim_from: instance.settings.reclaim_from.clone(),
        reclaim_namespaces: reclaim::open_to(instance, &namespace_uid, context),
        beside_instance: instance.place.namespace == namespace,
        namespace_uid,
        namespace,
    })
}

/// Nothing is created for a resource that is another operator's by now, or gone: a live read. A former leader, which wrote
/// the finalizer, may have seen it go before the watch of this process did.
pub async fn ensure_own(resource: &KratosIdentity, context: &Context) -> Result<(), Halt> {
    let inherited =
        || context.leadership.is_elected() && context.memory.recall(&uid(resource)).creators == Creators::Others;
    if !context.leads.is_shared() && !inherited() {
        return Ok(());
    }
    let api: Api<IdentityObject> = api(resource, context);
    let live = api.get_opt(&resource.name_any()).await?;
    if live.is_some_and(|live| live.meta().uid == resource.meta().uid && context.is_own(&live)) {
        return Ok(());
    }
    let verdict =
        Verdict::new(Reason::Progressing, "the resource is gone, or another operator's by now; it is looked at again");
    Err(Halt::Retry { verdict, after: None })
}
