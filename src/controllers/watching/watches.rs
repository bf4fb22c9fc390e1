//! Watches all objects of a kind: with one watch, or with one in each of the operator's namespaces, which are shown as if they
//! were one. Decides nothing about the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::merged_watch::{List, MergedEvent, MergedWatch};
use crate::base::backoff;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::options::Options;
use crate::kubernetes::watch_backoff::WatchBackoff;
use crate::kubernetes::watch_error;
use crate::kubernetes::watches::Watches;

/// Objects per page of an initial list.
pub(crate) const PAGE_SIZE: u32 = 500;
/// How often a watch that is forbidden is tried again, should it not be told that it was granted.
const WHILE_FORBIDDEN: Duration = Duration::from_mins(1);

/// What it takes to watch.
#[derive(Clone)]
pub struct Watching {
    pub client: kube::Client,
    pub options: Arc<Options>,
    pub access: Arc<Access>,
    pub watches: Watches,
}

/// Watches a kind. `known`: the store that the events end up in. `noted` is told first of what each watch says, with its
/// namespace where it has one: `Ok(None)` where it is forbidden. What nobody needs of the objects isn't read.
pub fn watch<K, F>(
    watching: &Watching,
    known: Store<K>,
    noted: F,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K, F>
where
    F: Fn(Option<&str>, &watcher::Result<Option<Event<K>>>) + Clone + Send + 'static,
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let client = || watching.client.clone();
    let Some(namespaces) = &watching.options.namespaces else {
        let watch = one(Api::<K>::all(client()), &watching.access).inspect(move |told| noted(None, told));
        let watch = watch.filter_map(|told| async { told.transpose() });
        return watching.watches.observe(None, watch).boxed();
    };
    let each = namespaces.iter().map(|namespace| {
        let (name, noted) = (namespace.clone(), noted.clone());
        let watch = one(Api::<K>::namespaced(client(), namespace), &watching.access);
        let of = name.clone();
        let watch = watch.inspect(move |told| noted(Some(&of), told));
        watching.watches.beats::<K, _>(Some(namespace), watch).map(move |told| (name.clone(), told)).boxed()
    });
    watching.watches.observe(None, join(each.collect(), namespaces, known)).boxed()
}

/// A kind's events in one place, with waits between the tries. `Ok(None)`: it is forbidden, which is noted. From then on it is
/// begun anew, each minute or when something is granted: listing may be allowed where watching isn't.
fn one<K>(api: Api<K>, access: &Arc<Access>) -> BoxStream<'static, watcher::Result<Option<Event<K>>>>
where
    K: Resource + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
{
    let begin = move || watcher(api.clone(), watcher::Config::default().page_size(PAGE_SIZE)).boxed();
    let access = Arc::clone(access);
    let state = (begin(), WatchBackoff::default(), None);
    stream::unfold(state, move |(mut events, mut backoff, after)| {
        let (begin, access) = (begin.clone(), Arc::clone(&access));
        async move {
            match after {
                None => {}
                Some(After::Failure(wait)) => tokio::time::sleep(wait).await,
                Some(After::Refusal) => {
                    access.granted_within(backoff::jitter(WHILE_FORBIDDEN)).await;
                    events = begin();
                }
            }
            let event = events.next().await?;
            let (told, after) = match event {
                Ok(event) => (Ok(Some(event)), None),
                Err(error) if watch_error::is_watch_forbidden(&error) => {
                    access.note_refused_watch(&error);
                    (Ok(None), Some(After::Refusal))
                }
                Err(error) => (Err(error), Some(After::Failure(backoff.wait()))),
            };
            Some((told, (events, backoff, after)))
        }
    })
    .boxed()
}

/// What happened before the next event is waited for.
enum After {
    Failure(Duration),
    Refusal,
}

type Told<K> = (String, watcher::Result<Option<Event<K>>>);

/// Several watches as one.
fn join<K>(
    each: Vec<BoxStream<'static, Told<K>>>,
    namespaces: &BTreeSet<String>,
    known: Store<K>,
) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut joined = MergedWatch::new(namespaces);
    let news = stream::select_all(each).flat_map(move |(namespace, told)| {
        let shown = match told {
            Err(error) => vec![Err(error)],
            Ok(event) => match joined.take_in(&namespace, event) {
                MergedEvent::Nothing => Vec::new(),
                MergedEvent::Event(event) => vec![Ok(event)],
                MergedEvent::Lists(lists) => whole(lists, &known).into_iter().map(Ok).collect(),
            },
        };
        stream::iter(shown)
    });
    news.boxed()
}

/// A list of everything: what some namespaces have just shown, and what is known of the others.
fn whole<K>(lists: BTreeMap<String, List<K>>, known: &Store<K>) -> Vec<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let others =
        known.state().into_iter().filter(|object| !lists.contains_key(&object.namespace().unwrap_or_default()));
    let others: Vec<_> = others.map(|object| Event::InitApply(K::clone(&object))).collect();
    let listed = lists.into_values().flat_map(List::into_values).map(Event::InitApply);
    std::iter::once(Event::Init).chain(others).chain(listed).chain([Event::InitDone]).collect()
}
