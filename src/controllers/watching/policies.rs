//! Watches session policies, and says when one is to be looked at and how soon.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};

use super::watches;
use crate::api::objects::PolicyObject;
use crate::base::place::Place;
use crate::controllers::access;
use crate::controllers::changes::Changes;
use crate::controllers::context::Context;
use crate::controllers::policy::reconcile::reconcile;
use crate::controllers::policy::urgency;
use crate::controllers::queue::{Next, Priority};
use crate::controllers::workers::Look;

/// Watches all policies.
pub fn watch_all(
    writer: reflector::store::Writer<PolicyObject>,
    context: &Arc<Context>,
) -> impl Stream<Item = watcher::Result<Event<PolicyObject>>> + Send + 'static {
    let after = Arc::clone(context);
    // Seen after the store has taken it in.
    watches::watch::<PolicyObject, _>(context, context.policies.clone(), |_, _| ())
        .reflect(writer)
        .inspect(move |event| seen(event, &after))
}

/// Asks for a look at each policy that the watch shows to be worth one.
pub async fn ask_for_news(
    watch: impl Stream<Item = watcher::Result<Event<PolicyObject>>> + Send + 'static,
    context: Arc<Context>,
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
        if context.leadership.is_leading() {
            for object in news {
                let priority = if is_list { listed(&object) } else { Priority::Person };
                context.pokes.policies([Place::of(&object)], priority);
            }
        }
    }
}

/// Asks for a look at all that the watch has brought, where this process was a standby until now.
pub fn ask_for_all(context: &Context) {
    if context.leadership.is_elected() {
        for object in &context.policies.state() {
            context.pokes.policies([Place::of(&**object)], listed(object));
        }
    }
}

fn listed(object: &PolicyObject) -> Priority {
    object.0.as_ref().map_or(Priority::Routine, urgency::listed)
}

/// One look at a policy; one that is gone is none.
pub fn look(place: &Place, context: &Arc<Context>) -> Look {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    let context = Arc::clone(context);
    Box::pin(async move {
        match context.policies.get(&object) {
            Some(object) => access::as_granted(&context, reconcile(object, Arc::clone(&context)).await),
            None => Ok(Next::WhenAsked.into()),
        }
    })
}

fn seen(event: &watcher::Result<Event<PolicyObject>>, context: &Context) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                context.runs.forget(uid);
                context.latest_policies.forget(uid);
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => context.latest_policies.caught_up(object),
        Ok(Event::InitDone) => {
            let policies: HashSet<_> =
                context.policies.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
            context.runs.retain(|uid| policies.contains(uid));
            context.latest_policies.retain(|uid| policies.contains(uid));
        }
        Ok(Event::Init) => {}
        Err(error) => context.watches.failed::<PolicyObject>(None, error),
    }
}
