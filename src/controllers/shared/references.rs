//! Which identities refer to an instance.

use std::collections::HashSet;

use futures::TryStreamExt;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::informers::Informers;
use super::options::Options;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, condition};
use crate::base::namespaced_name::{KeyHash, KeyHashes, NamespacedName};
use crate::identity::reference::is_of;
use crate::instance::{Registry, consent};

/// What was seen, and how the instances stand.
pub type Known<'a> = (&'a Informers, &'a Registry);

/// Whether an object refers to the instance. One that can't be read any more might refer to any that it could reach:
/// it counts, so that an instance isn't let go too early.
fn refers(object: &IdentityObject, instance: &NamespacedName, default: Option<&NamespacedName>) -> bool {
    match &object.0 {
        Ok(identity) => is_of(identity, instance, default),
        Err(_) => object.meta().namespace.as_deref() == Some(&instance.namespace) || default == Some(instance),
    }
}

fn carries_finalizer(object: &IdentityObject) -> bool {
    object.meta().finalizers.iter().flatten().any(|finalizer| finalizer == IDENTITY_FINALIZER)
}

/// Whether an object keeps the instance from going: it carries our finalizer and refers to it, and it may, or did:
/// without the instance nobody could tell that its namespace isn't admitted any more, and it would wait for ever.
/// (Anybody can write a finalizer; that alone holds nothing.)
fn holds(
    object: &IdentityObject,
    instance: &NamespacedName,
    default: Option<&NamespacedName>,
    known: Known<'_>,
) -> bool {
    carries_finalizer(object)
        && refers(object, instance, default)
        && (is_pinned(object, instance) || is_admitted(object, instance, known))
}

/// Whether the operator has noted that the object lives in the instance.
fn is_pinned(object: &IdentityObject, instance: &NamespacedName) -> bool {
    let status = object.0.as_ref().ok().and_then(|identity| identity.status.as_ref());
    let noted = status.and_then(|status| status.instance.as_ref());
    noted.is_some_and(|noted| noted.name == instance.name && noted.namespace.as_deref() == Some(&*instance.namespace))
}

/// An instance that can't be called, or a namespace that wasn't seen yet, gives the benefit of the doubt.
fn is_admitted(object: &IdentityObject, instance: &NamespacedName, (seen, registry): Known<'_>) -> bool {
    let Some(handle) = registry.handle(instance) else { return true };
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let Some(found) = seen.namespaces.get(&ObjectRef::new(namespace)) else { return true };
    consent::admits(handle.settings.allowed_namespaces.as_ref(), &instance.namespace, namespace, found.labels())
}

/// The operator's own identities that refer to an instance, as far as the watch has seen them.
pub fn referring(seen: &Informers, instance: &NamespacedName) -> HashSet<NamespacedName> {
    let default = seen.default_instance.as_ref();
    let all = seen.identities.state();
    let own = all.iter().filter(|object| seen.is_own(&***object));
    own.filter(|object| refers(object, instance, default)).map(|object| NamespacedName::of(&**object)).collect()
}

/// Whether any identity refers to an instance, whoever reconciles it.
pub fn is_referred_to(seen: &Informers, instance: &NamespacedName) -> bool {
    let default = seen.default_instance.as_ref();
    seen.identities.state().iter().any(|object| refers(object, instance, default))
}

/// The operator's own, as keys.
pub fn key_hashes(seen: &Informers, instance: &NamespacedName) -> KeyHashes {
    let default = seen.default_instance.as_ref();
    let all = seen.identities.state();
    let own = all.iter().filter(|object| seen.is_own(&***object));
    own.filter(|object| refers(object, instance, default)).map(|object| KeyHash::of(&**object)).collect()
}

/// How many resources of an instance have an identity, by their statuses, whoever reconciles them.
pub fn managed(seen: &Informers, instance: &NamespacedName) -> u64 {
    let default = seen.default_instance.as_ref();
    let is_managed = |identity: &KratosIdentity| {
        identity.status.as_ref().is_some_and(|status| status.identity_id.is_some())
            && is_of(identity, instance, default)
    };
    let all = seen.identities.state();
    all.iter().filter(|object| object.0.as_ref().is_ok_and(is_managed)).count() as u64
}

/// The operator's own resources that these keys stand for.
pub fn at(seen: &Informers, keys: &KeyHashes) -> Vec<NamespacedName> {
    if keys.is_empty() {
        return Vec::new();
    }
    let all = seen.identities.state();
    let own = all.iter().filter(|object| seen.is_own(&***object));
    own.filter(|object| keys.contains(&KeyHash::of(&***object))).map(|object| NamespacedName::of(&**object)).collect()
}

/// How many identities of an instance differ and are only observed, by their statuses.
pub fn drifted(seen: &Informers, instance: &NamespacedName) -> u64 {
    let default = seen.default_instance.as_ref();
    let is_drifted = |identity: &KratosIdentity| {
        let conditions = identity.status.as_ref().map_or(&[][..], |status| &status.conditions);
        condition::is_true(conditions, condition::DRIFTED) && is_of(identity, instance, default)
    };
    let all = seen.identities.state();
    all.iter().filter(|object| object.0.as_ref().is_ok_and(is_drifted)).count() as u64
}

/// How many identities that carry our finalizer refer to an instance, as far as the watch has seen them.
pub fn holders(known: Known<'_>, instance: &NamespacedName) -> usize {
    let (seen, _) = known;
    let default = seen.default_instance.as_ref();
    let all = seen.identities.state();
    all.iter().filter(|object| holds(object, instance, default, known)).count()
}

/// Whether any identity that carries our finalizer refers to an instance: a live read, because the instance is let
/// go on its answer.
pub async fn is_needed(
    known: Known<'_>,
    instance: &NamespacedName,
    (client, options): (&kube::Client, &Options),
) -> Result<bool, kube::Error> {
    let all = || vec![Api::<IdentityObject>::all(client.clone())];
    let within = |namespace: &String| Api::<IdentityObject>::namespaced(client.clone(), namespace);
    let each = options.namespaces.as_ref().map_or_else(all, |names| names.iter().map(within).collect());
    for api in each {
        if is_needed_in(&api, known, instance).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_needed_in(
    api: &Api<IdentityObject>,
    known: Known<'_>,
    instance: &NamespacedName,
) -> Result<bool, kube::Error> {
    let (seen, _) = known;
    let default = seen.default_instance.as_ref();
    let pages = futures::stream::try_unfold(Some(ListParams::default().limit(500)), |params| async move {
        let Some(params) = params else { return Ok::<_, kube::Error>(None) };
        let page = api.list(&params).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        let next = next.map(|token| params.continue_token(&token));
        Ok(Some((page.items, next)))
    });
    let mut pages = std::pin::pin!(pages);
    while let Some(items) = pages.try_next().await? {
        if items.iter().any(|object| holds(object, instance, default, known)) {
            return Ok(true);
        }
    }
    Ok(false)
}
