//! Collects the deletions that ask at the same time, so that one write can count all of them. Writes nothing and decides
//! nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::kept::{Content, Kept};
use super::protection::{Census, Deletion};
use crate::api::protection::ProtectionStatus;

/// How often the held ones are counted again, and the count is written where it has changed. Where several operators share an
/// instance, also how often each reads what the others have written.
pub const RECOUNT: Duration = Duration::from_secs(2);
/// How long a deletion waits for others, after the last newcomer was seen: whether more come together than may go is
/// known then.
const PEER_WINDOW: Duration = Duration::from_secs(2);
/// How long it waits at most, where they keep coming: nobody is held up by a trickle.
const PATIENCE: Duration = Duration::from_secs(6);
/// Those that have waited go together, so that one write counts many: so long after the last one asked, and no longer than that.
const QUIET: Duration = Duration::from_millis(250);
const FULL: Duration = Duration::from_secs(1);
/// Where so many have waited one write counts enough.
const ENOUGH: usize = 128;

/// Whether an identity may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is counted, and that is persisted; or it was released.
    Granted,
    Held,
    /// Somebody said that it isn't meant: the resource goes, the identity stays as it is.
    Kept,
    /// It couldn't be counted; ask again.
    Unknown,
    /// What was counted before can't be read: nothing is granted until somebody has seen to it.
    Uncountable,
}

/// Who asks, and what the last listing showed.
#[derive(Debug, Default)]
pub struct Protector {
    state: Mutex<State>,
    pub changed: Notify,
}

#[derive(Debug, Default)]
pub struct State {
    pub asking: Vec<Asking>,
    /// When the first and the last of those asked that weren't taken yet.
    came: Option<(Instant, Instant)>,
    /// Since when each deletion is known that is about to ask, or asks, and when the last of them became so: by uid.
    seen: HashMap<String, Instant>,
    newest: Option<Instant>,
    pub census: Option<Census>,
    /// Uids of resources whose identity the last listing showed to be gone, and that have no other one yet.
    pub gone: HashSet<String>,
    pub counted: Option<Instant>,
    /// What is kept, as it was read or written last. Others may have written since: what it grants stays granted, and a write by
    /// it is refused then.
    pub kept: Option<Arc<Kept>>,
    /// It is to be read again.
    pub is_doubted: bool,
    /// How it stood when something last followed from it.
    pub shown: Shown,
}

/// How protection stands, as far as something follows from a change of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// What the instance's status says of it.
    pub status: ProtectionStatus,
    /// What is kept can't be read.
    pub is_odd: bool,
}

impl Shown {
    /// `before`: how it stood, which nobody knows to have changed where what is kept can't be read.
    pub fn of(kept: &Kept, before: &Self) -> Self {
        match &kept.content {
            Content::ConfigMap(state, _) | Content::Status(state) => Self { status: state.shown(), is_odd: false },
            Content::Odd => Self { status: before.status.clone(), is_odd: true },
        }
    }

    /// Whether anything that is deleted is held.
    pub fn is_holding(&self) -> bool {
        self.is_odd || self.status.held > 0
    }

    /// Whether what a namespace deletes is held.
    pub fn holds(&self, namespace: &str) -> bool {
        let ProtectionStatus { held, holding, .. } = &self.status;
        let is_named = || holding.is_empty() || holding.iter().any(|held| held.namespace == namespace);
        self.is_odd || *held > 0 && is_named()
    }
}

#[derive(Debug)]
pub struct Asking {
    pub deletion: Deletion,
    pub answer: oneshot::Sender<Answer>,
}

impl Protector {
    /// Something may have changed: the annotations that release and keep, or the limits.
    pub fn reconsider(&self) {
        self.changed.notify_one();
    }

    /// The same, and somebody else may have written what is kept.
    pub fn doubt(&self) {
        self.state().is_doubted = true;
        self.reconsider();
    }

    /// What is kept of the instance of this uid, as far as is known.
    pub fn kept(&self, uid: Option<&str>) -> Option<Arc<Kept>> {
        self.state().kept.clone().filter(|kept| Some(kept.of.as_str()) == uid)
    }

