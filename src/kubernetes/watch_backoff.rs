//! How long a watch waits before it is retried.

use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

use crate::base::backoff::delay;

/// For watches, and for others that retry requests to the API server only.
const WATCH_FIRST: Duration = Duration::from_millis(500);
const WATCH_LAST: Duration = Duration::from_secs(8);
/// After this long without a failure, the wait is short again.
const WATCH_REMEMBERED: Duration = Duration::from_mins(1);

/// The waits between the retries of one watch. The longest is short, so that a restored network is noticed soon: there are few
/// watches, and they cost the API server little.
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
    /// Does nothing: even a list that will fail begins with an event.
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
