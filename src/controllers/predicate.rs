//! Which events of a watch are worth a reconcile. Pure but for what it remembers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use crate::api::{keep_token, release_token, requested_at};

/// What was last seen of each object.
#[derive(Debug)]
pub struct ChangePredicate<K> {
    finalizer: &'static str,
    seen: HashMap<String, Seen>,
    /// Uids that the list under way has shown, and its news: told once it is complete, since the store shows it no
    /// earlier.
    listed: HashSet<String>,
    held_back: Vec<K>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    wanted: u64,
    is_held: bool,
}

impl<K: Resource> ChangePredicate<K> {
    /// `finalizer`: ours. That it was added is no news, since only we add it, in the middle of a reconcile.
    pub fn new(finalizer: &'static str) -> Self {
        Self { finalizer, seen: HashMap::new(), listed: HashSet::new(), held_back: Vec::new() }
    }

    /// The objects that an event makes worth a reconcile: where something changed that a person or another program asks
    /// for (generation, deletion, a request for a reconcile, a release, other finalizers, or ours taken away). A list's
    /// are told when it is complete.
    pub fn changed(&mut self, event: Event<K>) -> Vec<K> {
        match event {
            Event::Apply(object) => self.if_news(object).into_iter().collect(),
            Event::Delete(object) => {
                self.seen.remove(uid(&object));
                Vec::new()
            }
            // A list that broke off begins anew, and takes what it has shown for seen: its news are still to be told.
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(uid(&object).to_owned());
                let news = self.if_news(object);
                self.held_back.extend(news);
                Vec::new()
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.seen.retain(|uid, _| listed.contains(uid));
                std::mem::take(&mut self.held_back)
            }
        }
    }

    fn if_news(&mut self, object: K) -> Option<K> {
        let now = self.observe(&object);
        let before = self.seen.insert(uid(&object).to_owned(), now);
        let is_news = before.is_none_or(|before| before.wanted != now.wanted || (before.is_held && !now.is_held));
        is_news.then_some(object)
    }

    fn observe(&self, object: &K) -> Seen {
        let meta = object.meta();
        let finalizers = meta.finalizers.iter().flatten();
        let (ours, others): (Vec<_>, Vec<_>) = finalizers.partition(|finalizer| *finalizer == self.finalizer);
        let mut hasher = DefaultHasher::new();
        (meta.generation, others, meta.deletion_timestamp.is_some()).hash(&mut hasher);
        requested_at(meta.annotations.as_ref()).hash(&mut hasher);
        release_token(meta.annotations.as_ref()).hash(&mut hasher);
        keep_token(meta.annotations.as_ref()).hash(&mut hasher);
        Seen { wanted: hasher.finish(), is_held: !ours.is_empty() }
    }
}

/// Which namespaces have other labels than before.
#[derive(Debug, Default)]
pub struct LabelPredicate {
    seen: HashMap<String, BTreeMap<String, String>>,
    /// What the list under way shows; it counts once it is complete, since the store shows it no earlier.
    listed: HashMap<String, BTreeMap<String, String>>,
}

impl LabelPredicate {
    /// Names of the namespaces that an event shows with other labels, or for the first time.
    pub fn changed<K: Resource>(&mut self, event: &Event<K>) -> Vec<String> {
        match event {
            Event::Apply(object) => {
                let (name, labels) = (object.name_any(), object.labels().clone());
                let before = self.seen.insert(name.clone(), labels);
                if before.as_ref() == Some(object.labels()) { Vec::new() } else { vec![name] }
            }
            Event::Delete(object) => {
                self.seen.remove(&object.name_any());
                Vec::new()
            }
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(object.name_any(), object.labels().clone());
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.seen, std::mem::take(&mut self.listed));
                let others = self.seen.iter().filter(|(name, labels)| before.get(*name) != Some(labels));
                others.map(|(name, _)| name.clone()).collect()
            }
        }
    }
}

