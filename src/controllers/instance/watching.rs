//! Watches instances, and says when one is to be looked at and how soon.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use crate::api::INSTANCE_FINALIZER;
use crate::api::objects::InstanceObject;
use crate::base::place::Place;
use crate::controllers::changes::Changes;
use crate::controllers::gone::{self, Remembering};
use crate::controllers::instance::controller::Controller;
use crate::controllers::instance::protect;
use crate::controllers::instance::reconcile::reconcile;
use crate::controllers::queue::{Next, Priority};
use crate::controllers::shared::access;
use crate::controllers::shared::references;
use crate::controllers::watching::watches;
use crate::controllers::workers::Look;

/// Watches all instances.
pub fn watch_all(
    writer: reflector::store::Writer<InstanceObject>,
    controller: &Arc<Controller>,
) -> impl Stream<Item = watcher::Result<Event<InstanceObject>>> + Send + 'static {
    let after = Arc::clone(controller);
    // Seen after the store has taken it in.
    watches::watch::<InstanceObject, _>(&controller.watching, controller.seen.instances.clone(), |_, _| ())
        .reflect(writer)
        .inspect(move |event| seen(event, &after))
}

/// Asks for a look at each instance that the watch shows to be worth one. Everybody waits for instances: all are urgent.
pub async fn ask_for_news(
    watch: impl Stream<Item = watcher::Result<Event<InstanceObject>>> + Send + 'static,
    controller: Arc<Controller>,
) {
    let mut changes = Changes::new(INSTANCE_FINALIZER);
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let news = changes.news(event);
        // Who gains the lead asks for all.
        if !controller.leadership.is_leading() {
            continue;
        }
        controller.pokes.instances(news.iter().map(Place::of), Priority::Person);
    }
}

/// Asks for a look at all that the watch has brought, where this process was a standby until now.
pub fn ask_for_all(controller: &Controller) {
    if controller.leadership.is_elected() {
        let all = controller.seen.instances.state();
        controller.pokes.instances(all.iter().map(|object| Place::of(&**object)), Priority::Person);
    }
}

/// One look at an instance; one that is gone is none.
pub fn look(place: &Place, controller: &Arc<Controller>) -> Look {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    let controller = Arc::clone(controller);
    Box::pin(async move {
        match controller.seen.instances.get(&object) {
            Some(object) => access::as_granted(&controller.access, reconcile(object, Arc::clone(&controller)).await),
            None => Ok(Next::WhenAsked.into()),
        }
    })
}

fn seen(event: &watcher::Result<Event<InstanceObject>>, controller: &Controller) {
    match event {
        Ok(Event::Delete(object)) => {
            let place = Place::of(object);
            if let Some(uid) = &object.meta().uid {
                controller.seen.latest_instances.forget(uid);
            }
            controller.registry.forget(&place);
            controller.metrics.instances.forget(&place);
            controller.leads.forget(&place);
            controller.pokes.identities(references::referring(&controller.seen, &place), Priority::Arrived);
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            controller.seen.latest_instances.caught_up(object);
            let place = Place::of(object);
            protect::seen(&place, controller);
            if controller.options.instance_namespaces.contains(&place.namespace) {
                controller.metrics.instances.of(&place);
            }
        }
        Ok(Event::InitDone) => {
            let _ = controller.seen.listed.instances.set(());
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
        Err(error) => controller.watching.watches.failed::<InstanceObject>(None, error),
    }
}
