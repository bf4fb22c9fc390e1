//! Which resources wait for another identity to go, so that they are reconciled as soon as it is gone or has changed. Lost with
//! the process: the next resync reconciles all of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::namespaced_name::NamespacedName;

/// How many resources that don't know what stands in their way are enqueued whenever an identity goes.
const UNKNOWING: usize = 16;

/// Each resource with the id of the identity in its way, where that is known.
#[derive(Debug, Default)]
pub struct Conflicts(Mutex<HashMap<NamespacedName, Option<Box<str>>>>);

impl Conflicts {
    /// Notes that an identity stands in a resource's way. Without an id, what was noted before stays.
    pub fn note(&self, key: &NamespacedName, id: Option<&str>) {
        let mut known = self.state();
        let entry = known.entry(key.clone()).or_default();
        if let Some(id) = id {
            *entry = Some(id.into());
        }
    }

    /// Nothing is known to stand in its way.
    pub fn forget(&self, key: &NamespacedName) {
        self.state().remove(key);
    }

    /// An identity is gone, or has other identifiers: those that it stood in the way of, taken out, and some of those that don't
    /// know what does.
    pub fn freed(&self, id: &str) -> Vec<NamespacedName> {
        let mut unknowing = 0;
        let is_meant = |_: &NamespacedName, obstacle: &mut Option<Box<str>>| {
            unknowing += usize::from(obstacle.is_none());
            obstacle.as_deref().map_or(unknowing <= UNKNOWING, |obstacle| obstacle == id)
        };
        self.state().extract_if(is_meant).map(|(key, _)| key).collect()
    }

    fn state(&self) -> MutexGuard<'_, HashMap<NamespacedName, Option<Box<str>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_an_identity_stood_in_the_way_of_are_told_once_when_it_is_gone() {
        let conflicts = Conflicts::default();
        let [one, two, three] = ["one", "two", "three"].map(|name| NamespacedName::new("team", name));
        conflicts.note(&one, Some("id-a"));
        conflicts.note(&one, None);
        conflicts.note(&two, Some("id-b"));
        conflicts.note(&three, Some("id-a"));
        conflicts.forget(&three);
        assert_eq!(conflicts.freed("id-a"), [one]);
        assert_eq!(conflicts.freed("id-a"), []);
        assert_eq!(conflicts.freed("id-b"), [two]);
    }

    #[test]
    fn of_those_that_do_not_know_some_are_told() {
        let conflicts = Conflicts::default();
        for number in 0..20 {
            conflicts.note(&NamespacedName::new("team", format!("one-{number}").as_str()), None);
        }
        assert_eq!(conflicts.freed("any").len(), UNKNOWING);
        assert_eq!(conflicts.freed("any").len(), 4);
    }
}
