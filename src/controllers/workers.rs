//! Runs reconciles in the queue's order, a bounded number at the same time. Some workers are kept for what a person did. Knows
//! no kind.

pub mod gauges;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::queue::{Looked, Next, Priority, Queue};
use crate::api::condition::Failure;
use crate::base::backoff;
use crate::base::kube_error;
use crate::base::place::Place;
use crate::kubernetes::kube_write;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::controllers::{self, Ended};
use crate::telemetry::trace::Trace;

/// One in so many places is kept for what a person did.
const KEPT: usize = 8;
const OUTDATED: Duration = Duration::from_millis(200);
const NO_ANSWER: Duration = Duration::from_secs(5);
/// A look that panicked would most likely do so again.
const PANICKED: Duration = Duration::from_mins(1);

/// So often the loop turns although nothing happens, and so often at least it is expected to (see [`crate::telemetry::health`]).
const TURNS_EVERY: Duration = Duration::from_secs(20);
const TURNS_WITHIN: Duration = Duration::from_mins(2);
/// Where all places are taken and somebody waits, one is expected to come free within so long: the longest looks are runs over
/// all sessions of a large instance.
const MOVES_WITHIN: Duration = Duration::from_hours(1);

/// How one kind's looks are run.
pub struct Controller {
    pub kind: &'static str,
    pub metrics: controllers::Controller,
    pub places: Places,
    pub health: Health,
}

/// How many looks are under way at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    all: usize,
    /// Of these, those kept for what a person did: it doesn't wait until something slow is over.
    for_people: usize,
    /// Of those, the ones kept for a namespace that has no such look under way: it doesn't wait until another one's crowd
    /// is over either.
    for_alone: usize,
}

impl Places {
    /// So many in all, of which a share is kept.
    pub const fn of(all: usize) -> Self {
        Self { all, for_people: all / KEPT, for_alone: all / (2 * KEPT) }
    }
}

/// A queue that many ask and one serves.
#[derive(Debug, Default)]
pub struct Asks {
    queue: Mutex<Queue>,
    changed: Notify,
    /// When each look under way began.
    under_way: Mutex<HashMap<Id, Instant>>,
}

/// One look at a resource.
pub type Look = Pin<Box<dyn Future<Output = Result<Looked, kube::Error>> + Send>>;
type Looks = JoinSet<Result<Looked, kube::Error>>;

