//! Counts those that are known to be about to come, so that whoever gathers them can wait for them instead of guessing by
//! time. Knows nothing of what they come for.

use tokio::sync::watch;

use super::counts::Counts;

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
        self.0.send_modify(|counts| counts.add(group));
        Expected { counts: self.0.clone(), group: group.to_owned() }
    }

    /// How many are expected, now and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| counts.remove(&self.group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_come_is_expected_no_more() {
        let expectation = Expectation::default();
        let counts = expectation.watch();
        let [one, other] = ["a", "b"].map(|group| expectation.clone().expect(group));
        drop(other);
        assert!(counts.borrow().has("a") && !counts.borrow().has("b"));
        drop(one);
        assert!(counts.borrow().is_empty());
    }
}
