//! Order, bounds and the end of reconciles, on one thread, so that all that can move has moved after a few turns.

use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::base::supervise::Tasks;
use crate::telemetry::metrics::Metrics;

fn key(name: &str) -> NamespacedName {
    NamespacedName::new("team-a", name)
}

/// Looks that say that they have begun, and end when they are let.
struct Stage {
    work_queue: Arc<WorkQueue>,
    stop: CancellationToken,
    let_end: Arc<Semaphore>,
    begun: mpsc::UnboundedReceiver<String>,
    running: tokio::task::JoinHandle<()>,
}

impl Stage {
    fn with(concurrency: usize, outcome: fn(&NamespacedName) -> Result<ReconcileResult, kube::Error>) -> Self {
        let (work_queue, stop) = (Arc::new(WorkQueue::default()), CancellationToken::new());
        let let_end = Arc::new(Semaphore::new(0));
        let (tell, begun) = mpsc::unbounded_channel();
        let running = tokio::spawn({
            let (work_queue, stop, let_end) = (Arc::clone(&work_queue), stop.clone(), Arc::clone(&let_end));
            async move {
                let reconcile = |key: &NamespacedName| -> ReconcileFuture {
                    let (key, tell, let_end) = (key.clone(), tell.clone(), Arc::clone(&let_end));
                    Box::pin(async move {
                        tell.send(key.name.clone()).expect("somebody listens");
                        let_end.acquire().await.expect("it is open").forget();
                        outcome(&key)
                    })
                };
                let health = Health::new(Tasks::new(stop.clone()));
                let metrics = Metrics::new().controllers.identities;
                let controller =
                    Controller { kind: "Test", metrics, concurrency: Concurrency::of(concurrency), health };
                run(controller, &work_queue, &stop, reconcile).await;
            }
        });
        Self { work_queue, stop, let_end, begun, running }
    }

    fn ask(&self, names: &[&str], priority: Priority) {
        self.work_queue.enqueue(names.iter().map(|name| key(name)), priority);
    }

    /// The names of all that have begun by the time that nothing moves any more.
    async fn begun(&mut self) -> Vec<String> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        std::iter::from_fn(|| self.begun.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn places_are_bounded_and_some_are_kept_for_people() {
    let mut stage = Stage::with(8, |_| Ok(Requeue::OnChange.into()));
    let names: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    stage.ask(&names, Priority::Routine);
    assert_eq!(stage.begun().await.len(), 7);
    stage.ask(&["applied", "too-many"], Priority::Person);
    assert_eq!(stage.begun().await, ["applied"]);
    stage.let_end.add_permits(1);
    assert_eq!(stage.begun().await, ["too-many"], "before the thirteen that wait");
}

#[tokio::test]
async fn some_are_kept_for_a_namespace_whose_people_have_none() {
    let mut stage = Stage::with(32, |_| Ok(Requeue::OnChange.into()));
    let crowd: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    stage.work_queue.enqueue(crowd.iter().map(|name| key(name)), Priority::Person);
    assert_eq!(stage.begun().await.len(), 30);
    stage.work_queue.enqueue(["ada", "grace"].map(|name| NamespacedName::new("team-b", name)), Priority::Person);
    assert_eq!(stage.begun().await, ["ada"], "one, not a crowd of its own");
}

#[tokio::test]
async fn what_is_asked_for_meanwhile_is_looked_at_again_afterwards() {
    let mut stage = Stage::with(8, |_| Ok(Requeue::OnChange.into()));
    stage.ask(&["ada"], Priority::Person);
    assert_eq!(stage.begun().await, ["ada"]);
    stage.ask(&["ada"], Priority::Routine);
    assert!(stage.begun().await.is_empty());
    stage.let_end.add_permits(9);
    assert_eq!(stage.begun().await, ["ada"]);
    assert!(stage.begun().await.is_empty());
}

#[tokio::test]
async fn a_panic_takes_nothing_along_and_is_tried_again_later() {
    let mut stage = Stage::with(8, |key| match key.name.as_str() {
        "broken" => panic!("on purpose"),
        _ => Ok(Requeue::OnChange.into()),
    });
    stage.let_end.add_permits(100);
    stage.ask(&["broken", "ada"], Priority::Person);
    assert_eq!(stage.begun().await, ["broken", "ada"]);
    let due = stage.work_queue.queue().next_due().expect("it is tried again");
    let wait = due.saturating_duration_since(std::time::Instant::now());
    assert!(wait > PANICKED / 2 && wait < PANICKED * 2, "{wait:?}");
    stage.ask(&["ada", "bob"], Priority::Person);
    assert_eq!(stage.begun().await, ["ada", "bob"], "the others go on");
}

#[tokio::test]
async fn one_that_stops_finishes_what_is_under_way_and_begins_nothing() {
    let mut stage = Stage::with(2, |_| Ok(Requeue::OnChange.into()));
    stage.ask(&["ada", "bob", "cyd"], Priority::Person);
    assert_eq!(stage.begun().await, ["ada", "cyd"]);
    stage.stop.cancel();
    stage.let_end.add_permits(1);
    assert!(stage.begun().await.is_empty());
    assert!(!stage.running.is_finished(), "one is under way");
    stage.let_end.add_permits(1);
    (&mut stage.running).await.expect("it ends");
    assert!(stage.begun().await.is_empty(), "bob hasn't begun");
}