    /// What the status is to say of it; `None`: what it says already. It isn't to lose what is kept there.
    pub fn for_status(&self, uid: Option<&str>) -> Option<ProtectionStatus> {
        match &self.kept(uid)?.content {
            Content::ConfigMap(state, _) => Some(state.shown()),
            Content::Status(_) | Content::Odd => None,
        }
    }

    /// Whether what is kept of the instance of this uid can't be read.
    pub fn is_odd(&self, uid: Option<&str>) -> bool {
        self.kept(uid).is_some_and(|kept| kept.state().is_none())
    }

    /// One more asks.
    pub fn add(&self, asking: Asking, now: Instant) {
        let mut state = self.state();
        state.see(&asking.deletion.uid, now);
        let first = state.came.map_or(now, |(first, _)| first);
        state.came = Some((first, now));
        state.asking.push(asking);
        self.changed.notify_one();
    }

    /// These are known to be about to ask, and no others except those that ask. One that has been known for as long as it would
    /// wait for others needn't wait when it asks.
    pub fn know(&self, peers: &[Deletion], now: Instant) {
        let mut state = self.state();
        let asking = state.asking.iter().map(|asking| asking.deletion.uid.as_str());
        let there: HashSet<String> =
            peers.iter().map(|deletion| deletion.uid.as_str()).chain(asking).map(str::to_owned).collect();
        state.seen.retain(|uid, _| there.contains(uid));
        for uid in &there {
            state.see(uid, now);
        }
    }

    /// These may go once others have been granted: they have the next round.
    pub fn put_back(&self, asking: Vec<Asking>) {
        self.state().asking.extend(asking);
    }

    /// Those that have waited long enough for others by now. The others ask on.
    pub fn take(&self, now: Instant) -> Vec<Asking> {
        let mut state = self.state();
        state.came = None;
        let asking = std::mem::take(&mut state.asking);
        let is_ready = |asking: &Asking| state.ready_at(asking) <= Some(now);
        let (taken, left) = asking.into_iter().partition(is_ready);
        state.asking = left;
        taken
    }

    /// The deletions that ask.
    pub fn asking(&self) -> Vec<Deletion> {
        self.state().asking.iter().map(|asking| asking.deletion.clone()).collect()
    }

    /// Whether any asks that is still to wait for others.
    pub fn is_gathering(&self, now: Instant) -> bool {
        self.state().due(now).is_some_and(|due| due > now)
    }

    /// Waits until those that asked have waited long enough for others, where any ask.
    pub async fn gathered(&self) {
        loop {
            let now = Instant::now();
            let due = self.state().due(now);
            let Some(wait) = due.map(|due| due.saturating_duration_since(now)).filter(|wait| !wait.is_zero()) else {
                return;
            };
            // One more may make it enough, or prolong it.
            let _ = tokio::time::timeout(wait, self.changed.notified()).await;
        }
    }

