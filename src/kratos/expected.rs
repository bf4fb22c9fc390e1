//! Counts those that are known to be about to come, so that whoever gathers them can wait for them instead of guessing by
//! time. Knows nothing of what they come for.

use tokio::sync::watch;

/// How many are expected. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Expectation(watch::Sender<usize>);

/// One that is about to come. To be dropped when it has come, or isn't going to.
#[derive(Debug)]
pub struct Expected(watch::Sender<usize>);

impl Expectation {
    /// Notes that one is about to come.
    pub fn expect(&self) -> Expected {
        self.0.send_modify(|expected| *expected += 1);
        Expected(self.0.clone())
    }

    /// How many are expected, now and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.send_modify(|expected| *expected -= 1);
    }
}
