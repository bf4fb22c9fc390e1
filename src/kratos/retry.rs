//! When the client itself retries a request. It may retry only what is harmless; the caller decides about everything else, and
//! about an instance that is down.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use reqwest::Method;

use super::error::{Class, Error};

/// How often a request is retried after the first attempt.
const REPETITIONS: usize = 2;
/// The pause before the first retry, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// If the server wants a longer pause than this, the caller has to wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Runs `attempt`, and again where it failed for a moment and the method may be retried. No attempt begins later than `limit`
/// after the first one.
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

/// Whether a failed request is retried at once: only reads and deletions, and not where the whole instance is down (probes find
/// out when it is back) or wants a long pause.
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
