//! Counts those that are known to be about to come, so that whoever gathers them can wait for them instead of guessing by
//! time. Knows nothing of what they come for.

use std::collections::HashMap;

use tokio::sync::watch;

/// How many of each group are expected; nothing of a group of which nobody is.
pub type Counts = HashMap<String, usize>;

/// How many are expected. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Expectation(watch::Sender<Counts>);

/// One that is about to come. To be dropped when it has come, or isn't going to.
#[derive(Debug)]
pub struct Expected {
    counts: watch::Sender<Counts>,
    group: String,
}

impl Expectation {
    /// Notes that one is about to come.
    pub fn expect(&self, group: &str) -> Expected {
        let group = group.to_owned();
        self.0.send_modify(|counts| *counts.entry(group.clone()).or_default() += 1);
        Expected { counts: self.0.clone(), group }
    }

    /// How many are expected, now and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let group = std::mem::take(&mut self.group);
        self.counts.send_modify(|counts| {
            let left = counts.get(&group).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                counts.remove(&group);
            } else {
                counts.insert(group, left);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_group_of_which_nobody_is_expected() {
        let expectation = Expectation::default();
        let counts = expectation.watch();
        let [one, two, other] = ["a", "a", "b"].map(|group| expectation.clone().expect(group));
        assert_eq!(*counts.borrow(), HashMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        drop((two, other));
        assert_eq!(*counts.borrow(), HashMap::from([("a".to_owned(), 1)]));
        drop(one);
        assert!(counts.borrow().is_empty());
    }
}
