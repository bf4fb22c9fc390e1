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
}

impl Gate {
    pub fn new() -> Self {
        Self { open: watch::Sender::new(false), probes: Mutex::new(Probes { failed: 0, next: Instant::now() }) }
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
            probes.next = Instant::now();
        }
    }

    /// How long the next probe must wait: while closed by the back-off, while open until the next regular look.
    pub fn probe_in(&self) -> Duration {
        self.probes().next.saturating_duration_since(Instant::now())
    }

    /// Notes a probe's result; `interval` is the wait until the next regular one. Returns whether it opened a gate
    /// that was closed.
    pub fn probed(&self, answered: bool, interval: Duration) -> bool {
        let mut probes = self.probes();
        if answered {
            *probes = Probes { failed: 0, next: Instant::now() + interval };
        } else {
            probes.next = Instant::now() + backoff::delay(FIRST_PROBE, LAST_PROBE, probes.failed);
            probes.failed = probes.failed.saturating_add(1);
        }
        self.open.send_replace(answered) != answered && answered
    }

    fn probes(&self) -> std::sync::MutexGuard<'_, Probes> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
