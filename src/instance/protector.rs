//! Who asks whether a deletion may be carried out: gathers those that ask at the same time, so that one write can count them
//! all. Writes nothing and decides nothing.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::protection::{self, Census, Deletion};
use crate::api::protection::ProtectionStatus;
use crate::flow::counts::Counts;
use crate::flow::expected::Expectation;

/// How often those that are held are counted again, and the count is written where it changed.
pub(super) const RECOUNT: Duration = Duration::from_secs(2);
/// How long those that have asked wait for others that are about to, after the last one came, so that one write counts them all.
const QUIET: Duration = Duration::from_millis(500);
/// How long is gathered at most, where they keep coming: a busy machine takes its time over hundreds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether an identity may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is counted, and that is persisted; or it was released.
    Granted,
    Held,
    /// Somebody said that it isn't meant: the resource goes, the identity stays as it is.
    Kept,
    /// It couldn't be counted; ask again.
    Unknown,
}

/// Who asks, and what the last listing showed.
#[derive(Debug, Default)]
pub struct Protector {
    state: Mutex<State>,
    pub(super) changed: Notify,
    /// Deletions that are about to ask.
    pub(super) expectation: Expectation,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub asking: Vec<Asking>,
    pub census: Option<Census>,
    /// Uids of resources whose identity the last listing showed to be gone, and that have no other one yet.
    pub gone: HashSet<String>,
    pub counted: Option<Instant>,
    /// How it stood when something last followed from it.
    pub shown: Shown,
}

/// How protection stands, as far as others are looked at again when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub held: u32,
    pub missing: u32,
    /// None while some are held: all of them are.
    holding: Vec<String>,
}

impl Shown {
    pub fn of(status: &ProtectionStatus) -> Self {
        let holding = status.holding.iter().map(|held| held.namespace.clone()).collect();
        Self { held: status.held, missing: status.missing, holding }
    }

    /// Whether what a namespace deletes is held.
    pub fn holds(&self, namespace: &str) -> bool {
        self.held > 0 && (self.holding.is_empty() || self.holding.iter().any(|held| held == namespace))
    }
}

#[derive(Debug)]
pub(super) struct Asking {
    pub deletion: Deletion,
    pub answer: oneshot::Sender<Answer>,
}

impl Protector {
    /// Something may have changed: the annotations that release and keep, or the limits.
    pub fn reconsider(&self) {
        self.changed.notify_one();
    }

    /// Those that have asked until now, as many as one write can grant; the others have the next round.
    pub(super) fn take(&self) -> Vec<Asking> {
        let mut state = self.state();
        let count = state.asking.len().min(protection::KEPT_GRANTS);
        let taken = state.asking.drain(..count).collect();
        if !state.asking.is_empty() {
            self.changed.notify_one();
        }
        taken
    }

    /// Waits for those that are about to ask, not long, and for no more than one write can grant.
    pub(super) async fn gathered(&self) {
        let mut expected = self.expectation.watch();
        let is_enough = |expected: &Counts| {
            let asking = self.state().asking.len();
            expected.is_empty() || asking == 0 || asking >= protection::KEPT_GRANTS
        };
        let begun = tokio::time::Instant::now();
        let asking = || self.state().asking.len();
        let mut before = asking();
        while tokio::time::timeout(QUIET, expected.wait_for(is_enough)).await.is_err() {
            let now = asking();
            if is_over(before, now, begun.elapsed()) {
                return;
            }
            before = now;
        }
    }

    /// Returns when there may be something to do.
    pub(super) async fn woken(&self, is_holding: bool) {
        if is_holding {
            // Whether or not anybody asks: those that are held may go in other ways.
            let _ = tokio::time::timeout(RECOUNT, self.changed.notified()).await;
        } else {
            self.changed.notified().await;
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether those that ask are waited for no longer: nobody came meanwhile, or it has been long enough.
fn is_over(before: usize, now: usize, waited: Duration) -> bool {
    now == before || waited >= PATIENCE
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn those_that_keep_coming_are_counted_together_for_a_while() {
        assert!(!is_over(3, 4, QUIET), "another one came");
        assert!(!is_over(9, 10, PATIENCE / 2), "and another one");
        assert!(is_over(4, 4, QUIET), "nobody came");
        assert!(is_over(10, 11, PATIENCE), "not for ever");
    }

    #[tokio::test]
    async fn nobody_is_waited_for_who_is_not_expected() {
        let protector = Protector::default();
        let deletion = Deletion {
            uid: "one".to_owned(),
            namespace: "team".to_owned(),
            at: k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
        };
        protector.state().asking.push(Asking { deletion, answer: oneshot::channel().0 });
        assert!(protector.gathered().now_or_never().is_some());
        assert_eq!(protector.take().len(), 1);
        let _never = protector.expectation.expect("team");
        assert!(protector.gathered().now_or_never().is_some(), "nobody asks");
    }
}
