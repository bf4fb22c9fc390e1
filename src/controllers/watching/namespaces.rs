//! What is known of namespaces, of which labels say whose resources an instance serves: by a watch, or where the operator works in
//! some namespaces alone by asking for them now and then (no role of a namespace can grant more than to get it).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use tokio::sync::Notify;

use super::watches::PAGE_SIZE;
use crate::api::decode::Metadata;
use crate::api::objects::IdentityObject;
use crate::base::backoff;
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::predicate::LabelPredicate;
use crate::controllers::queue::Priority;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::informers::Informers;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::policy_triggers::PolicyTriggers;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::instance::Registry;
use crate::kubernetes::watch_backoff::WatchBackoff;
use crate::kubernetes::watches::Watches;

/// How often they are asked for.
const ASKED_EVERY: Duration = Duration::from_secs(30);
/// How often one is asked for that couldn't be read yet.
const NOT_READ_YET: Duration = Duration::from_secs(2);

type Told = watcher::Result<Event<Metadata<Namespace>>>;

/// What it takes to watch namespaces, and whom a change concerns.
pub struct NamespaceWatch {
    pub client: kube::Client,
    pub options: Arc<Options>,
    pub seen: Arc<Informers>,
    pub registry: Arc<Registry>,
    pub queues: WorkQueues,
    pub policy_triggers: PolicyTriggers,
    pub access: Arc<Access>,
    pub watches: Watches,
    /// Has them read again now, where they can't be watched.
    pub changed: Arc<Notify>,
}

/// Keeps what is known of the operator's namespaces up to date, and enqueues the identities of one whose labels changed.
pub async fn watch_all(writer: reflector::store::Writer<Metadata<Namespace>>, watch: Arc<NamespaceWatch>) {
    let mut labels = LabelPredicate::default();
    let news = match &watch.options.namespaces {
        Some(names) => asked_for(names.clone(), Arc::clone(&watch)).boxed(),
        None => watched(&watch.client).boxed(),
    };
    let mut news = std::pin::pin!(watch.watches.observe(None, news).reflect(writer));
    while let Some(event) = news.next().await {
        match event {
            Ok(event) => {
                for namespace in labels.changed(&event) {
                    watch.queues.enqueue_identities(within(&namespace, &watch), Priority::Arrived);
                    watch.policy_triggers.namespace_changed(&namespace);
                }
                if matches!(event, Event::InitDone) {
                    let _ = watch.seen.has_synced.namespaces.set(());
                }
            }
            Err(error) => watch.watches.failed::<Namespace>(None, &error),
        }
    }
}

fn watched(client: &kube::Client) -> impl Stream<Item = Told> + Send + use<> {
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    watcher(Api::<Metadata<Namespace>>::all(client.clone()), config).backoff(WatchBackoff::default())
}

/// The namespaces of these names as they are, again and again. The first time all come together, as a list: but for those that
/// may not be read, which aren't known then. One that was seen and may not be read any more stays as it was seen.
fn asked_for(names: BTreeSet<String>, watch: Arc<NamespaceWatch>) -> impl Stream<Item = Told> + Send {
    let rounds = stream::unfold(BTreeMap::new(), move |mut seen: BTreeMap<String, Metadata<Namespace>>| {
        let (names, watch) = (names.clone(), Arc::clone(&watch));
        async move {
            let is_first = !watch.seen.has_synced.namespaces.initialized();
            if !is_first {
                let _ = tokio::time::timeout(backoff::jitter(ASKED_EVERY), watch.changed.notified()).await;
            }
            let mut events = Vec::new();
            for name in &names {
                let before = seen.get(name);
                match ask(name, is_first, &watch).await {
                    Some(Ok(now)) => {
                        if now.metadata.deletion_timestamp.is_some()
                            && before.is_some_and(|before| before.metadata.deletion_timestamp.is_none())
                        {
                            say_leaving(name, &watch);
                        }
                        if before.is_none_or(|before| before.metadata.resource_version != now.metadata.resource_version)
                        {
                            events.push(Event::Apply(now.clone()));
                        }
                        seen.insert(name.clone(), now);
                    }
                    Some(Err(Gone)) => events.extend(seen.remove(name).map(Event::Delete)),
                    None => {}
                }
            }
            if is_first {
                let list = seen.values().cloned().map(Event::InitApply);
                events = std::iter::once(Event::Init).chain(list).chain([Event::InitDone]).collect();
            }
            Some((stream::iter(events.into_iter().map(Ok)), seen))
        }
    });
    rounds.flatten()
}

/// Its rights there may go before its finalizers do.
fn say_leaving(namespace: &str, watch: &NamespaceWatch) {
    tracing::warn!(
        namespace,
        "the namespace is being deleted, and the operator's RoleBinding with it: what carries its finalizer there may be left \
         behind; see docs/namespaced-mode.md"
    );
    watch.queues.enqueue_instances(watch.registry.keys(), Priority::Arrived);
}

/// There is no namespace of that name.
struct Gone;

/// A namespace as it is; `None`: it can't be told. The first time an API server that doesn't answer is waited for.
async fn ask(name: &str, is_first: bool, watch: &NamespaceWatch) -> Option<Result<Metadata<Namespace>, Gone>> {
    let api = Api::<Metadata<Namespace>>::all(watch.client.clone());
    let what = format!("reading namespace {name}");
    loop {
        match api.get_opt(name).await {
            Ok(found) => {
                watch.watches.request_succeeded(&what);
                return Some(found.ok_or(Gone));
            }
            Err(error) if kube_error::is_forbidden(&error) => {
                watch.access.note_refused(&error);
                return None;
            }
            Err(error) => {
                watch.watches.request_failed(&what, &error);
                if !is_first {
                    return None;
                }
                tokio::time::sleep(backoff::jitter(NOT_READ_YET)).await;
            }
        }
    }
}

/// The operator's own identities of a namespace.
fn within(namespace: &str, watch: &NamespaceWatch) -> Vec<NamespacedName> {
    let all = watch.seen.identities.state();
    let is_within = |object: &IdentityObject| object.meta().namespace.as_deref() == Some(namespace);
    let within = all.iter().filter(|object| is_within(object) && watch.seen.is_own(&***object));
    within.map(|object| NamespacedName::of(&**object)).collect()
}
