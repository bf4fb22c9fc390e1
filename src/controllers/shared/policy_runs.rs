//! What is remembered of a policy's runs: for what the last one was, when the next one is due, and how many failed in a row.
//! Pure but for what it remembers: time is an argument. Lost with the process, which costs a run.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How soon another run may follow that wasn't requested explicitly: events come in bursts.
const PAUSE: Duration = Duration::from_secs(2);
/// At most so often a policy runs because of events that may concern it, beside its regular runs: identities come and go by the
/// thousand, and each run reads all sessions.
const EXTRA: Duration = Duration::from_secs(30);

/// By the uid of the policy.
#[derive(Debug, Default)]
pub struct Runs(Mutex<HashMap<String, Runner>>);

#[derive(Debug, Default)]
struct Runner {
    /// Generation and request that the last run was for.
    served: Option<(i64, Option<String>)>,
    /// When the last complete one ended.
    ended: Option<Instant>,
    /// When the next one is due by itself.
    due: Option<Instant>,
    /// When the last one began that was neither due nor asked for.
    extra: Option<Instant>,
    failures: u32,
}

impl Runs {
    /// Whether a run begins now; what it is for counts as served from then on. `Err`: how long it is to wait. One that is
    /// asked for by a new generation or request, or by [`Self::want`], never is.
    pub fn begin(
        &self,
        uid: &str,
        asked: (i64, Option<&str>),
        interval: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut runs = self.runs();
        let run = runs.entry(uid.to_owned()).or_default();
        let (generation, request) = asked;
        let is_served = run.served.as_ref().is_some_and(|(served, before)| (*served, before.as_deref()) == asked);
        if !is_served {
            run.served = Some((generation, request.map(str::to_owned)));
            return Ok(());
        }
        let until = |at: Instant| at.saturating_duration_since(now);
        let pause = run.ended.map(|ended| until(ended + PAUSE.min(interval))).unwrap_or_default();
        let due = run.due.map(until).unwrap_or_default();
        if due.is_zero() {
            return if pause.is_zero() { Ok(()) } else { Err(pause) };
        }
        let wait = run.extra.map(|extra| until(extra + EXTRA)).unwrap_or_default().max(pause).min(due);
        if wait.is_zero() {
            run.extra = Some(now);
            return Ok(());
        }
        Err(wait)
    }

    /// What the policy stands on is another, or its last run wasn't said: the next one waits for nothing.
    pub fn want(&self, uid: &str) {
        if let Some(run) = self.runs().get_mut(uid) {
            run.served = None;
        }
    }

    /// Notes a run that came to its end.
    pub fn completed(&self, uid: &str, now: Instant) {
        let mut runs = self.runs();
        let run = runs.entry(uid.to_owned()).or_default();
        run.ended = Some(now);
        run.failures = 0;
    }

    /// Notes when the next run is due, whatever came of the last one.
    pub fn put_off(&self, uid: &str, due: Instant) {
        self.runs().entry(uid.to_owned()).or_default().due = Some(due);
    }

    /// Notes a run that failed. Returns how many did in a row before it.
    pub fn failed(&self, uid: &str) -> u32 {
        let mut runs = self.runs();
        let run = runs.entry(uid.to_owned()).or_default();
        let before = run.failures;
        run.failures = before.saturating_add(1);
        before
    }

    /// Forgets a policy that is gone.
    pub fn forget(&self, uid: &str) {
        self.runs().remove(uid);
    }

    /// Forgets what isn't there any more.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.runs().retain(|uid, _| is_there(uid));
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, Runner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// A policy of which a run has just ended, and whose next one is due in an hour.
    fn after_a_run() -> (Runs, Instant) {
        let (runs, now) = (Runs::default(), Instant::now());
        assert_eq!(runs.begin("u", (1, None), HOUR, now), Ok(()), "nothing is known of it");
        runs.completed("u", now);
        runs.put_off("u", now + HOUR);
        (runs, now)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_asked_for_in_so_many_words_waits_for_nothing() {
        let (runs, now) = after_a_run();
        assert_eq!(runs.begin("u", (2, None), HOUR, now), Ok(()), "a new generation");
        assert_eq!(runs.begin("u", (2, Some("now")), HOUR, now), Ok(()), "a request");
        assert!(runs.begin("u", (2, Some("now")), HOUR, now).is_err(), "the same");
        runs.want("u");
        assert_eq!(runs.begin("u", (2, Some("now")), HOUR, now), Ok(()), "another instance");
    }

    #[test]
    fn whatever_happens_there_is_one_run_more_in_thirty_seconds() {
        let (runs, now) = after_a_run();
        let mut began = Vec::new();
        for second in 0..100 {
            let now = now + seconds(second);
            if runs.begin("u", (1, None), HOUR, now) == Ok(()) {
                began.push(second);
                runs.completed("u", now);
            }
        }
        assert_eq!(began, [2, 32, 62, 92]);
    }

    #[test]
    fn one_that_has_to_wait_knows_how_long() {
        let (runs, now) = after_a_run();
        assert_eq!(runs.begin("u", (1, None), HOUR, now + seconds(5)), Ok(()));
        runs.completed("u", now + seconds(6));
        assert_eq!(runs.begin("u", (1, None), HOUR, now + seconds(10)), Err(seconds(25)));
        runs.put_off("u", now + seconds(15));
        assert_eq!(
            runs.begin("u", (1, None), HOUR, now + seconds(10)),
            Err(seconds(5)),
            "the regular one comes earlier"
        );
        assert_eq!(runs.begin("u", (1, None), HOUR, now + seconds(15)), Ok(()), "it is due, and no extra one");
    }

    #[test]
    fn runs_that_fail_are_put_off_and_nothing_that_happens_has_them_begin_earlier_again_and_again() {
        let (runs, now) = after_a_run();
        runs.put_off("u", now);
        assert_eq!(runs.begin("u", (1, None), HOUR, now + seconds(3)), Ok(()));
        assert_eq!((runs.failed("u"), runs.failed("u")), (0, 1));
        runs.put_off("u", now + seconds(60));
        assert_eq!(runs.begin("u", (1, None), HOUR, now + seconds(4)), Ok(()));
        assert_eq!(runs.begin("u", (1, None), HOUR, now + seconds(5)), Err(seconds(29)));
        runs.completed("u", now + seconds(60));
        assert_eq!(runs.failed("u"), 0);
    }
}
