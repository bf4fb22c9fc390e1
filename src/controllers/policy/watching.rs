//! Watches session policies, and says when one is to be looked at and how soon.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use crate::api::objects::PolicyObject;
use crate::base::place::Place;
use crate::controllers::changes::Changes;
use crate::controllers::policy::controller::Controller;
use crate::controllers::policy::reconcile::reconcile;
use crate::controllers::policy::urgency;
use crate::controllers::queue::{Next, Priority};
use crate::controllers::shared::access;
use crate::controllers::watching::watches;
use crate::controllers::workers::Look;

/// Watches all policies.
pub fn watch_all(
    writer: reflector::store::Writer<PolicyObject>,
    controller: &Arc<Controller>,
) -> impl Stream<Item = watcher::Result<Event<PolicyObject>>> + Send + 'static {
    let after = Arc::clone(controller);
    // Seen after the store has taken it in.
    watches::watch::<PolicyObject, _>(&controller.watching, controller.seen.policies.clone(), |_, _| ())
        .reflect(writer)
        .inspect(move |event| seen(event, &after))
}

/// Asks for a look at each policy that the watch shows to be worth one.
pub async fn ask_for_news(
    watch: impl Stream<Item = watcher::Result<Event<PolicyObject>>> + Send + 'static,
    controller: Arc<Controller>,
) {
    // It carries no finalizer: nothing in Kratos is a policy's.
    let mut changes = Changes::new("");
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let is_list = matches!(event, Event::InitDone);
        let news = changes.news(event);
        // Who gains the lead asks for all.
        if controller.leadership.is_leading() {
            for object in news {
                let priority = if is_list { listed(&object) } else { Priority::Person };
                controller.pokes.policies([Place::of(&object)], priority);
            }
        }
    }
}

/// Asks for a look at all that the watch has brought, where this process was a standby until now.
pub fn ask_for_all(controller: &Controller) {
    if controller.leadership.is_elected() {
        for object in &controller.seen.policies.state() {
            controller.pokes.policies([Place::of(&**object)], listed(object));
        }
    }
}

fn listed(object: &PolicyObject) -> Priority {
    object.0.as_ref().map_or(Priority::Routine, urgency::listed)
}

/// One look at a policy; one that is gone is none.
pub fn look(place: &Place, controller: &Arc<Controller>) -> Look {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    let controller = Arc::clone(controller);
    Box::pin(async move {
        match controller.seen.policies.get(&object) {
            Some(object) => access::as_granted(&controller.access, reconcile(object, Arc::clone(&controller)).await),
            None => Ok(Next::WhenAsked.into()),
        }
    })
}

fn seen(event: &watcher::Result<Event<PolicyObject>>, controller: &Controller) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                controller.runs.forget(uid);
                controller.seen.latest_policies.forget(uid);
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => controller.seen.latest_policies.caught_up(object),
        Ok(Event::InitDone) => {
            let policies: HashSet<_> =
                controller.seen.policies.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
            controller.runs.retain(|uid| policies.contains(uid));
            controller.seen.latest_policies.retain(|uid| policies.contains(uid));
        }
        Ok(Event::Init) => {}
        Err(error) => controller.watching.watches.failed::<PolicyObject>(None, error),
    }
}
