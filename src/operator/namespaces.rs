//! Watches namespaces, of which labels say whose resources an instance serves.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;

use crate::changes::Labels;
use crate::context::{Context, IdentityObject};
use crate::decode::Metadata;
use crate::kube_error::of_watch;
use crate::place::Place;
use crate::policy::poke;
use crate::queue::Priority;

/// Watches all namespaces, and asks for a look at the identities of one whose labels changed.
pub(super) async fn watch_all(writer: reflector::store::Writer<Metadata<Namespace>>, context: Arc<Context>) {
    let mut labels = Labels::default();
    let mut watch = std::pin::pin!(super::watch::<Metadata<Namespace>>(&context.client).reflect(writer));
    while let Some(event) = watch.next().await {
        match event {
            Ok(event) => {
                for namespace in labels.news(&event) {
                    context.pokes.identities(within(&namespace, &context), Priority::Arrived);
                    poke::namespace_changed(&context, &namespace);
                }
                if matches!(event, Event::InitDone) {
                    let _ = context.listed.namespaces.set(());
                }
            }
            Err(error) => tracing::warn!(error = of_watch(&error), "watching namespaces failed; it is tried again"),
        }
    }
}

/// The operator's own identities of a namespace.
fn within(namespace: &str, context: &Context) -> Vec<Place> {
    let all = context.identities.state();
    let is_within = |object: &IdentityObject| object.meta().namespace.as_deref() == Some(namespace);
    let within = all.iter().filter(|object| is_within(object) && context.is_own(&***object));
    within.map(|object| Place::of(&**object)).collect()
}
