//! Watches identities: what is the operator's own is looked at, of the others the outline is kept.

use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use super::births;
use super::gone;
use super::watches;
use crate::api::IDENTITY_FINALIZER;
use crate::api::identity::{IdentityState, KratosIdentity};
use crate::api::objects::IdentityObject;
use crate::base::place::Place;
use crate::controllers::access;
use crate::controllers::changes::Changes;
use crate::controllers::context::Context;
use crate::controllers::identity::reconcile::reconcile;
use crate::controllers::identity::urgency;
use crate::controllers::policy::poke;
use crate::controllers::queue::{Next, Priority};
use crate::controllers::workers::Look;
use crate::engine::instance::grace;
use crate::identity::reference;
use crate::kubernetes::selector::{self, narrow};

/// Watches all identities. Of those that aren't its own only the outline is kept.
pub fn watch_all(
    writer: reflector::store::Writer<IdentityObject>,
    context: &Arc<Context>,
) -> impl Stream<Item = watcher::Result<Event<IdentityObject>>> + Send + 'static {
    let [all, gaps, born, before, after] = std::array::from_fn(|_| Arc::clone(context));
    let noted = move |namespace: Option<&str>, told: &watcher::Result<_>| births::note_gaps(namespace, told, &gaps);
    watches::watch::<IdentityObject, _>(context, context.identities.clone(), noted)
        .modify(move |object| {
            if !all.is_own(object) {
                selector::outline(object);
            }
        })
        .inspect(move |event| births::note(event, &born))
        .inspect(move |event| deactivated_elsewhere(event, &before))
        .reflect(writer)
        // Seen after the store has taken it in.
        .inspect(move |event| identity_seen(event, &after))
}

/// Asks for a look at each resource that the watch shows to be worth one.
pub async fn ask_for_news(
    watch: impl Stream<Item = watcher::Result<Event<IdentityObject>>> + Send + 'static,
    context: Arc<Context>,
) {
    let mut changes = Changes::new(IDENTITY_FINALIZER);
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let Some(event) = narrow(&context.options.watch_selector, event) else { continue };
        // A list shows what nobody saw happen: the resource itself tells whether somebody waits.
        let is_list = matches!(event, Event::InitDone);
        let news = changes.news(event);
        // Who gains the lead asks for all: another process has had the news.
        if context.leadership.is_leading() {
            for object in news {
                let priority = if is_list { listed(&object) } else { Priority::Person };
                context.pokes.identities([Place::of(&object)], priority);
            }
        }
    }
}

/// Asks for a look at all that the watch has brought, where this process was a standby until now.
pub fn ask_for_all(context: &Context) {
    if context.leadership.is_elected() {
        for object in context.identities.state().iter().filter(|object| context.is_own(&***object)) {
            context.pokes.identities([Place::of(&**object)], listed(object));
        }
    }
}

fn listed(object: &IdentityObject) -> Priority {
    // Whoever waits for one that can't be read waits for a better manifest.
    object.0.as_ref().map_or(Priority::Routine, urgency::listed)
}

/// One look at an identity; one that is gone, or another operator's, is none.
pub fn look(place: &Place, context: &Arc<Context>) -> Look {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    let context = Arc::clone(context);
    Box::pin(async move {
        match context.identities.get(&object) {
            Some(object) if context.is_own(&*object) => {
                access::as_granted(&context, reconcile(object, Arc::clone(&context)).await)
            }
            _ => Ok(Next::WhenAsked.into()),
        }
    })
}

fn identity_seen(event: &watcher::Result<Event<IdentityObject>>, context: &Context) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                context.memory.forget(uid);
                context.latest_identities.forget(uid);
            }
            context.rotation.forget(&Place::of(object));
            let default = context.options.default_instance.as_ref();
            if let Ok(identity) = &object.0 {
                context.pokes.identities(context.successors.forget(identity), Priority::Arrived);
            }
            if let Ok(identity) = &object.0
                && let Some(instance) = reference::instance_of(identity, default)
            {
                context.pokes.instance(&instance);
                freed(identity, &instance, context);
                if !context.is_own(object) {
                    grace::gone_elsewhere(identity, &instance, &context.registry);
                }
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            context.latest_identities.caught_up(object);
            if let Ok(identity) = &object.0 {
                context.pokes.identities(context.successors.see(identity), Priority::Arrived);
            }
            if !context.is_own(object) {
                context.memory.leave(object.meta().uid.as_deref().unwrap_or_default());
                context.rotation.forget(&Place::of(object));
            }
        }
        Ok(Event::InitDone) => {
            // Later lists find it set already.
            if context.listed.identities.set(()).is_err() && context.leads.is_shared() {
                missed(context);
            }
            gone::forget(context);
        }
        Ok(Event::Init) => {}
        Err(error) => context.watches.failed::<IdentityObject>(None, error),
    }
}

/// A resource is gone, and with it perhaps the identity that stood in others' way.
fn freed(identity: &KratosIdentity, instance: &Place, context: &Context) {
    let id = identity.status.as_ref().and_then(|status| status.identity_id.as_deref());
    if let (Some(id), Some(handle)) = (id, context.registry.handle(instance)) {
        context.ask_waiting(handle.shared.obstacles.freed(id));
    }
}

/// What happened while nobody watched, and other operators did: resources may have been theirs meanwhile, and may be
/// gone with a grace period that runs.
fn missed(context: &Context) {
    context.memory.leave_all();
    for handle in context.registry.places().iter().filter_map(|place| context.registry.handle(place)) {
        handle.shared.listing.want(Instant::now());
    }
}

/// An identity that another operator reconciles became inactive. The store doesn't have the event yet.
fn deactivated_elsewhere(event: &watcher::Result<Event<IdentityObject>>, context: &Context) {
    let Ok(Event::Apply(object)) = event else { return };
    let Ok(resource) = &object.0 else { return };
    if context.is_own(object) || !is_inactive(object) {
        return;
    }
    let Place { namespace, name } = Place::of(object);
    let before = context.identities.get(&ObjectRef::new(&name).within(&namespace));
    if let Some(instance) = reference::instance_of(resource, context.options.default_instance.as_ref())
        && !before.is_some_and(|before| is_inactive(&before))
    {
        poke::deactivated(context, &instance, &namespace);
    }
}

fn is_inactive(object: &IdentityObject) -> bool {
    let status = object.0.as_ref().ok().and_then(|identity| identity.status.as_ref());
    status.is_some_and(|status| status.state == Some(IdentityState::Inactive))
}
