//! Which events of a watch are worth a look. Pure but for what it remembers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::Resource;
use kube::runtime::watcher::Event;

use crate::api::requested_at;

/// What was last seen of each object.
#[derive(Debug)]
pub struct Changes {
    finalizer: &'static str,
    seen: HashMap<String, Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    wanted: u64,
    is_held: bool,
}

impl Changes {
    /// `finalizer`: ours. That it was added is no news, since only we add it, in the middle of a look.
    pub fn new(finalizer: &'static str) -> Self {
        Self { finalizer, seen: HashMap::new() }
    }

    /// The object of an event, if something changed that a person or another program asks for: generation, deletion,
    /// a request for a look, other finalizers, or ours taken away.
    pub fn news<K: Resource>(&mut self, event: Event<K>) -> Option<K> {
        let object = match event {
            Event::Apply(object) | Event::InitApply(object) => object,
            Event::Delete(object) => {
                self.seen.remove(object.meta().uid.as_deref().unwrap_or_default());
                return None;
            }
            Event::Init | Event::InitDone => return None,
        };
        let now = self.look(&object);
        let before = self.seen.insert(object.meta().uid.clone().unwrap_or_default(), now);
        let is_news = before.is_none_or(|before| before.wanted != now.wanted || (before.is_held && !now.is_held));
        is_news.then_some(object)
    }

    fn look(&self, object: &impl Resource) -> Seen {
        let meta = object.meta();
        let finalizers = meta.finalizers.iter().flatten();
        let (ours, others): (Vec<_>, Vec<_>) = finalizers.partition(|finalizer| *finalizer == self.finalizer);
        let mut hasher = DefaultHasher::new();
        (meta.generation, others, meta.deletion_timestamp.is_some()).hash(&mut hasher);
        requested_at(meta.annotations.as_ref()).hash(&mut hasher);
        Seen { wanted: hasher.finish(), is_held: !ours.is_empty() }
    }
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
        let mut changes = Changes::new("ours");
        let mut is_news = |metadata: Value| changes.news(event(&metadata)).is_some();
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
    }
}