impl Asks {
    /// Asks for a look at each.
    pub fn ask(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        let (mut queue, now) = (self.queue(), Instant::now().into_std());
        for place in places {
            queue.ask(&place, priority, now);
        }
        drop(queue);
        self.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how many seconds each look under way has been so.
    fn under_way(&self, now: Instant) -> Vec<f64> {
        self.begun().values().map(|begun| now.saturating_duration_since(*begun).as_secs_f64()).collect()
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<Id, Instant>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins as many looks as there are places. Returns when the next one is due.
    fn begin(&self, workers: &mut Workers, look: impl Fn(&Place) -> Look) -> Option<Instant> {
        let mut queue = self.queue();
        queue.release(Instant::now().into_std());
        while let Some(place) = workers.next(&mut queue) {
            let now = Instant::now();
            let since = queue.waited_since(&place).map_or(now, Instant::from_std);
            workers.controller.metrics.begins(now.saturating_duration_since(since));
            let trace = Trace::of_reconcile(workers.controller.kind, &place);
            let id = workers.looks.spawn(trace.run(look(&place))).id();
            self.begun().insert(id, now);
            workers.subjects.insert(id, (place, trace));
        }
        queue.next_due().map(Instant::from_std)
    }
}

/// The looks under way.
struct Workers {
    controller: Controller,
    looks: Looks,
    /// What each of them looks at, and its trace.
    subjects: HashMap<Id, (Arc<Place>, Trace)>,
}

impl Workers {
    fn free(&self) -> usize {
        self.controller.places.all.saturating_sub(self.looks.len())
    }

    /// The next one that may begin now.
    fn next(&self, queue: &mut Queue) -> Option<Arc<Place>> {
        let Places { all: _, for_people, for_alone } = self.controller.places;
        let free = self.free();
        let taken = match free {
            0 => return None,
            _ if free <= for_alone => return queue.take_alone(),
            _ if free <= for_people => queue.take(Priority::Person),
            _ => queue.take(Priority::Routine),
        };
        taken.map(|(place, _)| place)
    }

    /// Notes that a look is over, whatever came of it.
    fn over(&mut self, joined: Result<(Id, Result<Looked, kube::Error>), JoinError>, asks: &Asks) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some((place, trace)) = self.subjects.remove(&id) else { return };
        let (ended, after) = trace.within(|| after(result));
        let now = Instant::now();
        let begun = asks.begun().remove(&id).unwrap_or(now);
        self.controller.metrics.ended(ended, now.saturating_duration_since(begun));
        asks.queue().done(&place, after.map(|after| (now + after).into_std()), now.into_std());
    }
}

/// Looks until `stop` is cancelled; looks under way are finished.
pub async fn run(controller: Controller, asks: &Asks, stop: &CancellationToken, look: impl Fn(&Place) -> Look) {
    let kind = controller.kind;
    controller.metrics.may(controller.places.all);
    let turns = controller.health.expect(format!("queue of {kind}"), TURNS_WITHIN);
    let moves = controller.health.expect(format!("places of {kind}"), MOVES_WITHIN);
    let mut workers = Workers { controller, looks: JoinSet::new(), subjects: HashMap::new() };
    loop {
        let due = asks.begin(&mut workers, &look);
        // All that could begin has begun.
        turns.beat();
        if workers.free() > 0 || asks.queue().waiting() == 0 {
            moves.beat();
        }
        let is_due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = asks.changed.notified() => {}
            () = is_due => {}
            Some(joined) = workers.looks.join_next_with_id() => {
                moves.beat();
                workers.over(joined, asks);
            }
            () = tokio::time::sleep(TURNS_EVERY) => {}
        }
    }
    drop((turns, moves));
    workers.controller.metrics.may(0);
    if !workers.looks.is_empty() {
        tracing::info!(kind, under_way = workers.looks.len(), "reconciles under way are finished");
    }
    while let Some(joined) = workers.looks.join_next_with_id().await {
        workers.over(joined, asks);
    }
}

/// How a look ended, and how soon it is repeated by itself: one at an object that was changed since it was read at once, one
/// where Kubernetes didn't answer as it should in a moment. (The client has retried by itself before.) Failures are logged
/// here alone.
fn after(result: Result<Result<Looked, kube::Error>, JoinError>) -> (Ended, Option<Duration>) {
    match result {
        Ok(Ok(Looked { next, failure })) => {
            let (ended, after) = match next {
                Next::WhenAsked => (Ended::Success, None),
                Next::After(after) => (Ended::RequeueAfter, Some(after)),
            };
            let ended = match failure {
                None => ended,
                Some(Failure::Retried) => Ended::Error,
                Some(Failure::Terminal) => Ended::Terminal,
            };
            (ended, after)
        }
        Ok(Err(error)) if kube_write::is_outdated(&error) => {
            tracing::debug!("the object was changed meanwhile; it is looked at again");
            (Ended::Requeue, Some(backoff::spread(OUTDATED)))
        }
        // Which the API server's heartbeat says once, for all.
        Ok(Err(error)) if kube_error::is_unanswered(&error) => {
            tracing::debug!(error = kube_error::brief(&error), "a reconcile got no answer; it is tried again");
            (Ended::Error, Some(backoff::spread(NO_ANSWER)))
        }
        Ok(Err(error)) => {
            tracing::warn!(error = kube_error::brief(&error), "a reconcile failed; it is tried again");
            (Ended::Error, Some(backoff::spread(NO_ANSWER)))
        }
        // The panic itself is said by the hook; what it holds stays out of here.
        Err(_) => {
            tracing::error!("a reconcile panicked, which is an error of the operator; it is tried again");
            (Ended::Panic, Some(backoff::spread(PANICKED)))
        }
    }
}

#[cfg(test)]
mod tests;
