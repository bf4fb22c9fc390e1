//! The work queue: which resources are to be reconciled, and in what order. Pure; time is an argument.
//!
//! A resource is at most once waiting and at most once in work. There are three priorities; within one, turns are taken as in a
//! [`FairQueue`].
//!
//! What is due later is in a map by time, not in `tokio_util`'s `DelayQueue`: that one reads the clock, needs the runtime and
//! is one more list to keep consistent with the states here. All that it would save is a `BTreeMap`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::Reason;
use crate::api::condition::Failure;
use crate::base::flow::counts::Counts;
use crate::base::flow::fair_queue::FairQueue;
use crate::base::namespaced_name::NamespacedName;

/// Why a reconcile is asked for, the least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Nobody waits: a regular reconcile, drift, a process that starts and finds all as it was.
    Routine,
    /// What it waited for has come: an instance, a Secret, a listing, a time.
    Arrived,
    /// A person did something: a new resource, a new generation, a deletion, a request.
    Person,
}

/// When a reconcile is to be repeated if nobody asks for one earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    OnChange,
    After(Duration),
}

/// What a reconcile came to, and when the next one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconcileResult {
    pub requeue: Requeue,
    pub failure: Option<Failure>,
}

impl Requeue {
    /// After a reconcile that ended for this reason.
    pub fn with_reason(self, reason: Reason) -> ReconcileResult {
        ReconcileResult { requeue: self, failure: reason.failure() }
    }
}

impl From<Requeue> for ReconcileResult {
    /// After a reconcile that ended well.
    fn from(next: Requeue) -> Self {
        Self { requeue: next, failure: None }
    }
}

const PRIORITIES: usize = 3;
/// So often in a row others may go before a priority that has somebody waiting; then it is its turn. Less than this
/// would cost people time, more would let drift stay while people are busy.
const PATIENCE: u32 = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct PriorityQueue {
    /// Of all that are waiting, in work, or due later; nothing of any other.
    states: HashMap<Arc<NamespacedName>, State>,
    ranks: [Rank; PRIORITIES],
    due: BTreeMap<(Instant, u64), Arc<NamespacedName>>,
    /// How many of each namespace are in work for a person.
    people: Counts,
    next_ticket: u64,
    /// How often one began to wait.
    added: u64,
}

#[derive(Debug)]
enum State {
    Waiting {
        priority: Priority,
        ticket: u64,
        since: Instant,
    },
    /// `waited_since`: before it was begun. `again`: asked for meanwhile.
    InWork {
        is_for_person: bool,
        waited_since: Instant,
        again: Option<Priority>,
    },
    Due {
        at: Instant,
        ticket: u64,
    },
}

/// Those of one priority.
#[derive(Debug, Default)]
struct Rank {
    waiting: FairQueue<Arc<NamespacedName>>,
    /// How often in a row others went first while somebody waited here.
    passed_over: u32,
}

impl PriorityQueue {
    /// Enqueues it. What is due later is forgotten; what is in work is reconciled again afterwards; what waits already keeps
    /// its place, or comes last in a higher priority.
    pub fn add(&mut self, key: &NamespacedName, priority: Priority, now: Instant) {
        match self.states.get_mut(key) {
            Some(State::InWork { again, .. }) => *again = (*again).max(Some(priority)),
            Some(State::Waiting { priority: before, .. }) if *before >= priority => {}
            _ => {
                let (key, since) = self.withdraw(key).unwrap_or_else(|| (Arc::new(key.clone()), None));
                self.added += u64::from(since.is_none());
                self.wait(key, priority, since.unwrap_or(now));
            }
        }
    }

    /// The next one to be reconciled, of at least this priority; it is in work from now on.
    pub fn take(&mut self, least: Priority) -> Option<(Arc<NamespacedName>, Priority)> {
        let priority = self.next_priority(least)?;
        for rank in &mut self.ranks {
            rank.passed_over = if rank.waiting.is_empty() { 0 } else { rank.passed_over.saturating_add(1) };
        }
        let rank = &mut self.ranks[priority as usize];
        rank.passed_over = 0;
        let key = rank.waiting.take()?;
        self.begin(&key, priority);
        Some((key, priority))
    }

