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

use super::queue::{Priority, PriorityQueue, ReconcileResult, Requeue};
use crate::api::condition::Failure;
use crate::base::backoff;
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::kubernetes::kube_write;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::controllers::{self, ReconcileOutcome};
use crate::telemetry::trace::Trace;

/// One in so many workers is kept for what a person did.
const KEPT: usize = 8;
const OUTDATED: Duration = Duration::from_millis(200);
const NO_ANSWER: Duration = Duration::from_secs(5);
/// A reconcile that panicked would most likely do so again.
const PANICKED: Duration = Duration::from_mins(1);

/// So often the loop turns although nothing happens, and so often at least it is expected to (see [`crate::telemetry::health`]).
const TURNS_EVERY: Duration = Duration::from_secs(20);
const TURNS_WITHIN: Duration = Duration::from_mins(2);
/// Where all workers are busy and somebody waits, one is expected to come free within so long: the longest reconciles
/// are runs over all sessions of a large instance.
const MOVES_WITHIN: Duration = Duration::from_hours(1);

/// How one kind's reconciles are run.
pub struct Controller {
    pub kind: &'static str,
    pub metrics: controllers::Controller,
    pub concurrency: Concurrency,
    pub health: Health,
}

/// How many reconciles are under way at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    all: usize,
    /// Of these, those kept for what a person did: it doesn't wait until something slow is over.
    for_people: usize,
    /// Of those, the ones kept for a namespace that has no such reconcile under way: it doesn't wait until another
    /// one's crowd is over either.
    for_alone: usize,
}

impl Concurrency {
    /// So many in all, of which a share is kept.
    pub const fn of(all: usize) -> Self {
        Self { all, for_people: all / KEPT, for_alone: all / (2 * KEPT) }
    }
}

/// A queue that many ask and one serves.
#[derive(Debug, Default)]
pub struct WorkQueue {
    queue: Mutex<PriorityQueue>,
    changed: Notify,
    /// When each reconcile under way began.
    in_flight: Mutex<HashMap<Id, Instant>>,
}

/// One reconcile of a resource.
pub type ReconcileFuture = Pin<Box<dyn Future<Output = Result<ReconcileResult, kube::Error>> + Send>>;
type ReconcileFutures = JoinSet<Result<ReconcileResult, kube::Error>>;

