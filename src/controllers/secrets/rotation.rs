//! Notices that a Secret changed which an identity's manifest, or an instance, refers to. Sees metadata of Secrets, never their
//! content.
//!
//! If watching Secrets is forbidden, it says so once and tries again now and then. With `--watch-secrets=false` it never tries.
//! Then identities and instances read their Secrets once per resync.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};

use crate::api::decode::Metadata;
use crate::base::backoff;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::instance::Registry;
use crate::kubernetes::watch_backoff::WatchBackoff;
use crate::kubernetes::watch_error;
use crate::kubernetes::watches::Watches;

/// Objects per page of an initial list.
const PAGE_SIZE: u32 = 500;
/// How often watching is tried again where it is forbidden.
const WHILE_FORBIDDEN: Duration = Duration::from_mins(1);

/// Which identities refer to which Secrets, and which version of each they have read last.
#[derive(Debug, Default)]
pub struct Rotation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By Secret, by identity.
    readers: HashMap<NamespacedName, HashMap<NamespacedName, Version>>,
    secrets: HashMap<NamespacedName, Vec<NamespacedName>>,
    /// The namespaces in which nobody watches; `None`: all of them.
    unwatched: HashSet<Option<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    BeingRead,
    /// The resource version; `None`: it wasn't there.
    Read(Option<String>),
    /// It is there, and nothing else about it matters.
    There,
}

impl Rotation {
    /// An identity is about to read these Secrets of its namespace, and no others from now on. What changes while it
    /// reads isn't missed.
    pub fn reads(&self, identity: &NamespacedName, names: &BTreeSet<&str>) {
        let mut state = self.state();
        state.forget(identity);
        if names.is_empty() {
            return;
        }
        let secrets: Vec<_> =
            names.iter().map(|name| NamespacedName::new(identity.namespace.as_str(), *name)).collect();
        for secret in &secrets {
            state.readers.entry(secret.clone()).or_default().insert(identity.clone(), Version::BeingRead);
        }
        state.secrets.insert(identity.clone(), secrets);
    }

    /// What an identity has read: the Secret's resource version, `None` where there is none.
    pub fn has_read(&self, identity: &NamespacedName, name: &str, version: Option<String>) {
        let secret = NamespacedName::new(identity.namespace.as_str(), name);
        let mut state = self.state();
        if let Some(read) = state.readers.get_mut(&secret).and_then(|readers| readers.get_mut(identity)) {
            *read = Version::Read(version);
        }
    }

    /// An identity relies on it that a Secret of its namespace is there, until it says next what it reads.
    pub fn relies_on(&self, identity: &NamespacedName, name: &str) {
        let secret = NamespacedName::new(identity.namespace.as_str(), name);
        let mut state = self.state();
        state.readers.entry(secret.clone()).or_default().insert(identity.clone(), Version::There);
        state.secrets.entry(identity.clone()).or_default().push(secret);
    }

    /// The identities that haven't read this version.
    pub fn behind(&self, secret: &NamespacedName, version: Option<&str>) -> Vec<NamespacedName> {
        let state = self.state();
        let readers = state.readers.get(secret).into_iter().flatten();
        let is_behind = |read: &Version| match read {
            Version::There => version.is_none(),
            read => *read != Version::Read(version.map(str::to_owned)),
        };
        readers.filter(|(_, read)| is_behind(read)).map(|(identity, _)| identity.clone()).collect()
    }

    /// Forgets an identity that is gone.
    pub fn forget(&self, identity: &NamespacedName) {
        self.state().forget(identity);
    }

    /// Whether an identity must check its Secrets by itself, since no watch shows that they changed.
    pub fn is_missed_by(&self, identity: &NamespacedName) -> bool {
        let state = self.state();
        let is_unwatched =
            || state.unwatched.contains(&None) || state.unwatched.contains(&Some(identity.namespace.clone()));
        state.secrets.contains_key(identity) && is_unwatched()
    }

    /// Notes whether nobody watches in a namespace, or in all of them. Returns whether that is news.
    fn note_unwatched(&self, namespace: Option<&str>, is_unwatched: bool) -> bool {
        let (namespace, mut state) = (namespace.map(str::to_owned), self.state());
        if is_unwatched { state.unwatched.insert(namespace) } else { state.unwatched.remove(&namespace) }
    }