    /// The next one that a person waits for, of a namespace that has none in work for a person.
    pub fn take_alone(&mut self) -> Option<Arc<NamespacedName>> {
        let Self { ranks, people, .. } = self;
        let rank = &mut ranks[Priority::Person as usize];
        let key = rank.waiting.take_among(|namespace| !people.has(namespace))?;
        self.begin(&key, Priority::Person);
        Some(key)
    }

    /// Since when one that is in work had waited.
    pub fn waited_since(&self, key: &NamespacedName) -> Option<Instant> {
        match self.states.get(key)? {
            State::InWork { waited_since, .. } => Some(*waited_since),
            State::Waiting { .. } | State::Due { .. } => None,
        }
    }

    /// A reconcile is over. `at`: when the next one is due by itself; what was asked for meanwhile comes at once instead.
    pub fn done(&mut self, key: &Arc<NamespacedName>, at: Option<Instant>, now: Instant) {
        let Some(State::InWork { is_for_person, again, .. }) = self.states.remove(key) else { return };
        if is_for_person {
            self.people.remove(&key.namespace);
        }
        match (again, at) {
            (Some(priority), _) => {
                self.added += 1;
                self.wait(Arc::clone(key), priority, now);
            }
            (None, Some(at)) => self.put_off(Arc::clone(key), at),
            (None, None) => {}
        }
    }

    /// Has those wait whose time has come.
    pub fn release(&mut self, now: Instant) {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            let ((due, _), key) = first.remove_entry();
            self.added += 1;
            self.wait(key, Priority::Arrived, due);
        }
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.ranks.iter().map(|rank| rank.waiting.len()).sum()
    }

    /// How many of one priority wait.
    pub fn waiting_of(&self, priority: Priority) -> usize {
        self.rank(priority).waiting.len()
    }

    /// How often one began to wait, since the start.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The highest one with somebody waiting, unless a lower one was passed over too often.
    fn next_priority(&self, least: Priority) -> Option<Priority> {
        let all = [Priority::Person, Priority::Arrived, Priority::Routine].into_iter();
        let mut able = all.filter(|priority| *priority >= least && !self.rank(*priority).waiting.is_empty());
        let first = able.next()?;
        Some(able.find(|priority| self.rank(*priority).passed_over >= PATIENCE).unwrap_or(first))
    }

    fn rank(&self, priority: Priority) -> &Rank {
        &self.ranks[priority as usize]
    }

    fn begin(&mut self, key: &Arc<NamespacedName>, priority: Priority) {
        let Some(State::Waiting { since, .. }) = self.states.get(key) else { return };
        let is_for_person = priority == Priority::Person;
        if is_for_person {
            self.people.add(&key.namespace);
        }
        let state = State::InWork { is_for_person, waited_since: *since, again: None };
        self.states.insert(Arc::clone(key), state);
    }

    fn wait(&mut self, key: Arc<NamespacedName>, priority: Priority, since: Instant) {
        let ticket = self.ticket();
        self.ranks[priority as usize].waiting.add(&key.namespace, ticket, Arc::clone(&key));
        self.states.insert(key, State::Waiting { priority, ticket, since });
    }

    fn put_off(&mut self, key: Arc<NamespacedName>, at: Instant) {
        let ticket = self.ticket();
        self.due.insert((at, ticket), Arc::clone(&key));
        self.states.insert(key, State::Due { at, ticket });
    }

    /// Takes one that waits, or is due later, out. Also says since when it has waited.
    fn withdraw(&mut self, key: &NamespacedName) -> Option<(Arc<NamespacedName>, Option<Instant>)> {
        let (key, state) = self.states.remove_entry(key)?;
        match state {
            State::Waiting { priority, ticket, since } => {
                self.ranks[priority as usize].waiting.remove(&key.namespace, ticket);
                return Some((key, Some(since)));
            }
            State::Due { at, ticket } => drop(self.due.remove(&(at, ticket))),
            State::InWork { .. } => {}
        }
        Some((key, None))
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

#[cfg(test)]
mod tests;
