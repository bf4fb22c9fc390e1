//! Known grace periods: when to check which identity. This decides nothing; the mark does, read again each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::api::instance::PendingDeletions;
use crate::identity::mark::Mark;
use crate::kratos::{Identity, State};

/// The longest sleep: a clock that is set meanwhile is noticed.
const LONGEST: Duration = Duration::from_mins(1);

/// When to check which identity.
#[derive(Debug, Default)]
pub struct GracePeriods {
    look_at: Mutex<HashMap<String, Timestamp>>,
    /// When the periods end that are known to run, and since when that is known.
    running: Mutex<HashMap<String, (Timestamp, Instant)>>,
    changed: Notify,
}

impl GracePeriods {
    /// Notes that a grace period runs, and when it ends.
    pub fn begun(&self, id: &str, ends: Timestamp) {
        self.runs_until(id, ends);
        self.note(id, ends);
    }

    /// Notes that none ran at `seen`: it was over, or the manifest was applied again.
    pub fn ended(&self, id: &str, seen: Instant) {
        let mut runs = self.runs();
        if runs.get(id).is_some_and(|(_, since)| *since <= seen) {
            runs.remove(id);
        }
    }

    /// Identities that were requested (all of them or these) and aren't shown must be checked: somebody may have deleted them.
    /// `shows`: which were shown, or not requested.
    pub fn listed(&self, shows: impl Fn(&str) -> bool) {
        let missing: Vec<_> = self.runs().keys().filter(|id| !shows(id)).cloned().collect();
        for id in &missing {
            self.note(id, Timestamp::now());
        }
    }

    /// How many run, and when the first of them ends, as a status shows it: in whole seconds.
    pub fn running(&self) -> PendingDeletions {
        let runs = self.runs();
        let first = runs.values().map(|(ends, _)| *ends).min();
        let shown = |ends: Timestamp| Time(Timestamp::from_second(ends.as_second()).unwrap_or(ends));
        PendingDeletions { count: runs.len() as u64, next: first.map(shown) }
    }

    /// Notes an identity to be checked at the given time, or earlier.
    pub fn note(&self, id: &str, at: Timestamp) {
        self.look_at().entry(id.to_owned()).and_modify(|known| *known = at.min(*known)).or_insert(at);
        self.changed.notify_one();
    }

    /// The ids of all that must be checked.
    pub fn ids(&self) -> Vec<Uuid> {
        self.look_at().keys().filter_map(|id| Uuid::parse_str(id).ok()).collect()
    }

    /// Takes in what a listing shows: one that isn't inactive (any more) is checked at once.
    pub fn seen(&self, mark: &Mark, identity: &Identity, cluster: &str) {
        let Some(delete_after) = mark.delete_after.as_ref().filter(|_| mark.cluster == cluster) else { return };
        self.begun(&identity.id, delete_after.0);
        if identity.state == State::Active {
            self.note(&identity.id, Timestamp::now());
        }
    }

    /// The settings may have changed.
    pub fn reconsider(&self) {
        self.changed.notify_one();
    }

    /// Those that are due, taken out.
    pub fn take_due(&self, now: Timestamp) -> Vec<String> {
        self.look_at().extract_if(|_, at| *at <= now).map(|(id, _)| id).collect()
    }

    /// Notes when a period ends that is known to run now, whatever was known of it.
    pub fn runs_until(&self, id: &str, ends: Timestamp) {
        self.runs().insert(id.to_owned(), (ends, Instant::now()));
    }

    /// Returns once the settings may have changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns when one may be due.
    pub async fn due(&self) {
        let first = self.look_at().values().min().copied();
        let Some(first) = first else { return self.changed.notified().await };
        let wait = Duration::try_from(first.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(wait.min(LONGEST)) => {}
            () = self.changed.notified() => {}
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.look_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_counted_until_it_has_ended_and_the_first_end_is_told() {
        let (pending, at) = (GracePeriods::default(), |second| Timestamp::from_second(second).unwrap());
        assert_eq!(pending.running(), PendingDeletions { count: 0, next: None });
        let [one, other] = ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"];
        let begun = Instant::now();
        pending.begun(one, at(300));
        pending.begun(other, at(200));
        pending.note("anybody", at(100));
        assert_eq!(pending.running(), PendingDeletions { count: 2, next: Some(Time(at(200))) });
        assert_eq!(pending.take_due(at(250)).len(), 2);
        assert_eq!(pending.running().count, 2, "one that is being looked at runs on");
        pending.ended(other, begun);
        assert_eq!(pending.running().count, 2, "that was seen before it began");
        pending.ended(other, Instant::now());
        assert_eq!(pending.running(), PendingDeletions { count: 1, next: Some(Time(at(300))) });
        // Somebody deleted it: it is checked, and is counted until then.
        pending.listed(|id| id != one);
        assert_eq!((pending.take_due(Timestamp::now()), pending.running().count), (vec![one.to_owned()], 1));
    }
}