impl WorkQueue {
    /// Enqueues each.
    pub fn enqueue(&self, keys: impl IntoIterator<Item = NamespacedName>, priority: Priority) {
        let (mut queue, now) = (self.queue(), Instant::now().into_std());
        for key in keys {
            queue.add(&key, priority, now);
        }
        drop(queue);
        self.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, PriorityQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how many seconds each reconcile under way has been so.
    fn under_way(&self, now: Instant) -> Vec<f64> {
        self.begun().values().map(|begun| now.saturating_duration_since(*begun).as_secs_f64()).collect()
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<Id, Instant>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins as many reconciles as there are free workers. Returns when the next one is due.
    fn begin(&self, workers: &mut Workers, reconcile: impl Fn(&NamespacedName) -> ReconcileFuture) -> Option<Instant> {
        let mut queue = self.queue();
        queue.release(Instant::now().into_std());
        while let Some(key) = workers.next(&mut queue) {
            let now = Instant::now();
            let since = queue.waited_since(&key).map_or(now, Instant::from_std);
            workers.controller.metrics.begins(now.saturating_duration_since(since));
            let trace = Trace::of_reconcile(workers.controller.kind, &key);
            let id = workers.reconciles.spawn(trace.run(reconcile(&key))).id();
            self.begun().insert(id, now);
            workers.subjects.insert(id, (key, trace));
        }
        queue.next_due().map(Instant::from_std)
    }
}

/// The reconciles under way.
struct Workers {
    controller: Controller,
    reconciles: ReconcileFutures,
    /// What each of them reconciles, and its trace.
    subjects: HashMap<Id, (Arc<NamespacedName>, Trace)>,
}

impl Workers {
    fn free(&self) -> usize {
        self.controller.concurrency.all.saturating_sub(self.reconciles.len())
    }

    /// The next one that may begin now.
    fn next(&self, queue: &mut PriorityQueue) -> Option<Arc<NamespacedName>> {
        let Concurrency { all: _, for_people, for_alone } = self.controller.concurrency;
        let free = self.free();
        let taken = match free {
            0 => return None,
            _ if free <= for_alone => return queue.take_alone(),
            _ if free <= for_people => queue.take(Priority::Person),
            _ => queue.take(Priority::Routine),
        };
        taken.map(|(key, _)| key)
    }

    /// Notes that a reconcile is over, whatever came of it.
    fn over(&mut self, joined: Result<(Id, Result<ReconcileResult, kube::Error>), JoinError>, work_queue: &WorkQueue) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some((key, trace)) = self.subjects.remove(&id) else { return };
        let (ended, after) = trace.within(|| after(result));
        let now = Instant::now();
        let begun = work_queue.begun().remove(&id).unwrap_or(now);
        self.controller.metrics.ended(ended, now.saturating_duration_since(begun));
        work_queue.queue().done(&key, after.map(|after| (now + after).into_std()), now.into_std());
    }
}

/// Reconciles until `stop` is cancelled; reconciles under way are finished.
pub async fn run(
    controller: Controller,
    work_queue: &WorkQueue,
    stop: &CancellationToken,
    reconcile: impl Fn(&NamespacedName) -> ReconcileFuture,
) {
    let kind = controller.kind;
    controller.metrics.set_max_concurrent(controller.concurrency.all);
    let turns = controller.health.expect(format!("queue of {kind}"), TURNS_WITHIN);
    let moves = controller.health.expect(format!("places of {kind}"), MOVES_WITHIN);
    let mut workers = Workers { controller, reconciles: JoinSet::new(), subjects: HashMap::new() };
    loop {
        let due = work_queue.begin(&mut workers, &reconcile);
        // All that could begin has begun.
        turns.beat();
        if workers.free() > 0 || work_queue.queue().waiting() == 0 {
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
            () = work_queue.changed.notified() => {}
            () = is_due => {}
            Some(joined) = workers.reconciles.join_next_with_id() => {
                moves.beat();
                workers.over(joined, work_queue);
            }
            () = tokio::time::sleep(TURNS_EVERY) => {}
        }
    }
    drop((turns, moves));
    workers.controller.metrics.set_max_concurrent(0);
    if !workers.reconciles.is_empty() {
        tracing::info!(kind, under_way = workers.reconciles.len(), "reconciles under way are finished");
    }
    while let Some(joined) = workers.reconciles.join_next_with_id().await {
        workers.over(joined, work_queue);
    }
}

/// How a reconcile ended, and how soon it is repeated by itself: one at an object that was changed since it was read at
/// once, one where Kubernetes didn't answer as it should in a moment. (The client has retried by itself before.)
/// Failures are logged here alone.
fn after(result: Result<Result<ReconcileResult, kube::Error>, JoinError>) -> (ReconcileOutcome, Option<Duration>) {
    match result {
        Ok(Ok(ReconcileResult { requeue: next, failure })) => {
            let (ended, after) = match next {
                Requeue::OnChange => (ReconcileOutcome::Success, None),
                Requeue::After(after) => (ReconcileOutcome::RequeueAfter, Some(after)),
            };
            let ended = match failure {
                None => ended,
                Some(Failure::Retried) => ReconcileOutcome::Error,
                Some(Failure::Terminal) => ReconcileOutcome::Terminal,
            };
            (ended, after)
        }
        Ok(Err(error)) if kube_write::is_conflict(&error) => {
            tracing::debug!("the object was changed meanwhile; it is looked at again");
            (ReconcileOutcome::Requeue, Some(backoff::jitter(OUTDATED)))
        }
        // Which the API server's heartbeat says once, for all.
        Ok(Err(error)) if kube_error::is_unanswered(&error) => {
            tracing::debug!(error = kube_error::brief(&error), "a reconcile got no answer; it is tried again");
            (ReconcileOutcome::Error, Some(backoff::jitter(NO_ANSWER)))
        }
        Ok(Err(error)) => {
            tracing::warn!(error = kube_error::brief(&error), "a reconcile failed; it is tried again");
            (ReconcileOutcome::Error, Some(backoff::jitter(NO_ANSWER)))
        }
        // The panic itself is said by the hook; what it holds stays out of here.
        Err(_) => {
            tracing::error!("a reconcile panicked, which is an error of the operator; it is tried again");
            (ReconcileOutcome::Panic, Some(backoff::jitter(PANICKED)))
        }
    }
}

#[cfg(test)]
mod tests;
