//! Who goes first: which resources are to be looked at, and in what order. Pure; time is an argument.
//!
//! A resource is at most once waiting and at most once in work. Three priorities; within one, turns are taken as in a
//! [`Lane`].
//!
//! What is due later stands in a map by time, not in `tokio_util`'s `DelayQueue`: that one reads the clock, wants the runtime
//! and is one more list to keep in step with the states here, while all it would save is a `BTreeMap`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::counts::Counts;
use crate::flow::lane::Lane;
use crate::place::Place;

/// Why a look is asked for, the least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Nobody waits: a regular look, drift, a process that starts and finds all as it was.
    Routine,
    /// What it waited for has come: an instance, a Secret, a listing, a time.
    Arrived,
    /// A person did something: a new resource, a new generation, a deletion, a request.
    Person,
}

/// When a look is to be repeated if nobody asks for one earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    WhenAsked,
    After(Duration),
}

const PRIORITIES: usize = 3;
/// So often in a row others may go before a priority that has somebody waiting; then it is its turn. Less than this
/// would cost people time, more would let drift stay while people are busy.
const PATIENCE: u32 = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    /// Of all that are waiting, in work, or due later; nothing of any other.
    states: HashMap<Arc<Place>, State>,
    ranks: [Rank; PRIORITIES],
    due: BTreeMap<(Instant, u64), Arc<Place>>,
    /// How many of each namespace are in work for a person.
    people: Counts,
    next_ticket: u64,
}

#[derive(Debug)]
enum State {
    Waiting {
        priority: Priority,
        ticket: u64,
    },
    /// `again`: asked for meanwhile.
    InWork {
        is_for_person: bool,
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
    waiting: Lane<Arc<Place>>,
    /// How often in a row others went first while somebody waited here.
    passed_over: u32,
}

impl Queue {
    /// Asks for a look now. What is due later is forgotten; what is in work is looked at again afterwards; what waits
    /// already keeps its place, or comes last in a higher priority.
    pub fn ask(&mut self, place: &Place, priority: Priority) {
        match self.states.get_mut(place) {
            Some(State::InWork { again, .. }) => *again = (*again).max(Some(priority)),
            Some(State::Waiting { priority: before, .. }) if *before >= priority => {}
            _ => {
                let place = self.withdraw(place).unwrap_or_else(|| Arc::new(place.clone()));
                self.wait(place, priority);
            }
        }
    }

    /// The next one to be looked at, of at least this priority; it is in work from now on.
    pub fn take(&mut self, least: Priority) -> Option<(Arc<Place>, Priority)> {
        let priority = self.next_priority(least)?;
        for rank in &mut self.ranks {
            rank.passed_over = if rank.waiting.is_empty() { 0 } else { rank.passed_over.saturating_add(1) };
        }
        let rank = &mut self.ranks[priority as usize];
        rank.passed_over = 0;
        let place = rank.waiting.take()?;
        self.begin(&place, priority);
        Some((place, priority))
    }

    /// The next one that a person waits for, of a namespace that has none in work for a person.
    pub fn take_alone(&mut self) -> Option<Arc<Place>> {
        let Self { ranks, people, .. } = self;
        let rank = &mut ranks[Priority::Person as usize];
        let place = rank.waiting.take_among(|namespace| !people.has(namespace))?;
        self.begin(&place, Priority::Person);
        Some(place)
    }

    /// A look is over. `at`: when the next one is due by itself; what was asked for meanwhile comes at once instead.
    pub fn done(&mut self, place: &Arc<Place>, at: Option<Instant>) {
        let Some(State::InWork { is_for_person, again }) = self.states.remove(place) else { return };
        if is_for_person {
            self.people.remove(&place.namespace);
        }
        match (again, at) {
            (Some(priority), _) => self.wait(Arc::clone(place), priority),
            (None, Some(at)) => self.put_off(Arc::clone(place), at),
            (None, None) => {}
        }
    }

    /// Has those wait whose time has come.
    pub fn release(&mut self, now: Instant) {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            let place = first.remove();
            self.wait(place, Priority::Arrived);
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

    fn begin(&mut self, place: &Arc<Place>, priority: Priority) {
        let is_for_person = priority == Priority::Person;
        if is_for_person {
            self.people.add(&place.namespace);
        }
        self.states.insert(Arc::clone(place), State::InWork { is_for_person, again: None });
    }

    fn wait(&mut self, place: Arc<Place>, priority: Priority) {
        let ticket = self.ticket();
        self.ranks[priority as usize].waiting.add(&place.namespace, ticket, Arc::clone(&place));
        self.states.insert(place, State::Waiting { priority, ticket });
    }

    fn put_off(&mut self, place: Arc<Place>, at: Instant) {
        let ticket = self.ticket();
        self.due.insert((at, ticket), Arc::clone(&place));
        self.states.insert(place, State::Due { at, ticket });
    }

    /// Takes one that waits, or is due later, out.
    fn withdraw(&mut self, place: &Place) -> Option<Arc<Place>> {
        let (place, state) = self.states.remove_entry(place)?;
        match state {
            State::Waiting { priority, ticket } => {
                self.ranks[priority as usize].waiting.remove(&place.namespace, ticket);
            }
            State::Due { at, ticket } => drop(self.due.remove(&(at, ticket))),
            State::InWork { .. } => {}
        }
        Some(place)
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }
}

#[cfg(test)]
mod tests;
