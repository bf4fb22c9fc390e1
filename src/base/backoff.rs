//! Jittered exponential back-off: the one formula for everything that is retried.

use std::time::Duration;

use rand::RngExt;

/// The wait after the `failed`-th failure (0 is the first): a random time between half of `d` and `d`, where `d` is `first`,
/// doubled `failed` times and never above `last`.
pub fn delay(first: Duration, last: Duration, failed: u32) -> Duration {
    let full = first.saturating_mul(2_u32.saturating_pow(failed)).min(last);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// A duration, give or take a tenth: so that what began at the same time doesn't stay in step.
pub fn jitter(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.9..=1.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_never_less_than_half() {
        let (first, last) = (Duration::from_secs(1), Duration::from_mins(1));
        for (failed, full) in [(0, 1), (1, 2), (5, 32), (6, 60), (200, 60)] {
            for _ in 0..100 {
                let delay = delay(first, last, failed);
                assert!(delay <= Duration::from_secs(full) && delay * 2 >= Duration::from_secs(full));
            }
        }
    }
}
