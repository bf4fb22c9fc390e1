//! Runs looks at resources in the queue's order, a bounded number at the same time, some places of which are kept for
//! what a person did. Knows no kind.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::kube_error;
use crate::kube_write;
use crate::place::Place;
use crate::queue::{Next, Priority, Queue};
use crate::trace::Trace;

/// One in so many places is kept for what a person did.
const KEPT: usize = 8;
const OUTDATED: Duration = Duration::from_millis(200);
const NO_ANSWER: Duration = Duration::from_secs(5);
/// A look that panicked would most likely do so again.
const PANICKED: Duration = Duration::from_mins(1);

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
}

/// One look at a resource.
pub type Look = Pin<Box<dyn Future<Output = Result<Next, kube::Error>> + Send>>;
type Looks = JoinSet<Result<Next, kube::Error>>;

impl Asks {
    /// Asks for a look at each.
    pub fn ask(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        let mut queue = self.queue();
        for place in places {
            queue.ask(&place, priority);
        }
        drop(queue);
        self.changed.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins as many looks as there are places. Returns when the next one is due.
    fn begin(&self, workers: &mut Workers, look: impl Fn(&Place) -> Look) -> Option<Instant> {
        let mut queue = self.queue();
        queue.release(Instant::now().into_std());
        while let Some(place) = workers.next(&mut queue) {
            let trace = Trace::of_reconcile(workers.kind, &place);
            let id = workers.looks.spawn(trace.run(look(&place))).id();
            workers.subjects.insert(id, (place, trace));
        }
        queue.next_due().map(Instant::from_std)
    }
}

/// The looks under way.
struct Workers {
    kind: &'static str,
    places: Places,
    looks: Looks,
    /// What each of them looks at, and its trace.
    subjects: HashMap<Id, (Arc<Place>, Trace)>,
}

impl Workers {
    /// The next one that may begin now.
    fn next(&self, queue: &mut Queue) -> Option<Arc<Place>> {
        let Places { all, for_people, for_alone } = self.places;
        let free = all.saturating_sub(self.looks.len());
        let taken = match free {
            0 => return None,
            _ if free <= for_alone => return queue.take_alone(),
            _ if free <= for_people => queue.take(Priority::Person),
            _ => queue.take(Priority::Routine),
        };
        taken.map(|(place, _)| place)
    }

    /// Notes that a look is over, whatever came of it.
    fn over(&mut self, joined: Result<(Id, Result<Next, kube::Error>), JoinError>, asks: &Asks) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some((place, trace)) = self.subjects.remove(&id) else { return };
        let after = trace.within(|| after(result));
        asks.queue().done(&place, after.map(|after| (Instant::now() + after).into_std()));
    }
}

/// Looks until `stop` is cancelled; looks under way are finished.
pub async fn run(
    kind: &'static str,
    asks: &Asks,
    places: Places,
    stop: &CancellationToken,
    look: impl Fn(&Place) -> Look,
) {
    let mut workers = Workers { kind, places, looks: JoinSet::new(), subjects: HashMap::new() };
    loop {
        let due = asks.begin(&mut workers, &look);
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
            Some(joined) = workers.looks.join_next_with_id() => workers.over(joined, asks),
        }
    }
    if !workers.looks.is_empty() {
        tracing::info!(kind, under_way = workers.looks.len(), "reconciles under way are finished");
    }
    while let Some(joined) = workers.looks.join_next_with_id().await {
        workers.over(joined, asks);
    }
}

/// How soon a look is repeated by itself: one at an object that was changed since it was read at once, one where
/// Kubernetes didn't answer as it should in a moment. (The client has retried by itself before.) Failures are logged
/// here alone.
fn after(result: Result<Result<Next, kube::Error>, JoinError>) -> Option<Duration> {
    match result {
        Ok(Ok(Next::WhenAsked)) => None,
        Ok(Ok(Next::After(after))) => Some(after),
        Ok(Err(error)) if kube_write::is_outdated(&error) => {
            tracing::debug!("the object was changed meanwhile; it is looked at again");
            Some(backoff::spread(OUTDATED))
        }
        Ok(Err(error)) => {
            tracing::warn!(error = kube_error::brief(&error), "a reconcile failed; it is tried again");
            Some(backoff::spread(NO_ANSWER))
        }
        // The panic itself is said by the hook; what it holds stays out of here.
        Err(_) => {
            tracing::error!("a reconcile panicked, which is an error of the operator; it is tried again");
            Some(backoff::spread(PANICKED))
        }
    }
}

#[cfg(test)]
mod tests;
