//! How long a watch waits before it is tried again.

use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

use crate::base::backoff::delay;

/// Of watches, and of whatever else waits for the API server alone.
const WATCH_FIRST: Duration = Duration::from_millis(500);
const WATCH_LAST: Duration = Duration::from_secs(8);
/// What failed before that is forgotten.
const WATCH_REMEMBERED: Duration = Duration::from_mins(1);

/// The waits between the tries of one watch. Nobody waits long for a network that is back: there are few watches, and what
/// they cost the API server is small.
#[derive(Debug, Default)]
pub struct WatchBackoff {
    failed: u32,
    last: Option<Instant>,
}

impl WatchBackoff {
    /// The wait after one more failure.
    pub fn wait(&mut self) -> Duration {
        if self.last.is_none_or(|last| last.elapsed() > WATCH_REMEMBERED) {
            self.failed = 0;
        }
        self.last = Some(Instant::now());
        let wait = delay(WATCH_FIRST, WATCH_LAST, self.failed);
        self.failed = self.failed.saturating_add(1);
        wait
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.wait())
    }
}

impl Backoff for WatchBackoff {
    /// Nothing: a list that is about to fail begins with an event, too.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_never_waits_for_longer_than_eight_seconds() {
        let waits: Vec<_> = WatchBackoff::default().take(50).collect();
        assert!(waits[0] <= WATCH_FIRST && waits.iter().all(|wait| *wait <= Duration::from_secs(8)));
        assert!(waits[10..].iter().all(|wait| *wait >= Duration::from_secs(4)), "it doesn't hammer either");
    }
}
