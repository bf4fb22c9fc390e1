//! What is remembered of a policy's runs: how many failed in a row, and how soon another one is worthwhile. Lost with
//! the process, which costs a run.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// By the uid of the policy.
#[derive(Debug, Default)]
pub struct Runs(Mutex<HashMap<String, Run>>);

#[derive(Debug, Default)]
struct Run {
    /// Generation and request that the last complete run was for.
    served: Option<(i64, Option<String>)>,
    not_before: Option<Instant>,
    failures: u32,
}

impl Runs {
    /// How long a run that nobody asked for in so many words is to wait.
    pub fn pause(&self, uid: &str, generation: i64, requested_at: Option<&str>) -> Option<Duration> {
        let runs = self.runs();
        let run = runs.get(uid)?;
        let (served, request) = run.served.as_ref()?;
        if (*served, request.as_deref()) != (generation, requested_at) {
            return None;
        }
        let pause = run.not_before?.saturating_duration_since(Instant::now());
        (!pause.is_zero()).then_some(pause)
    }

    /// Notes a run that came to its end.
    pub fn completed(&self, uid: &str, served: (i64, Option<&str>), pause: Duration) {
        let served = Some((served.0, served.1.map(str::to_owned)));
        self.runs().insert(uid.to_owned(), Run { served, not_before: Some(Instant::now() + pause), failures: 0 });
    }

    /// Notes a run that failed. Returns how many did in a row before it.
    pub fn failed(&self, uid: &str) -> u32 {
        let mut runs = self.runs();
        let run = runs.entry(uid.to_owned()).or_default();
        run.not_before = None;
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

    fn runs(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