    /// Secrets of a namespace, or of all of them, that somebody refers to and that weren't listed.
    fn missing(&self, listed: &HashSet<NamespacedName>, namespace: Option<&str>) -> Vec<NamespacedName> {
        let state = self.state();
        let meant =
            state.readers.keys().filter(|secret| namespace.is_none_or(|namespace| secret.namespace == namespace));
        meant.filter(|secret| !listed.contains(secret)).cloned().collect()
    }

    /// The identities of a namespace, or of all of them, that refer to Secrets.
    fn all_in(&self, namespace: Option<&str>) -> Vec<NamespacedName> {
        let state = self.state();
        let all = state.secrets.keys().filter(|key| namespace.is_none_or(|namespace| key.namespace == namespace));
        all.cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, identity: &NamespacedName) {
        for secret in self.secrets.remove(identity).into_iter().flatten() {
            if let Some(readers) = self.readers.get_mut(&secret) {
                readers.remove(identity);
                if readers.is_empty() {
                    self.readers.remove(&secret);
                }
            }
        }
    }
}

/// What it takes to watch Secrets, and whom a change concerns.
pub struct SecretWatch {
    pub rotation: Arc<Rotation>,
    pub client: kube::Client,
    pub options: Arc<Options>,
    pub registry: Arc<Registry>,
    pub queues: WorkQueues,
    pub access: Arc<Access>,
    pub watches: Watches,
}

/// The process isn't ready before all that is to be watched was listed.
pub fn await_lists(watch: &SecretWatch) {
    let Options { watches_secrets, namespaces, .. } = watch.options.as_ref();
    match namespaces {
        _ if !watches_secrets => {}
        None => watch.watches.await_list::<Secret>(None),
        Some(names) => names.iter().for_each(|name| watch.watches.await_list::<Secret>(Some(name))),
    }
}

/// Watches for as long as it is polled: in all namespaces, or in each of the operator's own.
pub async fn watch(watch: SecretWatch) {
    if !watch.options.watches_secrets {
        tracing::info!("Secrets aren't watched: a changed one is noticed at the next resync");
        watch.rotation.note_unwatched(None, true);
        return std::future::pending().await;
    }
    match &watch.options.namespaces {
        None => watch_in(None, &watch).await,
        Some(names) => drop(join_all(names.iter().map(|name| watch_in(Some(name), &watch))).await),
    }
}

/// In a namespace; `None`: in all of them.
async fn watch_in(namespace: Option<&str>, watch: &SecretWatch) {
    loop {
        let error = watch_until_forbidden(namespace, watch).await;
        // The operator does without.
        watch.watches.is_listed::<Secret>(namespace);
        watch.access.note_refused_watch(&error);
        if watch.rotation.note_unwatched(namespace, true) {
            tracing::info!(
                namespace,
                "watching Secrets is forbidden: a changed Secret is noticed at the next resync instead of at once"
            );
            // From now on they check by themselves.
            watch.queues.enqueue_identities(watch.rotation.all_in(namespace), Priority::Arrived);
        }
        watch.access.granted_within(backoff::jitter(WHILE_FORBIDDEN)).await;
    }
}

/// Returns the error once the API server says that watching is forbidden; other failures are tried again.
async fn watch_until_forbidden(namespace: Option<&str>, watch: &SecretWatch) -> watcher::Error {
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    let client = watch.client.clone();
    let api = match namespace {
        None => Api::<Metadata<Secret>>::all(client),
        Some(namespace) => Api::<Metadata<Secret>>::namespaced(client, namespace),
    };
    let events = watcher(api, config).backoff(WatchBackoff::default());
    let mut events = std::pin::pin!(watch.watches.observe(namespace, events));
    let mut listed = HashSet::new();
    loop {
        match events.next().await {
            Some(Ok(event)) => take_in(event, &mut listed, namespace, watch),
            Some(Err(error)) if watch_error::is_watch_forbidden(&error) => return error,
            Some(Err(error)) => watch.watches.failed::<Secret>(namespace, &error),
            None => return watcher::Error::NoResourceVersion,
        }
    }
}

fn take_in(
    event: Event<Metadata<Secret>>,
    listed: &mut HashSet<NamespacedName>,
    namespace: Option<&str>,
    watch: &SecretWatch,
) {
    match event {
        Event::Apply(secret) => {
            is_watched(namespace, watch);
            has_changed(&NamespacedName::of(&secret), secret.resource_version().as_deref(), watch);
        }
        Event::Delete(secret) => {
            is_watched(namespace, watch);
            has_changed(&NamespacedName::of(&secret), None, watch);
        }
        Event::Init => listed.clear(),
        Event::InitApply(secret) => {
            has_changed(&NamespacedName::of(&secret), secret.resource_version().as_deref(), watch);
            listed.insert(NamespacedName::of(&secret));
        }
        Event::InitDone => {
            let listed = std::mem::take(listed);
            for gone in watch.rotation.missing(&listed, namespace) {
                has_changed(&gone, None, watch);
            }
        }
    }
}

