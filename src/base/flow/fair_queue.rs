//! Whose turn it is among those that wait for the same thing. Namespaces take turns. Within a namespace, the oldest and the
//! newest take turns: a single item doesn't wait for the thousands before it, and old items don't wait for ever while new ones
//! keep coming. Pure.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// The items that wait. `T`: what is handed out when its turn comes.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// By name. Only namespaces with items.
    waiting: BTreeMap<String, Namespace<T>>,
    /// The namespace that had its turn last; the next by name follows.
    last: String,
}

#[derive(Debug)]
struct Namespace<T> {
    /// By ticket: later items have higher ones.
    waiting: BTreeMap<u64, T>,
    /// Whether it is the newest item's turn.
    is_latest: bool,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), last: String::new() }
    }
}

impl<T> FairQueue<T> {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.values().map(|namespace| namespace.waiting.len()).sum()
    }

    /// Adds an item. `ticket`: higher than every one before.
    pub fn add(&mut self, namespace: &str, ticket: u64, item: T) {
        if let Some(namespace) = self.waiting.get_mut(namespace) {
            namespace.waiting.insert(ticket, item);
        } else {
            let waiting = BTreeMap::from([(ticket, item)]);
            self.waiting.insert(namespace.to_owned(), Namespace { waiting, is_latest: false });
        }
    }

    /// Takes the item whose turn it is.
    pub fn take(&mut self) -> Option<T> {
        self.take_if(|_| true)
    }

    /// Takes the item whose turn it is, if `may_go`. Otherwise it keeps its turn.
    pub fn take_if(&mut self, may_go: impl FnOnce(&T) -> bool) -> Option<T> {
        let after = self.waiting.range::<str, _>((Excluded(self.last.as_str()), Unbounded)).next();
        let (name, namespace) = after.or_else(|| self.waiting.first_key_value())?;
        let next =
            if namespace.is_latest { namespace.waiting.last_key_value() } else { namespace.waiting.first_key_value() };
        if !next.is_some_and(|(_, item)| may_go(item)) {
            return None;
        }
        let name = name.clone();
        let taken = self.waiting.get_mut(&name)?.take();
        self.tidy(&name);
        self.last = name;
        taken
    }

    /// Takes the next item, in turn, of the namespaces for which `is_meant` holds.
    pub fn take_among(&mut self, is_meant: impl Fn(&str) -> bool) -> Option<T> {
        let after = self.waiting.range::<str, _>((Excluded(self.last.as_str()), Unbounded));
        let name = after.chain(&self.waiting).map(|(name, _)| name).find(|name| is_meant(name))?.clone();
        let taken = self.waiting.get_mut(&name)?.take();
        self.tidy(&name);
        self.last = name;
        taken
    }

    /// The item of a namespace, if it is the only one there.
    pub fn only(&self, namespace: &str) -> Option<&T> {
        let found = self.waiting.get(namespace)?;
        found.waiting.values().next().filter(|_| found.waiting.len() == 1)
    }

    /// Takes a namespace's oldest item, out of turn.
    pub fn take_first_of(&mut self, namespace: &str) -> Option<T> {
        let (_, item) = self.waiting.get_mut(namespace)?.waiting.pop_first()?;
        self.tidy(namespace);
        Some(item)
    }

    /// The namespaces that have items.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.waiting.keys().map(String::as_str)
    }

    /// Removes an item.
    pub fn remove(&mut self, namespace: &str, ticket: u64) {
        let Some(found) = self.waiting.get_mut(namespace) else { return };
        found.waiting.remove(&ticket);
        self.tidy(namespace);
    }

    fn tidy(&mut self, namespace: &str) {
        if self.waiting.get(namespace).is_some_and(|namespace| namespace.waiting.is_empty()) {
            self.waiting.remove(namespace);
        }
    }
}

impl<T> Namespace<T> {
    fn take(&mut self) -> Option<T> {
        let taken = if self.is_latest { self.waiting.pop_last() } else { self.waiting.pop_first() };
        self.is_latest = !self.is_latest;
        taken.map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn namespaces_take_turns_and_within_one_the_first_and_the_latest_do() {
        let mut queue = FairQueue::default();
        let all = ["a/1", "a/2", "a/3", "a/4", "b/1", "c/1", "c/2"];
        for (ticket, name) in (0..).zip(all) {
            queue.add(&name[..1], ticket, name);
        }
        assert_eq!(queue.len(), all.len());
        assert_eq!(drain(&mut queue), ["a/1", "b/1", "c/1", "a/4", "c/2", "a/2", "a/3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_has_waited_longest_goes_on_however_many_keep_coming() {
        let mut queue = FairQueue::default();
        queue.add("a", 0, "first");
        queue.add("a", 1, "second");
        let mut taken = Vec::new();
        for ticket in 2..6 {
            queue.add("a", ticket, "later");
            taken.extend(queue.take());
        }
        assert_eq!(taken, ["first", "later", "second", "later"]);
    }

    #[test]
    fn who_may_not_go_keeps_its_turn_and_those_that_are_meant_take_theirs() {
        let mut queue = FairQueue::default();
        for (ticket, name) in (0..).zip(["a/1", "b/1", "b/2", "c/1"]) {
            queue.add(&name[..1], ticket, name);
        }
        assert_eq!(queue.take_if(|name| *name != "a/1"), None);
        assert_eq!((queue.only("a"), queue.only("b"), queue.only("d")), (Some(&"a/1"), None, None));
        assert_eq!(queue.take_among(|namespace| namespace != "a"), Some("b/1"));
        assert_eq!(queue.take_among(|namespace| namespace == "b"), Some("b/2"));
        assert_eq!(queue.take_among(|namespace| namespace == "b"), None);
        assert_eq!(queue.take_first_of("c"), Some("c/1"));
        assert_eq!(queue.namespaces().collect::<Vec<_>>(), ["a"]);
        assert_eq!(drain(&mut queue), ["a/1"]);
    }

    #[test]
    fn one_that_was_taken_out_has_no_turn() {
        let mut queue = FairQueue::default();
        queue.add("a", 0, "first");
        queue.add("a", 1, "second");
        queue.add("b", 2, "third");
        queue.remove("a", 0);
        queue.remove("b", 2);
        queue.remove("b", 2);
        assert_eq!(drain(&mut queue), ["second"]);
    }
}
