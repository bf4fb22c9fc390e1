//! The marks of ours in the last complete listing of an instance, about forty bytes each, and when the next listing is due. A
//! key found here is a hint; the mark, read again, decides.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use super::counts::Tally;
use crate::base::backoff;
use crate::base::namespaced_name::{KeyHash, NamespacedName};
use crate::identity::mark::Mark;

/// One listing serves all those that are wanted within so long after the first.
const TOGETHER: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// What a listing says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Ids of the identities whose mark names the key, under whatever uid. Empty: there is none.
    Known(Vec<String>),
    /// No listing that is recent enough has been completed; one was asked for.
    NotYet,
}

/// The last complete listing, and which ones are wanted.
#[derive(Debug, Default)]
pub struct Listing {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    begun: Option<Instant>,
    /// When what is ours was last read, as a whole or by ids.
    read: Option<Instant>,
    /// How many pages the last complete listing had.
    pages: usize,
    by_key: ByKey,
    /// What we made or took back ourselves, and when: a listing under way may have passed its place already.
    noted: Vec<(Instant, KeyHash, Uuid)>,
    /// A listing that begins at or after each of these is wanted.
    wanted: BTreeSet<Instant>,
    /// Whose create may have been under way until when; kept until a listing that began later, so that of many only the
    /// first few are looked up.
    unsettled: HashMap<NamespacedName, Instant>,
    failed: u32,
    retry_at: Option<Instant>,
    /// Why the last one failed.
    failure: Option<String>,
}

/// Identities by the key that their mark names.
type ByKey = BTreeSet<(KeyHash, Uuid)>;

impl Listing {
    /// Looks a key up in the last complete listing, if that one began at or after `after` (`None`: any).
    pub fn find(&self, key: &NamespacedName, after: Option<Instant>) -> Lookup {
        let state = self.state();
        let recent = state.begun.is_some_and(|begun| after.is_none_or(|after| begun >= after));
        if recent {
            let key = key.key_hash();
            let found = state.by_key.range((key, Uuid::nil())..=(key, Uuid::max()));
            return Lookup::Known(found.map(|(_, id)| id.to_string()).collect());
        }
        drop(state);
        if let Some(after) = after {
            self.want(after);
        }
        Lookup::NotYet
    }

    /// Whether the last complete listing began then, or later.
    pub fn began_after(&self, at: Instant) -> bool {
        self.state().begun.is_some_and(|begun| begun >= at)
    }

    /// Notes that a create for a key may be under way until then. Returns how many such there are; none where a listing
    /// that began later has settled it.
    pub fn unsettled(&self, key: &NamespacedName, until: Instant) -> usize {
        let mut state = self.state();
        if state.begun.is_some_and(|begun| begun >= until) {
            return 0;
        }
        state.unsettled.insert(key.clone(), until);
        state.unsettled.len()
    }

    /// Ids of the identities whose mark names a key that is meant. `None`: no listing has been completed yet, and one is
    /// under way.
    pub fn ids(&self, is_meant: impl Fn(KeyHash) -> bool) -> Option<Vec<Uuid>> {
        let state = self.state();
        state.begun?;
        let meant = state.by_key.iter().filter(|(key, _)| is_meant(*key));
        Some(meant.map(|(_, id)| *id).collect())
    }

    /// Asks for a listing that begins at or after `after`.
    pub fn want(&self, after: Instant) {
        self.state().wanted.insert(after);
        self.changed.notify_one();
    }

    /// Notes an identity that we just made or took back, so that it is found before the next listing.
    pub fn note(&self, key: &NamespacedName, id: &str) {
        // Kratos has no other ids.
        let Ok(id) = Uuid::parse_str(id) else { return };
        let mut state = self.state();
        if state.by_key.insert((key.key_hash(), id)) {
            state.noted.push((Instant::now(), key.key_hash(), id));
        }
    }

    /// When what is ours is to be read next, so long after it was read last; or the whole, so long after the last complete
    /// listing, or because somebody wants it.
    pub fn due(&self, interval: Duration, full_interval: Duration) -> Instant {
        let state = self.state();
        let regular = state.read.map_or_else(Instant::now, |read| read + interval);
        let full = state.begun.map_or_else(Instant::now, |begun| begun + full_interval);
        let regular = regular.min(full);
        let together = state.wanted.first().and_then(|first| state.wanted.range(..=*first + TOGETHER).next_back());
        let due = together.map_or(regular, |wanted| regular.min(*wanted));
        state.retry_at.map_or(due, |retry_at| due.max(retry_at))
    }

    /// Whether the whole instance is to be listed now, whatever that takes.
    pub fn is_full_due(&self, now: Instant, full_interval: Duration) -> bool {
        let state = self.state();
        let is_wanted = state.wanted.first().is_some_and(|wanted| *wanted <= now);
        is_wanted || state.begun.is_none_or(|begun| now >= begun + full_interval)
    }

    /// How many pages the last complete listing had.
    pub fn pages(&self) -> usize {
        self.state().pages
    }

    /// Returns when [`Self::due`] may have become earlier.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The interval may have changed.
    pub fn reconsider(&self) {
        self.changed.notify_one();
    }

    /// Takes in a complete listing.
    pub fn complete(&self, scan: Scan) {
        let mut state = self.state();
        let Scan { begun, mut by_key, pages, tally: _ } = scan;
        if state.begun.is_some_and(|newest| newest > begun) {
            return;
        }
        state.noted.retain(|(at, _, _)| *at >= begun);
        by_key.extend(state.noted.iter().map(|(_, key, id)| (*key, *id)));
        state.wanted = state.wanted.split_off(&begun);
        state.wanted.remove(&begun);
        state.unsettled.retain(|_, until| *until > begun);
        (state.begun, state.by_key, state.pages) = (Some(begun), by_key, pages);
        state.succeed(begun);
    }

    /// What is ours was read by ids. That says nothing of others, nor of what isn't there.
    pub fn read_by_ids(&self, begun: Instant) {
        self.state().succeed(begun);
    }

    /// Why the last listing failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// A listing failed: nothing is concluded from what it showed.
    pub fn failed(&self, why: String) {
        let mut state = self.state();
        state.failure = Some(why);
        state.retry_at = Some(Instant::now() + backoff::delay(FIRST_RETRY, LAST_RETRY, state.failed));
        state.failed = state.failed.saturating_add(1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn succeed(&mut self, begun: Instant) {
        self.read = self.read.max(Some(begun));
        (self.failed, self.retry_at, self.failure) = (0, None, None);
    }
}

/// A listing under way.
#[derive(Debug)]
pub struct Scan {
    begun: Instant,
    by_key: ByKey,
    /// Pages so far.
    pub pages: usize,
    /// Identities so far.
    pub tally: Tally,
}

impl Scan {
    pub fn begin(begun: Instant) -> Self {
        Self { begun, by_key: ByKey::new(), pages: 0, tally: Tally::default() }
    }

    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Notes an identity whose mark carries our owner's name.
    pub fn note(&mut self, mark: &Mark, id: &str) {
        self.by_key.extend(Uuid::parse_str(id).map(|id| (KeyHash::new(&mark.namespace, &mark.name), id)));
    }

    /// Ids of all identities that were noted.
    pub fn ids(&self) -> HashSet<Uuid> {
        self.by_key.iter().map(|(_, id)| *id).collect()
    }
}
