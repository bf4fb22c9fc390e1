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
pub(super) enum MergedEvent<K> {
    Nothing,
    /// Of one object.
    Event(Event<K>),
    /// These namespaces were listed; of the others nothing has changed.
    Lists(BTreeMap<String, List<K>>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct MergedWatch<K> {
    /// Those that nothing was heard of yet.
    unheard: BTreeSet<String>,
    /// Complete lists that wait for those.
    waiting: BTreeMap<String, List<K>>,
    /// Lists under way.
    partial: BTreeMap<String, List<K>>,
}

impl<K: Resource> MergedWatch<K> {
    pub fn new(namespaces: &BTreeSet<String>) -> Self {
        Self { unheard: namespaces.clone(), waiting: BTreeMap::new(), partial: BTreeMap::new() }
    }

    /// Takes in what a namespace's watch shows; `None`: that it is forbidden.
    pub(super) fn take_in(&mut self, namespace: &str, event: Option<Event<K>>) -> MergedEvent<K> {
        match event {
            Some(Event::Init) => {
                self.partial.insert(namespace.to_owned(), List::new());
                MergedEvent::Nothing
            }
            Some(Event::InitApply(object)) => {
                self.partial.entry(namespace.to_owned()).or_default().insert(object.name_any(), object);
                MergedEvent::Nothing
            }
            Some(Event::InitDone) => {
                let list = self.partial.remove(namespace).unwrap_or_default();
                self.waiting.insert(namespace.to_owned(), list);
                self.heard(namespace)
            }
            // What was known of it stays so: it may be there all the same.
            None => {
                self.partial.remove(namespace);
                if self.unheard.contains(namespace) { self.heard(namespace) } else { MergedEvent::Nothing }
            }
            Some(event) => match self.waiting.get_mut(namespace) {
                // Nobody has been shown the list that this changes.
                Some(list) => {
                    change(list, event);
                    MergedEvent::Nothing
                }
                None => MergedEvent::Event(event),
            },
        }
    }

    fn heard(&mut self, namespace: &str) -> MergedEvent<K> {
        self.unheard.remove(namespace);
        if self.unheard.is_empty() { MergedEvent::Lists(mem::take(&mut self.waiting)) } else { MergedEvent::Nothing }
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

    fn merged(namespaces: &[&str]) -> MergedWatch<ConfigMap> {
        MergedWatch::new(&namespaces.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Lists as `namespace: name@version …`.
    fn lists(news: MergedEvent<ConfigMap>) -> Vec<String> {
        let MergedEvent::Lists(lists) = news else { panic!("{news:?}") };
        let words = |list: List<ConfigMap>| {
            let words =
                list.into_iter().map(|(name, object)| format!(" {name}@{}", object.resource_version().unwrap()));
            words.collect::<String>()
        };
        lists.into_iter().map(|(namespace, list)| format!("{namespace}:{}", words(list))).collect()
    }

    fn list(merged: &mut MergedWatch<ConfigMap>, namespace: &str, names: &[&str]) -> MergedEvent<ConfigMap> {
        assert!(matches!(merged.take_in(namespace, Some(Event::Init)), MergedEvent::Nothing));
        for name in names {
            assert!(matches!(
                merged.take_in(namespace, Some(Event::InitApply(object(name, "1")))),
                MergedEvent::Nothing
            ));
        }
        merged.take_in(namespace, Some(Event::InitDone))
    }

    #[test]
    fn the_first_list_is_of_all_namespaces_with_what_has_changed_meanwhile() {
        let mut merged = merged(&["a", "b", "c"]);
        assert!(matches!(list(&mut merged, "a", &["ada", "bob"]), MergedEvent::Nothing));
        assert!(matches!(merged.take_in("a", Some(Event::Apply(object("ada", "2")))), MergedEvent::Nothing));
        assert!(matches!(merged.take_in("a", Some(Event::Delete(object("bob", "3")))), MergedEvent::Nothing));
        assert!(matches!(list(&mut merged, "b", &[]), MergedEvent::Nothing));
        assert_eq!(lists(list(&mut merged, "c", &["cyd"])), ["a: ada@2", "b:", "c: cyd@1"]);
        let news = merged.take_in("a", Some(Event::Apply(object("ada", "4"))));
        assert!(matches!(news, MergedEvent::Event(Event::Apply(_))), "{news:?}");
    }

    #[test]
    fn a_later_list_is_of_its_namespace_alone() {
        let mut merged = merged(&["a", "b"]);
        list(&mut merged, "a", &["ada"]);
        list(&mut merged, "b", &["bob"]);
        assert!(matches!(merged.take_in("a", Some(Event::Init)), MergedEvent::Nothing));
        // Meanwhile the other one's changes go on being shown.
        assert!(matches!(
            merged.take_in("b", Some(Event::Delete(object("bob", "2")))),
            MergedEvent::Event(Event::Delete(_))
        ));
        assert!(matches!(merged.take_in("a", Some(Event::InitApply(object("eve", "1")))), MergedEvent::Nothing));
        assert_eq!(lists(merged.take_in("a", Some(Event::InitDone))), ["a: eve@1"]);
    }

    #[test]
    fn what_is_refused_is_not_known_and_never_gone() {
        let mut merged = merged(&["a", "b"]);
        assert!(matches!(list(&mut merged, "a", &["ada"]), MergedEvent::Nothing));
        assert_eq!(lists(merged.take_in("b", None)), ["a: ada@1"], "b isn't listed, and holds up nobody");
        assert_eq!(lists(list(&mut merged, "b", &["bob"])), ["b: bob@1"], "once it is granted");
        // A list that breaks off says nothing.
        merged.take_in("b", Some(Event::Init));
        assert!(matches!(merged.take_in("b", None), MergedEvent::Nothing));
        assert!(matches!(merged.take_in("b", None), MergedEvent::Nothing));
    }
}
