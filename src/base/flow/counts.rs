//! Counts items per group. Pure.

use std::collections::HashMap;

/// Counts by group. Groups without items aren't kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(HashMap<String, usize>);

impl Counts {
    /// Adds one.
    pub fn add(&mut self, group: &str) {
        if let Some(count) = self.0.get_mut(group) {
            *count += 1;
        } else {
            self.0.insert(group.to_owned(), 1);
        }
    }

    /// Takes one away, if there are any.
    pub fn remove(&mut self, group: &str) {
        match self.0.get_mut(group) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.0.remove(group)),
        }
    }

    /// Whether a group has any.
    pub fn has(&self, group: &str) -> bool {
        self.0.contains_key(group)
    }

    /// Whether no group has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_group_of_which_there_are_none() {
        let mut counts = Counts::default();
        for group in ["a", "a", "b"] {
            counts.add(group);
        }
        counts.remove("a");
        counts.remove("b");
        counts.remove("c");
        assert_eq!((counts.has("a"), counts.has("b"), counts.is_empty()), (true, false, false));
        counts.remove("a");
        assert_eq!(counts, Counts::default());
        assert!(counts.is_empty());
    }
}
