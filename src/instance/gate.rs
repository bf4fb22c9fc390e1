//! Whether an instance is being called at all. While it is down nothing but one probe per interval goes to it,
//! whatever the number of identities.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::backoff;

/// The first and the longest wait between two probes.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);

/// Open while Kratos answers. It starts closed: the first probe opens it.
#[derive(Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
    probes: Mutex<Probes>,
}

#[derive(Debug)]
struct Probes {
    failed: u32,
    next: Instant,
    /// When the last one was made.
    last: Option<Instant>,
}

impl Gate {
    pub fn new() -> Self {
        Self {
            open: watch::Sender::new(false),
            probes: Mutex::new(Probes { failed: 0, next: Instant::now(), last: None }),
        }
    }

    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Returns once it is open.
    pub async fn opened(&self) {
        let mut receiver = self.open.subscribe();
        // The sender lives as long as self does.
        let _ = receiver.wait_for(|open| *open).await;
    }

    /// Somebody's request got no usable answer: the instance is to be probed, and left alone until then.
    pub fn close(&self) {
        let mut probes = self.probes();
        if self.open.send_replace(false) {
            probes.ask();
        }
    }

    /// Somebody's request failed in a way that may be its own fault or the instance's: a probe is to tell which.
    /// Returns whether one is due earlier than it was.
    pub fn suspect(&self) -> bool {
        self.is_open() && self.probes().ask()
    }

    /// How long the next probe must wait: while closed by the back-off, while open until the next regular look.
    pub fn probe_in(&self) -> Duration {
        self.probes().next.saturating_duration_since(Instant::now())
    }

    /// Notes a probe's result; `interval` is the wait until the next regular one. Returns whether it opened a gate
    /// that was closed.
    pub fn probed(&self, answered: bool, interval: Duration) -> bool {
        let mut probes = self.probes();
        let now = Instant::now();
        probes.last = Some(now);
        if answered {
            (probes.failed, probes.next) = (0, now + interval);
        } else {
            probes.next = now + backoff::delay(FIRST_PROBE, LAST_PROBE, probes.failed);
            probes.failed = probes.failed.saturating_add(1);
        }
        self.open.send_replace(answered) != answered && answered
    }

    fn probes(&self) -> std::sync::MutexGuard<'_, Probes> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probes {
    /// Asks for a probe as soon as may be: at once, but never sooner than a moment after the last one, so that a
    /// request that fails whenever the gate opens can't make it flap.
    fn ask(&mut self) -> bool {
        let now = Instant::now();
        let soonest = self.last.map_or(now, |last| now.max(last + FIRST_PROBE));
        let is_earlier = soonest < self.next;
        self.next = self.next.min(soonest);
        is_earlier
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
