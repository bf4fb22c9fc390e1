//! Which identities refer to an instance.

use std::collections::HashSet;

use futures::TryStreamExt;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, condition};
use crate::base::place::{Place, PlaceKey, PlaceKeys};
use crate::controllers::context::Context;
use crate::identity::reference::is_of;
use crate::instance::consent;

/// Whether an object refers to the instance. One that can't be read any more might refer to any that it could reach:
/// it counts, so that an instance isn't let go too early.
fn refers(object: &IdentityObject, instance: &Place, default: Option<&Place>) -> bool {
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
fn holds(object: &IdentityObject, instance: &Place, default: Option<&Place>, context: &Context) -> bool {
    carries_finalizer(object)
        && refers(object, instance, default)
        && (is_pinned(object, instance) || is_admitted(object, instance, context))
}

/// Whether the operator has noted that the object lives in the instance.
fn is_pinned(object: &IdentityObject, instance: &Place) -> bool {
    let status = object.0.as_ref().ok().and_then(|identity| identity.status.as_ref());
    let noted = status.and_then(|status| status.instance.as_ref());
    noted.is_some_and(|noted| noted.name == instance.name && noted.namespace.as_deref() == Some(&*instance.namespace))
}

/// An instance that can't be called, or a namespace that wasn't seen yet, gives the benefit of the doubt.
fn is_admitted(object: &IdentityObject, instance: &Place, context: &Context) -> bool {
    let Some(handle) = context.registry.handle(instance) else { return true };
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let Some(seen) = context.namespaces.get(&ObjectRef::new(namespace)) else { return true };
    consent::admits(handle.settings.allowed_namespaces.as_ref(), &instance.namespace, namespace, seen.labels())
}

/// The operator's own identities that refer to an instance, as far as the watch has seen them.
pub fn referring(context: &Context, instance: &Place) -> HashSet<Place> {
    let default = context.options.default_instance.as_ref();
    let all = context.identities.state();
    let own = all.iter().filter(|object| context.is_own(&***object));
    own.filter(|object| refers(object, instance, default)).map(|object| Place::of(&**object)).collect()
}

/// Whether any identity refers to an instance, whoever reconciles it.
pub fn is_referred_to(context: &Context, instance: &Place) -> bool {
    let default = context.options.default_instance.as_ref();
    context.identities.state().iter().any(|object| refers(object, instance, default))
}

/// The operator's own, as keys.
pub fn keys(context: &Context, instance: &Place) -> PlaceKeys {
    let default = context.options.default_instance.as_ref();
    let all = context.identities.state();
    let own = all.iter().filter(|object| context.is_own(&***object));
    own.filter(|object| refers(object, instance, default)).map(|object| PlaceKey::of(&**object)).collect()
}

/// How many resources of an instance have an identity, by their statuses, whoever reconciles them.
pub fn managed(context: &Context, instance: &Place) -> u64 {
    let default = context.options.default_instance.as_ref();
    let is_managed = |identity: &KratosIdentity| {
        identity.status.as_ref().is_some_and(|status| status.identity_id.is_some())
            && is_of(identity, instance, default)
    };
    let all = context.identities.state();
    all.iter().filter(|object| object.0.as_ref().is_ok_and(is_managed)).count() as u64
}

/// The operator's own resources that these keys stand for.
pub fn at(context: &Context, keys: &PlaceKeys) -> Vec<Place> {
    if keys.is_empty() {
        return Vec::new();
    }
    let all = context.identities.state();
    let own = all.iter().filter(|object| context.is_own(&***object));
    own.filter(|object| keys.contains(&PlaceKey::of(&***object))).map(|object| Place::of(&**object)).collect()
}

/// How many identities of an instance differ and are only observed, by their statuses.
pub fn drifted(context: &Context, instance: &Place) -> u64 {
    let default = context.options.default_instance.as_ref();
    let is_drifted = |identity: &KratosIdentity| {
        let conditions = identity.status.as_ref().map_or(&[][..], |status| &status.conditions);
        condition::is_true(conditions, condition::DRIFTED) && is_of(identity, instance, default)
    };
    let all = context.identities.state();
    all.iter().filter(|object| object.0.as_ref().is_ok_and(is_drifted)).count() as u64
}

/// How many identities that carry our finalizer refer to an instance, as far as the watch has seen them.
pub fn holders(context: &Context, instance: &Place) -> usize {
    let default = context.options.default_instance.as_ref();
    let all = context.identities.state();
    all.iter().filter(|object| holds(object, instance, default, context)).count()
}

/// Whether any identity that carries our finalizer refers to an instance: a live read, because the instance is let
/// go on its answer.
pub async fn is_needed(context: &Context, instance: &Place) -> Result<bool, kube::Error> {
    let all = || vec![Api::<IdentityObject>::all(context.client.clone())];
    let within = |namespace: &String| Api::<IdentityObject>::namespaced(context.client.clone(), namespace);
    let each = context.options.namespaces.as_ref().map_or_else(all, |names| names.iter().map(within).collect());
    for api in each {
        if is_needed_in(&api, context, instance).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_needed_in(api: &Api<IdentityObject>, context: &Context, instance: &Place) -> Result<bool, kube::Error> {
    let default = context.options.default_instance.as_ref();
    let pages = futures::stream::try_unfold(Some(ListParams::default().limit(500)), |params| async move {
        let Some(params) = params else { return Ok::<_, kube::Error>(None) };
        let page = api.list(&params).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        let next = next.map(|token| params.continue_token(&token));
        Ok(Some((page.items, next)))
    });
    let mut pages = std::pin::pin!(pages);
    while let Some(items) = pages.try_next().await? {
        if items.iter().any(|object| holds(object, instance, default, context)) {
            return Ok(true);
        }
    }
    Ok(false)
}
