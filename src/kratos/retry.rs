//! When a request is repeated within the client. It may repeat only what is harmless to repeat; whoever asks
//! decides about everything else, and about an instance that is down as a whole.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use reqwest::Method;

use super::error::{Class, Error};

/// How often a request is repeated after the first attempt.
const REPETITIONS: usize = 2;
/// The pause before the first repetition, more or less.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A server that wants a longer pause than this gets it from the caller.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Runs `attempt`, and again where it failed in passing and the method may be repeated. No attempt begins later
/// than `limit` after the first one.
pub(super) async fn repeat<T, Attempts, Attempt>(
    method: &Method,
    limit: Duration,
    attempt: Attempts,
) -> Result<T, Error>
where
    Attempts: FnMut() -> Attempt,
    Attempt: Future<Output = Result<T, Error>>,
{
    let begun = Instant::now();
    let pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(REPETITIONS)
        .with_jitter();
    attempt
        .retry(pauses)
        .sleep(tokio::time::sleep)
        .when(|error| is_repeatable(method, error) && begun.elapsed() < limit)
        .adjust(|error, pause| match (error.class(), pause) {
            (Class::Throttled { retry_after }, Some(pause)) => Some(pause.max(retry_after)),
            (_, pause) => pause,
        })
        .await
}

/// Whether a failed request is sent again at once: reads and deletions only, and not where the whole instance is
/// down (one probe an interval is enough for it) or wants a long pause.
pub(super) fn is_repeatable(method: &Method, error: &Error) -> bool {
    if !matches!(*method, Method::GET | Method::DELETE) || error.instance_unavailable() {
        return false;
    }
    match error.class() {
        Class::Transient => true,
        Class::Throttled { retry_after } => retry_after <= LONGEST_PAUSE,
        Class::Conflict | Class::NotFound | Class::Rejected => false,
    }
}
