//! Counts callers that will come soon, so that whoever gathers a batch can wait for them instead of guessing by time. Knows
//! nothing of what they come for.

use tokio::sync::watch;

use super::counts::Counts;

/// How many callers are expected. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Expectation(watch::Sender<Counts>);

/// One expected caller. Drop it when the caller has come, or won't come.
#[derive(Debug)]
pub struct Expected {
    counts: watch::Sender<Counts>,
    group: String,
}

impl Expectation {
    /// Announces one caller.
    pub fn expect(&self, group: &str) -> Expected {
        self.0.send_modify(|counts| counts.add(group));
        Expected { counts: self.0.clone(), group: group.to_owned() }
    }

    /// How many are expected, now and at every change.
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