/// Enqueues the resources that have read another version.
fn has_changed(secret: &NamespacedName, version: Option<&str>, watch: &SecretWatch) {
    watch.queues.enqueue_identities(watch.rotation.behind(secret, version), Priority::Arrived);
    watch.queues.enqueue_instances(watch.registry.outdate(secret, version), Priority::Arrived);
}

/// An event came: that a list did proves nothing, since listing may be allowed where watching isn't.
fn is_watched(namespace: Option<&str>, watch: &SecretWatch) {
    if watch.rotation.note_unwatched(namespace, false) {
        tracing::info!(namespace, "Secrets can be watched now");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> NamespacedName {
        NamespacedName::new("team-a", name)
    }

    fn versions(rotation: &Rotation, version: Option<&str>) -> Vec<String> {
        let mut behind: Vec<_> =
            rotation.behind(&key("shared"), version).into_iter().map(|identity| identity.name).collect();
        behind.sort();
        behind
    }

    #[test]
    fn whoever_has_read_another_version_is_behind_and_nobody_else() {
        let rotation = Rotation::default();
        for name in ["ada", "bob", "cyd"] {
            rotation.reads(&key(name), &BTreeSet::from(["shared", "other"]));
        }
        rotation.reads(&NamespacedName::new("team-b", "dan"), &BTreeSet::from(["shared"]));
        rotation.has_read(&key("ada"), "shared", Some("7".into()));
        rotation.has_read(&key("bob"), "shared", None);
        // One that is still reading may have been answered before the change.
        assert_eq!(versions(&rotation, Some("7")), ["bob", "cyd"]);
        assert_eq!(versions(&rotation, Some("8")), ["ada", "bob", "cyd"]);
        assert_eq!(versions(&rotation, None), ["ada", "cyd"]);
        assert_eq!(rotation.behind(&key("unheard-of"), Some("1")), []);
    }

    #[test]
    fn what_an_identity_refers_to_no_more_is_no_concern_of_its() {
        let rotation = Rotation::default();
        rotation.reads(&key("ada"), &BTreeSet::from(["shared"]));
        rotation.reads(&key("bob"), &BTreeSet::from(["shared"]));
        rotation.reads(&key("ada"), &BTreeSet::new());
        assert_eq!(versions(&rotation, Some("1")), ["bob"]);
        rotation.forget(&key("bob"));
        assert_eq!(versions(&rotation, Some("1")), Vec::<String>::new());
        assert_eq!(rotation.all_in(None), []);
        assert!(rotation.state().readers.is_empty());
    }

    #[test]
    fn where_watching_is_forbidden_those_with_secrets_look_by_themselves() {
        let rotation = Rotation::default();
        rotation.reads(&key("ada"), &BTreeSet::from(["shared"]));
        rotation.reads(&key("bob"), &BTreeSet::new());
        assert!(!rotation.is_missed_by(&key("ada")));
        assert!(rotation.note_unwatched(None, true) && !rotation.note_unwatched(None, true), "said once");
        assert!(rotation.is_missed_by(&key("ada")) && !rotation.is_missed_by(&key("bob")));
        assert_eq!(rotation.all_in(None), [key("ada")]);
    }

    #[test]
    fn each_namespace_is_watched_or_not_by_itself() {
        let rotation = Rotation::default();
        let (ada, dan) = (key("ada"), NamespacedName::new("team-b", "dan"));
        for identity in [&ada, &dan] {
            rotation.reads(identity, &BTreeSet::from(["shared"]));
        }
        rotation.note_unwatched(Some("team-b"), true);
        assert!(!rotation.is_missed_by(&ada) && rotation.is_missed_by(&dan));
        assert_eq!(rotation.all_in(Some("team-b")), std::slice::from_ref(&dan));
        // A list of one namespace says nothing of another one's Secrets.
        assert_eq!(rotation.missing(&HashSet::new(), Some("team-a")), [key("shared")]);
        rotation.note_unwatched(Some("team-b"), false);
        assert!(!rotation.is_missed_by(&dan));
    }
}
