//! Whether the process still works (`/livez`), and whether it has seen enough to be of use (`/readyz`). An unreachable API
//! server, missing definitions or a Kratos that is down are no reason to restart a process, since a new one could do no more. A
//! loop that turns is live, whatever errors it meets.

pub mod ask;
mod report;
pub mod serve;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use report::{Check, Report};

use crate::base::supervise::Tasks;

/// What is known of the process. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    tasks: Tasks,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By the order in which they began.
    loops: BTreeMap<u64, Loop>,
    /// What must happen before the process is ready, and whether it has.
    awaited: BTreeMap<String, bool>,
}

#[derive(Debug)]
struct Loop {
    name: String,
    /// Without a beat for longer than this, the loop is stuck.
    within: Duration,
    /// `None`: it rests.
    beat: Option<Instant>,
}

/// A loop's handle to report that it turns. When it is dropped, no more beats are expected.
#[derive(Debug)]
pub struct Heartbeat {
    health: Health,
    id: u64,
}

/// The API server's first answer; only then is it known what else to wait for.
const FIRST_ANSWER: &str = "API server";

impl Health {
    pub fn new(tasks: Tasks) -> Self {
        let state = State { awaited: BTreeMap::from([(FIRST_ANSWER.to_owned(), false)]), ..State::default() };
        Self { tasks, state: Arc::new(Mutex::new(state)) }
    }

    /// A loop begins, and will beat at least this often.
    pub fn expect(&self, name: impl Into<String>, within: Duration) -> Heartbeat {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.loops.insert(id, Loop { name: name.into(), within, beat: Some(Instant::now()) });
        Heartbeat { health: self.clone(), id }
    }

    /// The process isn't ready before [`Self::has_come`] is called with this name.
    pub fn await_first(&self, name: impl Into<String>) {
        self.state().awaited.entry(name.into()).or_insert(false);
    }

    /// What readiness waited for has come.
    pub fn has_come(&self, name: &str) {
        if let Some(has_come) = self.state().awaited.get_mut(name) {
            *has_come = true;
        }
    }

    /// The API server has answered, and [`Self::await_first`] was called for everything else.
    pub fn has_begun(&self) {
        self.has_come(FIRST_ANSWER);
    }

    /// Whether the process still works: each critical task, and each loop.
    pub fn live(&self, now: Instant) -> Report {
        let failure = self.tasks.failure().map(|failure| failure.to_string());
        let state = self.state();
        let loops = state.loops.values().map(|turning| Check::new(&turning.name, turning.failure(now)));
        Report::new("livez", std::iter::once(Check::new("tasks", failure)).chain(loops))
    }

    /// Whether the process has seen enough, and isn't stopping.
    pub fn ready(&self) -> Report {
        let stopping = self.tasks.stop().is_cancelled().then(|| "the process is stopping".to_owned());
        let state = self.state();
        let awaited = state.awaited.iter().map(|(name, has_come)| {
            let what = if name == FIRST_ANSWER { "no answer yet" } else { "no complete list yet" };
            Check::new(name, (!has_come).then(|| what.to_owned()))
        });
        Report::new("readyz", awaited.chain([Check::new("shutdown", stopping)]))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loop {
    fn failure(&self, now: Instant) -> Option<String> {
        let silent = now.saturating_duration_since(self.beat?);
        let (silent_for, within) = (silent.as_secs(), self.within.as_secs());
        (silent > self.within).then(|| format!("it hasn't turned for {silent_for} s, at most {within} s are expected"))
    }
}

impl Heartbeat {
    pub fn beat(&self) {
        self.set(Some(Instant::now()));
    }

    /// The loop waits for something that may never come: no beat is expected until its next one.
    pub fn rest(&self) {
        self.set(None);
    }

    fn set(&self, beat: Option<Instant>) {
        if let Some(turning) = self.health.state().loops.get_mut(&self.id) {
            turning.beat = beat;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.health.state().loops.remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
