//! Watches identities: what is the operator's own is looked at, of the others the outline is kept.

use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use super::births;
use crate::api::IDENTITY_FINALIZER;
use crate::api::identity::{IdentityState, KratosIdentity};
use crate::api::objects::IdentityObject;
use crate::base::place::Place;
use crate::controllers::changes::Changes;
use crate::controllers::gone::{self, Remembering};
use crate::controllers::identity::controller::Controller;
use crate::controllers::identity::reconcile::reconcile;
use crate::controllers::queue::{Next, Priority};
use crate::controllers::shared::access;
use crate::controllers::shared::urgency;
use crate::controllers::watching::watches;
use crate::controllers::workers::Look;
use crate::engine::instance::grace;
use crate::identity::reference;
use crate::kubernetes::selector::{self, narrow};

/// Watches all identities. Of those that aren't its own only the outline is kept.
pub fn watch_all(
    writer: reflector::store::Writer<IdentityObject>,
    controller: &Arc<Controller>,
) -> impl Stream<Item = watcher::Result<Event<IdentityObject>>> + Send + 'static {
    let [all, gaps, born, before, after] = std::array::from_fn(|_| Arc::clone(controller));
    let noted = move |namespace: Option<&str>, told: &watcher::Result<_>| births::note_gaps(namespace, told, &gaps);
    watches::watch::<IdentityObject, _>(&controller.watching, controller.seen.identities.clone(), noted)
        .modify(move |object| {
            if !all.seen.is_own(object) {
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
    controller: Arc<Controller>,
) {
    let mut changes = Changes::new(IDENTITY_FINALIZER);
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let Some(event) = narrow(&controller.options.watch_selector, event) else { continue };
        // A list shows what nobody saw happen: the resource itself tells whether somebody waits.
        let is_list = matches!(event, Event::InitDone);
        let news = changes.news(event);
        // Who gains the lead asks for all: another process has had the news.
        if controller.leadership.is_leading() {
            for object in news {
                let priority = if is_list { listed(&object) } else { Priority::Person };
                controller.pokes.identities([Place::of(&object)], priority);
            }
        }
    }
}

/// Asks for a look at all that the watch has brought, where this process was a standby until now.
pub fn ask_for_all(controller: &Controller) {
    if controller.leadership.is_elected() {
        for object in controller.seen.identities.state().iter().filter(|object| controller.seen.is_own(&***object)) {
            controller.pokes.identities([Place::of(&**object)], listed(object));
        }
    }
}

fn listed(object: &IdentityObject) -> Priority {
    // Whoever waits for one that can't be read waits for a better manifest.
    object.0.as_ref().map_or(Priority::Routine, urgency::listed)
}

/// One look at an identity; one that is gone, or another operator's, is none.
pub fn look(place: &Place, controller: &Arc<Controller>) -> Look {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    let controller = Arc::clone(controller);
    Box::pin(async move {
        match controller.seen.identities.get(&object) {
            Some(object) if controller.seen.is_own(&*object) => {
                access::as_granted(&controller.access, reconcile(object, Arc::clone(&controller)).await)
            }
            _ => Ok(Next::WhenAsked.into()),
        }
    })
}

fn identity_seen(event: &watcher::Result<Event<IdentityObject>>, controller: &Controller) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                controller.memory.forget(uid);
                controller.seen.latest_identities.forget(uid);
            }
            controller.rotation.forget(&Place::of(object));
            let default = controller.seen.default_instance.as_ref();
            if let Ok(identity) = &object.0 {
                controller.pokes.identities(controller.successors.forget(identity), Priority::Arrived);
            }
            if let Ok(identity) = &object.0
                && let Some(instance) = reference::instance_of(identity, default)
            {
                controller.pokes.instance(&instance);
                freed(identity, &instance, controller);
                if !controller.seen.is_own(object) {
                    grace::gone_elsewhere(identity, &instance, &controller.registry);
                }
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            controller.seen.latest_identities.caught_up(object);
            if let Ok(identity) = &object.0 {
                controller.pokes.identities(controller.successors.see(identity), Priority::Arrived);
            }
            if !controller.seen.is_own(object) {
                controller.memory.leave(object.meta().uid.as_deref().unwrap_or_default());
                controller.rotation.forget(&Place::of(object));
            }
        }
        Ok(Event::InitDone) => {
            // Later lists find it set already.
            if controller.seen.listed.identities.set(()).is_err() && controller.leads.is_shared() {
                missed(controller);
            }
            gone::forget(&Remembering {
                seen: &controller.seen,
                memory: &controller.memory,
                metrics: &controller.metrics,
                registry: &controller.registry,
                leads: &controller.leads,
                pokes: &controller.pokes,
            });
        }
        Ok(Event::Init) => {}
        Err(error) => controller.watching.watches.failed::<IdentityObject>(None, error),
    }
}

/// A resource is gone, and with it perhaps the identity that stood in others' way.
fn freed(identity: &KratosIdentity, instance: &Place, controller: &Controller) {
    let id = identity.status.as_ref().and_then(|status| status.identity_id.as_deref());
    if let (Some(id), Some(handle)) = (id, controller.registry.handle(instance)) {
        controller.ask_waiting(handle.shared.obstacles.freed(id));
    }
}

/// What happened while nobody watched, and other operators did: resources may have been theirs meanwhile, and may be
/// gone with a grace period that runs.
fn missed(controller: &Controller) {
    controller.memory.leave_all();
    for handle in controller.registry.places().iter().filter_map(|place| controller.registry.handle(place)) {
        handle.shared.listing.want(Instant::now());
    }
}

/// An identity that another operator reconciles became inactive. The store doesn't have the event yet.
fn deactivated_elsewhere(event: &watcher::Result<Event<IdentityObject>>, controller: &Controller) {
    let Ok(Event::Apply(object)) = event else { return };
    let Ok(resource) = &object.0 else { return };
    if controller.seen.is_own(object) || !is_inactive(object) {
        return;
    }
    let Place { namespace, name } = Place::of(object);
    let before = controller.seen.identities.get(&ObjectRef::new(&name).within(&namespace));
    if let Some(instance) = reference::instance_of(resource, controller.seen.default_instance.as_ref())
        && !before.is_some_and(|before| is_inactive(&before))
    {
        controller.policy_pokes.deactivated(&instance, &namespace);
    }
}

fn is_inactive(object: &IdentityObject) -> bool {
    let status = object.0.as_ref().ok().and_then(|identity| identity.status.as_ref());
    status.is_some_and(|status| status.state == Some(IdentityState::Inactive))
}
