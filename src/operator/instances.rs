//! Watches instances, and says when one is to be looked at and how soon.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use super::watches;
use crate::access;
use crate::api::INSTANCE_FINALIZER;
use crate::changes::Changes;
use crate::context::{Context, InstanceObject};
use crate::instance::reconcile::reconcile;
use crate::instance::references;
use crate::place::Place;
use crate::queue::{Next, Priority};
use crate::workers::Look;

/// Watches all instances.
pub(super) fn watch_all(
    writer: reflector::store::Writer<InstanceObject>,
    context: &Arc<Context>,
) -> impl Stream<Item = watcher::Result<Event<InstanceObject>>> + Send + 'static {
    let after = Arc::clone(context);
    // Seen after the store has taken it in.
    watches::watch::<InstanceObject, _>(context, context.instances.clone(), |_, _| ())
        .reflect(writer)
        .inspect(move |event| seen(event, &after))
}

/// Asks for a look at each instance that the watch shows to be worth one. Everybody waits for instances: all are urgent.
pub(super) async fn ask_for_news(
    watch: impl Stream<Item = watcher::Result<Event<InstanceObject>>> + Send + 'static,
    context: Arc<Context>,
) {
    let mut changes = Changes::new(INSTANCE_FINALIZER);
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let news = changes.news(event);
        // Who gains the lead asks for all.
        if !context.leadership.is_leading() {
            continue;
        }
        context.pokes.instances(news.iter().map(Place::of), Priority::Person);
    }
}

/// Asks for a look at all that the watch has brought, where this process was a standby until now.
pub(super) fn ask_for_all(context: &Context) {
    if context.leadership.is_elected() {
        let all = context.instances.state();
        context.pokes.instances(all.iter().map(|object| Place::of(&**object)), Priority::Person);
    }
}

/// One look at an instance; one that is gone is none.
pub(super) fn look(place: &Place, context: &Arc<Context>) -> Look {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    let context = Arc::clone(context);
    Box::pin(async move {
        match context.instances.get(&object) {
            Some(object) => access::as_granted(&context, reconcile(object, Arc::clone(&context)).await),
            None => Ok(Next::WhenAsked.into()),
        }
    })
}

fn seen(event: &watcher::Result<Event<InstanceObject>>, context: &Context) {
    match event {
        Ok(Event::Delete(object)) => {
            let place = Place::of(object);
            if let Some(uid) = &object.meta().uid {
                context.latest_instances.forget(uid);
            }
            context.registry.forget(&place);
            context.metrics.instances.forget(&place);
            context.leads.forget(&place);
            context.pokes.identities(references::referring(context, &place), Priority::Arrived);
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            context.latest_instances.caught_up(object);
            let place = Place::of(object);
            if context.options.instance_namespaces.contains(&place.namespace) {
                context.metrics.instances.of(&place);
            }
        }
        Ok(Event::InitDone) => {
            let _ = context.listed.instances.set(());
            super::forget_gone(context);
        }
        Ok(Event::Init) => {}
        Err(error) => context.watches.failed::<InstanceObject>(None, error),
    }
}