fn uid(object: &impl Resource) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, json};

    use super::*;

    fn event(changes: &Value) -> Event<ConfigMap> {
        let mut object = json!({"metadata": {"uid": "u", "generation": 1}});
        json_patch::merge(&mut object, &json!({ "metadata": changes }));
        Event::Apply(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn only_what_somebody_asks_for_is_news() {
        let mut changes = ChangePredicate::new("ours");
        let mut is_news = |metadata: Value| !changes.changed(event(&metadata)).is_empty();
        assert!(is_news(json!({})), "never seen before");
        assert!(!is_news(json!({"resourceVersion": "2"})), "a status");
        assert!(!is_news(json!({"finalizers": ["ours"]})), "our own finalizer");
        assert!(is_news(json!({"finalizers": ["ours", "theirs"]})), "another finalizer");
        assert!(is_news(json!({"finalizers": ["theirs"]})), "ours taken away");
        assert!(is_news(json!({"finalizers": ["theirs"], "generation": 2})), "a new spec");
        let annotations = json!({"kratos-operator.dev/reconcile-requested-at": "now"});
        let asked = json!({"finalizers": ["theirs"], "generation": 2, "annotations": annotations});
        assert!(is_news(asked.clone()), "a request");
        assert!(!is_news(asked), "the same request");
        let release = json!({"kratos-operator.dev/reconcile-requested-at": "now", "kratos-operator.dev/release": "1"});
        assert!(is_news(json!({"finalizers": ["theirs"], "generation": 2, "annotations": release})), "a release");
    }

    #[test]
    fn what_a_list_shows_is_told_once_the_list_is_complete() {
        let mut changes = ChangePredicate::new("ours");
        let object = |uid: &str| match event(&json!({ "uid": uid })) {
            Event::Apply(object) => object,
            _ => unreachable!(),
        };
        let mut told = |event: Event<ConfigMap>| {
            let news = changes.changed(event).into_iter();
            news.map(|object| object.metadata.uid.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(told(Event::Init), Vec::<String>::new());
        assert_eq!(told(Event::InitApply(object("ada"))), Vec::<String>::new());
        assert_eq!(told(Event::InitApply(object("grace"))), Vec::<String>::new());
        assert_eq!(told(Event::InitDone), ["ada", "grace"]);
        told(Event::Init);
        told(Event::InitApply(object("grace")));
        assert_eq!(told(Event::InitDone), Vec::<String>::new(), "nothing new");
        assert_eq!(told(Event::Apply(object("ada"))), ["ada"], "the list didn't show it, so it was forgotten");
    }

    #[test]
    fn a_list_that_broke_off_loses_no_news() {
        let mut changes = ChangePredicate::new("ours");
        let object = || match event(&json!({ "uid": "ada" })) {
            Event::Apply(object) => object,
            _ => unreachable!(),
        };
        for event in [Event::Init, Event::InitApply(object()), Event::Init, Event::InitApply(object())] {
            assert!(changes.changed(event).is_empty());
        }
        assert_eq!(changes.changed(Event::InitDone).len(), 1);
    }

    #[test]
    fn other_labels_of_a_namespace_are_news_once_the_store_has_them() {
        let mut labels = LabelPredicate::default();
        let namespace = |name: &str, team: &str| -> ConfigMap {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {"team": team}}})).unwrap()
        };
        let nothing = Vec::<String>::new();
        assert_eq!(labels.changed(&Event::Apply(namespace("a", "ops"))), ["a"]);
        assert_eq!(labels.changed(&Event::Apply(namespace("a", "ops"))), nothing);
        assert_eq!(labels.changed(&Event::Apply(namespace("a", "sales"))), ["a"]);
        assert_eq!(labels.changed(&Event::<ConfigMap>::Init), nothing);
        assert_eq!(labels.changed(&Event::InitApply(namespace("a", "ops"))), nothing);
        assert_eq!(labels.changed(&Event::InitApply(namespace("b", "ops"))), nothing);
        let mut told = labels.changed(&Event::<ConfigMap>::InitDone);
        told.sort();
        assert_eq!(told, ["a", "b"]);
        labels.changed(&Event::Delete(namespace("a", "ops")));
        assert_eq!(labels.changed(&Event::Apply(namespace("a", "ops"))), ["a"], "made anew");
    }
}
