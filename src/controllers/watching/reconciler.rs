//! What a controller does with its watch and its queue, whatever its kind: enqueues what changed, and reconciles what is there.
//! Decides nothing about the objects.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use tokio_util::sync::CancellationToken;

use crate::base::flow::leadership::Leadership;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::predicate::ChangePredicate;
use crate::controllers::queue::{Priority, ReconcileResult, Requeue};
use crate::controllers::shared::access::{self, Access};
use crate::controllers::workers::{self, ReconcileFuture, WorkQueue};

/// What differs between the kinds.
pub trait Reconciler: Send + Sync + 'static {
    type Object: Resource<DynamicType = ()> + Clone + Send + Sync + 'static;
    /// Ours; empty where the kind has none.
    const FINALIZER: &'static str;

    fn parts(&self) -> Parts<'_, Self::Object>;

    /// Whether an object is this operator's to reconcile.
    fn is_own(&self, _: &Self::Object) -> bool {
        true
    }

    /// How urgent an object is that a list shows. Nobody saw what happened to it: it tells by itself whether somebody waits.
    fn listed(object: &Self::Object) -> Priority;

    fn reconcile(
        self: Arc<Self>,
        object: Arc<Self::Object>,
    ) -> impl Future<Output = Result<ReconcileResult, kube::Error>> + Send;
}

/// What it takes of a controller.
pub struct Parts<'a, K: Resource<DynamicType = ()> + 'static> {
    pub store: &'a Store<K>,
    pub queue: &'a WorkQueue,
    pub leadership: &'a Leadership,
    pub access: &'a Access,
}

/// Enqueues each object that the watch shows to be worth a reconcile. The watch shows the operator's own alone.
pub async fn enqueue_changed<R: Reconciler>(
    watch: impl Stream<Item = watcher::Result<Event<R::Object>>> + Send + 'static,
    reconciler: Arc<R>,
) {
    let Parts { queue, leadership, .. } = reconciler.parts();
    let mut changes = ChangePredicate::new(R::FINALIZER);
    let mut watch = std::pin::pin!(watch);
    while let Some(event) = watch.next().await {
        // What went wrong has been said.
        let Ok(event) = event else { continue };
        let is_list = matches!(event, Event::InitDone);
        let news = changes.changed(event);
        // Who gains the lead asks for all: another process has had the news.
        if leadership.is_leading() {
            for object in news {
                let priority = if is_list { R::listed(&object) } else { Priority::Person };
                queue.enqueue([NamespacedName::of(&object)], priority);
            }
        }
    }
}

/// Reconciles what is enqueued, until the process is to stop.
pub async fn run<R: Reconciler>(controller: workers::Controller, reconciler: &Arc<R>, stop: &CancellationToken) {
    let Parts { store, queue, leadership, .. } = reconciler.parts();
    // What the watch has brought while this process was a standby.
    if leadership.is_elected() {
        for object in store.state().iter().filter(|object| reconciler.is_own(object)) {
            queue.enqueue([NamespacedName::of(&**object)], R::listed(object));
        }
    }
    workers::run(controller, queue, stop, |key: &NamespacedName| reconcile_key(key, reconciler)).await;
}

/// One reconcile of an object; of one that is gone, or another operator's, there is none.
fn reconcile_key<R: Reconciler>(key: &NamespacedName, reconciler: &Arc<R>) -> ReconcileFuture {
    let object = ObjectRef::new(&key.name).within(&key.namespace);
    let reconciler = Arc::clone(reconciler);
    Box::pin(async move {
        let Parts { store, access, .. } = reconciler.parts();
        match store.get(&object) {
            Some(object) if reconciler.is_own(&object) => {
                access::as_granted(access, Arc::clone(&reconciler).reconcile(object).await)
            }
            _ => Ok(Requeue::OnChange.into()),
        }
    })
}
