//! The circuit breaker of an instance. While the instance is down only one probe per interval is sent to it, whatever the
//! number of identities.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::base::backoff;
use crate::kratos::Error;

/// The first and the longest wait between two probes.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);
/// How long it is remembered whose requests failed: longer than anybody waits before the next one.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Lets requests through (closed) while Kratos answers. It starts open: the first probe that succeeds closes it.
#[derive(Debug)]
pub struct CircuitBreaker {
    allowing: watch::Sender<bool>,
    probes: Mutex<Probes>,
    /// What the request was told whose failure tripped it, without a word of the server's.
    tripped_by: Mutex<Option<String>>,
    /// Whose requests failed in a row, in a way that may be their own fault.
    stuck: Mutex<HashMap<String, Stuck>>,
}

/// What somebody's failed request says of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Whether a probe is due earlier than it was: the instance is to be told.
    pub wants_probe: bool,
    /// How often in a row a request for the same one failed although a probe had succeeded since the one before: it is that
    /// request, and not the instance.
    pub times: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stuck {
    times: u32,
    /// How many probes had succeeded when the last one failed.
    answered: u64,
    at: Instant,
}

#[derive(Debug)]
struct Probes {
    failed: u32,
    next: Instant,
    /// When the last one was made.
    last: Option<Instant>,
    /// How many succeeded.
    answered: u64,
}

impl CircuitBreaker {
    pub fn new() -> Self {
        Self {
            allowing: watch::Sender::new(false),
            probes: Mutex::new(Probes { failed: 0, next: Instant::now(), last: None, answered: 0 }),
            tripped_by: Mutex::default(),
            stuck: Mutex::default(),
        }
    }

    pub fn allows_requests(&self) -> bool {
        *self.allowing.borrow()
    }

    /// Returns once requests are let through.
    pub async fn recovered(&self) {
        let mut receiver = self.allowing.subscribe();
        // The sender lives as long as self does.
        let _ = receiver.wait_for(|open| *open).await;
    }

    /// A request for `who` (a uid, or another name of its own) failed. The first one that got no usable answer has the
    /// instance left alone until a probe succeeds. Where probes succeed and the same one fails again, nobody else has to wait:
    /// it is only probed.
    pub fn failed(&self, who: &str, error: &Error) -> Blame {
        let times = if error.may_be_its_own() { self.blame(who) } else { 0 };
        let wants_probe = if error.is_kept_back() {
            // Whatever it was kept back for has said so.
            false
        } else if error.instance_suspect() && times == 0 {
            let trips = self.trip();
            if trips {
                *self.tripped_by() = Some(error.to_string());
            }
            trips
        } else if error.instance_suspect() || error.server_failed() {
            self.suspect()
        } else {
            false
        };
        Blame { wants_probe, times }
    }

    /// A request for `who` was answered as it should be.
    pub fn succeeded(&self, who: &str) {
        self.stuck().remove(who);
    }

    /// Notes a failure that may be its own fault. Returns how often it was, as far as probes tell.
    pub(super) fn blame(&self, who: &str) -> u32 {
        let (now, answered) = (Instant::now(), self.probes().answered);
        let mut stuck = self.stuck();
        stuck.retain(|_, stuck| now.saturating_duration_since(stuck.at) < REMEMBERED);
        let before = stuck.get(who).copied();
        let times = before.map_or(0, |before| before.times + u32::from(before.answered < answered));
        stuck.insert(who.to_owned(), Stuck { times, answered, at: now });
        times
    }

    /// Somebody's request got no usable answer: the instance is to be probed, and left alone until then. Returns whether
    /// that is news.
    pub(super) fn trip(&self) -> bool {
        let mut probes = self.probes();
        let was_open = self.allowing.send_replace(false);
        if was_open {
            probes.ask();
        }
        was_open
    }

    /// Somebody's request failed in a way that may be its own fault or the instance's: a probe is to tell which.
    /// Returns whether one is due earlier than it was.
    pub(super) fn suspect(&self) -> bool {
        self.allows_requests() && self.probes().ask()
    }

    /// Why it was closed, while no probe has told since.
    pub fn reason(&self) -> Option<String> {
        self.tripped_by().clone()
    }

    /// How long the next probe must wait: while open by the back-off, while closed until the next regular reconcile.
    pub fn probe_in(&self) -> Duration {
        self.probes().next.saturating_duration_since(Instant::now())
    }

    /// Notes a probe's result; `interval` is the wait until the next regular one. Returns whether it closed a circuit
    /// breaker that was closed.
    pub fn probed(&self, answered: bool, interval: Duration) -> bool {
        let mut probes = self.probes();
        let now = Instant::now();
        probes.last = Some(now);
        *self.tripped_by() = None;
        if answered {
            (probes.failed, probes.next) = (0, now + interval);
            probes.answered += 1;
        } else {
            probes.next = now + backoff::delay(FIRST_PROBE, LAST_PROBE, probes.failed);
            probes.failed = probes.failed.saturating_add(1);
        }
        self.allowing.send_replace(answered) != answered && answered
    }

    fn stuck(&self) -> std::sync::MutexGuard<'_, HashMap<String, Stuck>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tripped_by(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.tripped_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probes(&self) -> std::sync::MutexGuard<'_, Probes> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probes {
    /// Asks for a probe as soon as may be: at once, but never sooner than a moment after the last one, so that a
    /// request that fails whenever the circuit breaker closes can't make it flap.
    fn ask(&mut self) -> bool {
        let now = Instant::now();
        let soonest = self.last.map_or(now, |last| now.max(last + FIRST_PROBE));
        let is_earlier = soonest < self.next;
        self.next = self.next.min(soonest);
        is_earlier
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}
