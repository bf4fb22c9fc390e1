//! What the last complete listing of an instance showed of ours: which identities carry our owner's mark. Only
//! marks are kept. A place found here is a hint; the mark, read freshly, decides.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::backoff;
use crate::identity::mark::Mark;
use crate::place::Place;

/// One listing serves all those that are wanted within so long after the first.
const TOGETHER: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// What a listing says about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Ids of the identities whose mark names the place, under whatever uid. Empty: there is none.
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
    by_place: HashMap<Place, Vec<String>>,
    /// What we made or took back ourselves, and when: a listing under way may have passed its place already.
    noted: Vec<(Instant, Place, String)>,
    /// A listing that begins at or after each of these is wanted.
    wanted: BTreeSet<Instant>,
    /// Whose create may have been under way until when; kept until a listing that began later, so that of many only the
    /// first few are looked up.
    unsettled: HashMap<Place, Instant>,
    failed: u32,
    retry_at: Option<Instant>,
    /// Why the last one failed.
    failure: Option<String>,
}

impl Listing {
    /// Looks a place up in the last complete listing, if that one began at or after `after` (`None`: any).
    pub fn find(&self, place: &Place, after: Option<Instant>) -> Lookup {
        let state = self.state();
        let recent = state.begun.is_some_and(|begun| after.is_none_or(|after| begun >= after));
        if recent {
            return Lookup::Known(state.by_place.get(place).cloned().unwrap_or_default());
        }
        drop(state);
        if let Some(after) = after {
            self.want(after);
        }
        Lookup::NotYet
    }

    /// Notes that a create for a place may be under way until then. Returns how many such there are; none where a listing
    /// that began later has settled it.
    pub fn unsettled(&self, place: &Place, until: Instant) -> usize {
        let mut state = self.state();
        if state.begun.is_some_and(|begun| begun >= until) {
            return 0;
        }
        state.unsettled.insert(place.clone(), until);
        state.unsettled.len()
    }

    /// Ids of the identities whose mark names a place that is meant. `None`: no listing has been completed yet, and one is
    /// under way.
    pub fn ids(&self, is_meant: impl Fn(&Place) -> bool) -> Option<Vec<String>> {
        let state = self.state();
        state.begun?;
        let meant = state.by_place.iter().filter(|(place, _)| is_meant(place));
        Some(meant.flat_map(|(_, ids)| ids.iter().cloned()).collect())
    }

    /// Asks for a listing that begins at or after `after`.
    pub fn want(&self, after: Instant) {
        self.state().wanted.insert(after);
        self.changed.notify_one();
    }

    /// Notes an identity that we just made or took back, so that it is found before the next listing.
    pub fn note(&self, place: &Place, id: &str) {
        let mut state = self.state();
        if add(&mut state.by_place, place, id) {
            state.noted.push((Instant::now(), place.clone(), id.to_owned()));
        }
    }

    /// When the next listing is due.
    pub fn due(&self, interval: Duration) -> Instant {
        let state = self.state();
        let regular = state.begun.map_or_else(Instant::now, |begun| begun + interval);
        let together = state.wanted.first().and_then(|first| state.wanted.range(..=*first + TOGETHER).next_back());
        let due = together.map_or(regular, |wanted| regular.min(*wanted));
        state.retry_at.map_or(due, |retry_at| due.max(retry_at))
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
        let Scan { begun, mut by_place } = scan;
        if state.begun.is_some_and(|newest| newest > begun) {
            return;
        }
        state.noted.retain(|(at, _, _)| *at >= begun);
        for (_, place, id) in &state.noted {
            add(&mut by_place, place, id);
        }
        state.wanted = state.wanted.split_off(&begun);
        state.wanted.remove(&begun);
        state.unsettled.retain(|_, until| *until > begun);
        (state.begun, state.by_place, state.failed, state.retry_at) = (Some(begun), by_place, 0, None);
        state.failure = None;
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

/// Adds an id to a place. Returns whether it is new there.
fn add(by_place: &mut HashMap<Place, Vec<String>>, place: &Place, id: &str) -> bool {
    let ids = by_place.entry(place.clone()).or_default();
    let is_new = !ids.iter().any(|known| known == id);
    if is_new {
        ids.push(id.to_owned());
    }
    is_new
}

/// A listing under way.
#[derive(Debug)]
pub struct Scan {
    begun: Instant,
    by_place: HashMap<Place, Vec<String>>,
}

impl Scan {
    pub fn begin(begun: Instant) -> Self {
        Self { begun, by_place: HashMap::new() }
    }

    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Notes an identity whose mark carries our owner's name.
    pub fn note(&mut self, mark: &Mark, id: &str) {
        let place = Place::new(mark.namespace.as_str(), mark.name.as_str());
        self.by_place.entry(place).or_default().push(id.to_owned());
    }

    /// Ids of all identities that were noted.
    pub fn ids(&self) -> HashSet<&str> {
        self.by_place.values().flatten().map(String::as_str).collect()
    }
}