    /// Returns when there may be something to do. `often`: whether or not anybody asks.
    pub async fn woken(&self, often: bool) {
        if often {
            // Those that are held may go in other ways, and others may have written.
            let _ = tokio::time::timeout(RECOUNT, self.changed.notified()).await;
        } else {
            self.changed.notified().await;
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes since when a deletion is known.
    fn see(&mut self, uid: &str, now: Instant) {
        if let Entry::Vacant(entry) = self.seen.entry(uid.to_owned()) {
            entry.insert(now);
            self.newest = Some(now);
        }
    }

    /// When one that asks has waited long enough for others.
    fn ready_at(&self, asking: &Asking) -> Option<Instant> {
        ready(self.seen.get(&asking.deletion.uid).copied(), self.newest)
    }

    /// When the next round is due; `None`: nobody asks.
    fn due(&self, now: Instant) -> Option<Instant> {
        let first = self.asking.iter().filter_map(|asking| self.ready_at(asking)).min()?;
        let ready = self.asking.iter().filter(|asking| self.ready_at(asking) <= Some(now)).count();
        if first > now || ready >= ENOUGH {
            return Some(first);
        }
        Some(self.came.map_or(now, |(first, last)| (last + QUIET).min(first + FULL)))
    }
}

/// When a deletion has waited long enough for others that is known since `seen`, where the last newcomer was seen at
/// `newest`.
fn ready(seen: Option<Instant>, newest: Option<Instant>) -> Option<Instant> {
    let (seen, newest) = (seen?, newest?);
    Some((newest + PEER_WINDOW).min(seen + PATIENCE))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn deletion(uid: &str) -> Deletion {
        Deletion { uid: uid.to_owned(), namespace: "team".to_owned(), at: Timestamp::UNIX_EPOCH }
    }

    fn one(uid: &str) -> Asking {
        Asking { deletion: deletion(uid), answer: oneshot::channel().0 }
    }

    fn uids(asking: &[Asking]) -> Vec<&str> {
        asking.iter().map(|asking| asking.deletion.uid.as_str()).collect()
    }

    /// So many milliseconds after the beginning.
    fn after(begun: Instant, milliseconds: u64) -> Instant {
        begun + Duration::from_millis(milliseconds)
    }

    #[test]
    fn each_waits_two_seconds_for_others_after_the_last_newcomer_and_nobody_for_ever() {
        let first = Instant::now();
        for (newest, expected) in [(0, 2000), (1000, 3000), (3000, 5000), (4000, 6000), (6000, 6000), (9000, 6000)] {
            let ready = ready(Some(first), Some(after(first, newest)));
            assert_eq!(ready, Some(after(first, expected)), "the last one came after {newest}");
        }
    }

    #[tokio::test]
    async fn who_asks_is_waited_with_and_whoever_comes_later_prolongs_it() {
        let (protector, begun) = (Protector::default(), Instant::now());
        assert!(protector.gathered().now_or_never().is_some(), "nobody asks");
        protector.add(one("a"), begun);
        assert!(protector.gathered().now_or_never().is_none());
        assert!(protector.is_gathering(after(begun, 1999)) && !protector.is_gathering(after(begun, 2000)));
        protector.add(one("b"), after(begun, 1000));
        assert!(protector.is_gathering(after(begun, 2999)) && !protector.is_gathering(after(begun, 3000)));
        assert_eq!(protector.take(after(begun, 2999)).len(), 0);
        assert_eq!(uids(&protector.take(after(begun, 3000))), ["a", "b"]);
        assert!(protector.gathered().now_or_never().is_some(), "they were taken");
    }

    #[test]
    fn who_was_known_while_others_waited_has_waited_and_a_newcomer_among_a_crowd_waits_alone() {
        let (protector, begun) = (Protector::default(), Instant::now());
        protector.add(one("a"), begun);
        protector.know(&["a", "b", "c"].map(deletion), after(begun, 100));
        assert_eq!(uids(&protector.take(after(begun, 2100))), ["a"]);
        protector.add(one("b"), after(begun, 2200));
        assert!(protector.is_gathering(after(begun, 2300)), "a write is to count many");
        assert!(!protector.is_gathering(after(begun, 2450)));
        protector.add(one("new"), after(begun, 6050));
        assert!(!protector.is_gathering(after(begun, 6300)), "whoever has waited long enough isn't held up");
        assert_eq!(uids(&protector.take(after(begun, 6300))), ["b"]);
        assert!(protector.is_gathering(after(begun, 8000)) && !protector.is_gathering(after(begun, 8050)));
        // What is gone is forgotten.
        protector.know(&[deletion("c")], after(begun, 8050));
        assert_eq!(protector.state().seen.len(), 2);
    }

    #[test]
    fn who_has_waited_for_others_and_could_not_be_granted_has_the_next_round() {
        let (protector, begun) = (Protector::default(), Instant::now());
        protector.add(one("a"), begun);
        let taken = protector.take(after(begun, 2000));
        protector.put_back(taken);
        assert!(!protector.is_gathering(after(begun, 2000)));
        assert_eq!(protector.take(after(begun, 2000)).len(), 1);
    }

    #[test]
    fn as_many_as_are_enough_for_one_write_wait_for_no_more() {
        let (protector, begun) = (Protector::default(), Instant::now());
        let all: Vec<_> = (0..ENOUGH).map(|number| number.to_string()).collect();
        protector.know(&all.iter().map(|uid| deletion(uid)).collect::<Vec<_>>(), begun);
        for uid in &all {
            assert!(protector.state().due(after(begun, 2000)).is_none_or(|due| due > after(begun, 2000)), "{uid}");
            protector.add(one(uid), after(begun, 2000));
        }
        assert!(!protector.is_gathering(after(begun, 2000)));
    }
}
