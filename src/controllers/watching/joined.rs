//! Several watches, one of each namespace, shown as one. Pure.
//!
//! A list of one namespace says nothing of the others: it becomes part of a list of everything. The first such list waits until
//! each namespace was listed or refused. A namespace that is refused isn't known, and holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

/// The objects of a namespace, by name.
pub(super) type List<K> = BTreeMap<String, K>;

/// What to show.
#[derive(Debug)]
pub(super) enum News<K> {
    Nothing,
    /// Of one object.
    Event(Event<K>),
    /// These namespaces were listed; of the others nothing has changed.
    Lists(BTreeMap<String, List<K>>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Joined<K> {
    /// Those that nothing was heard of yet.
    unheard: BTreeSet<String>,
    /// Complete lists that wait for those.
    waiting: BTreeMap<String, List<K>>,
    /// Lists under way.
    partial: BTreeMap<String, List<K>>,
}

impl<K: Resource> Joined<K> {
    pub fn new(namespaces: &BTreeSet<String>) -> Self {
        Self { unheard: namespaces.clone(), waiting: BTreeMap::new(), partial: BTreeMap::new() }
    }

    /// Takes in what a namespace's watch shows; `None`: that it is forbidden.
    pub(super) fn take_in(&mut self, namespace: &str, event: Option<Event<K>>) -> News<K> {
        match event {
            Some(Event::Init) => {
                self.partial.insert(namespace.to_owned(), List::new());
                News::Nothing
            }
            Some(Event::InitApply(object)) => {
                self.partial.entry(namespace.to_owned()).or_default().insert(object.name_any(), object);
                News::Nothing
            }
            Some(Event::InitDone) => {
                let list = self.partial.remove(namespace).unwrap_or_default();
                self.waiting.insert(namespace.to_owned(), list);
                self.heard(namespace)
            }
            // What was known of it stays so: it may be there all the same.
            None => {
                self.partial.remove(namespace);
                if self.unheard.contains(namespace) { self.heard(namespace) } else { News::Nothing }
            }
            Some(event) => match self.waiting.get_mut(namespace) {
                // Nobody has been shown the list that this changes.
                Some(list) => {
                    change(list, event);
                    News::Nothing
                }
                None => News::Event(event),
            },
        }
    }

    fn heard(&mut self, namespace: &str) -> News<K> {
        self.unheard.remove(namespace);
        if self.unheard.is_empty() { News::Lists(mem::take(&mut self.waiting)) } else { News::Nothing }
    }
}

fn change<K: Resource>(list: &mut List<K>, event: Event<K>) {
    match event {
        Event::Apply(object) => {
            list.insert(object.name_any(), object);
        }
        Event::Delete(object) => {
            list.remove(&object.name_any());
        }
        Event::Init | Event::InitApply(_) | Event::InitDone => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;

    fn object(name: &str, version: &str) -> ConfigMap {
        let (name, resource_version) = (Some(name.to_owned()), Some(version.to_owned()));
        ConfigMap { metadata: ObjectMeta { name, resource_version, ..ObjectMeta::default() }, ..ConfigMap::default() }
    }

    fn joined(namespaces: &[&str]) -> Joined<ConfigMap> {
        Joined::new(&namespaces.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Lists as `namespace: name@version …`.
    fn lists(news: News<ConfigMap>) -> Vec<String> {
        let News::Lists(lists) = news else { panic!("{news:?}") };
        let words = |list: List<ConfigMap>| {
            let words =
                list.into_iter().map(|(name, object)| format!(" {name}@{}", object.resource_version().unwrap()));
            words.collect::<String>()
        };
        lists.into_iter().map(|(namespace, list)| format!("{namespace}:{}", words(list))).collect()
    }

    fn list(joined: &mut Joined<ConfigMap>, namespace: &str, names: &[&str]) -> News<ConfigMap> {
        assert!(matches!(joined.take_in(namespace, Some(Event::Init)), News::Nothing));
        for name in names {
            assert!(matches!(joined.take_in(namespace, Some(Event::InitApply(object(name, "1")))), News::Nothing));
        }
        joined.take_in(namespace, Some(Event::InitDone))
    }

    #[test]
    fn the_first_list_is_of_all_namespaces_with_what_has_changed_meanwhile() {
        let mut joined = joined(&["a", "b", "c"]);
        assert!(matches!(list(&mut joined, "a", &["ada", "bob"]), News::Nothing));
        assert!(matches!(joined.take_in("a", Some(Event::Apply(object("ada", "2")))), News::Nothing));
        assert!(matches!(joined.take_in("a", Some(Event::Delete(object("bob", "3")))), News::Nothing));
        assert!(matches!(list(&mut joined, "b", &[]), News::Nothing));
        assert_eq!(lists(list(&mut joined, "c", &["cyd"])), ["a: ada@2", "b:", "c: cyd@1"]);
        let news = joined.take_in("a", Some(Event::Apply(object("ada", "4"))));
        assert!(matches!(news, News::Event(Event::Apply(_))), "{news:?}");
    }

    #[test]
    fn a_later_list_is_of_its_namespace_alone() {
        let mut joined = joined(&["a", "b"]);
        list(&mut joined, "a", &["ada"]);
        list(&mut joined, "b", &["bob"]);
        assert!(matches!(joined.take_in("a", Some(Event::Init)), News::Nothing));
        // Meanwhile the other one's changes go on being shown.
        assert!(matches!(joined.take_in("b", Some(Event::Delete(object("bob", "2")))), News::Event(Event::Delete(_))));
        assert!(matches!(joined.take_in("a", Some(Event::InitApply(object("eve", "1")))), News::Nothing));
        assert_eq!(lists(joined.take_in("a", Some(Event::InitDone))), ["a: eve@1"]);
    }

    #[test]
    fn what_is_refused_is_not_known_and_never_gone() {
        let mut joined = joined(&["a", "b"]);
        assert!(matches!(list(&mut joined, "a", &["ada"]), News::Nothing));
        assert_eq!(lists(joined.take_in("b", None)), ["a: ada@1"], "b isn't listed, and holds up nobody");
        assert_eq!(lists(list(&mut joined, "b", &["bob"])), ["b: bob@1"], "once it is granted");
        // A list that breaks off says nothing.
        joined.take_in("b", Some(Event::Init));
        assert!(matches!(joined.take_in("b", None), News::Nothing));
        assert!(matches!(joined.take_in("b", None), News::Nothing));
    }
}
