//! What follows when tasks panic or end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::base::log_buffer::LogBuffer;

const WITHIN: Duration = Duration::from_mins(1);

fn tasks() -> Tasks {
    Tasks::new(CancellationToken::new())
}

async fn failure(tasks: &Tasks) -> Failure {
    tokio::time::timeout(WITHIN, tasks.failed()).await.expect("it is noticed")
}

#[tokio::test]
async fn a_panic_is_a_failure_under_the_tasks_name() {
    let tasks = tasks();
    tasks.spawn("batcher", async { panic!("ada@example.com") });
    let failure = failure(&tasks).await;
    assert_eq!(failure, Failure::Panicked("batcher".into()));
    assert!(failure.to_string().contains("batcher") && !failure.to_string().contains("ada"), "{failure}");
}

#[tokio::test]
async fn an_end_is_one_only_where_the_process_relies_on_the_task() {
    let tasks = tasks();
    tasks.spawn("batcher", async {}).await.unwrap();
    assert_eq!(tasks.failed().now_or_never(), None);
    tasks.spawn_critical("events", async {}).await.unwrap();
    assert_eq!(failure(&tasks).await, Failure::Ended("events".into()));
    tasks.spawn_critical("reader", async { panic!() }).await.unwrap();
    assert_eq!(failure(&tasks).await, Failure::Ended("events".into()), "what came first is said");
}

#[tokio::test]
async fn a_process_that_is_to_end_relies_on_nothing_any_more() {
    let tasks = tasks();
    tasks.stop().cancel();
    tasks.spawn_critical("events", async {}).await.unwrap();
    assert_eq!(tasks.failed().now_or_never(), None);
}

#[tokio::test]
async fn what_may_be_begun_anew_is_and_takes_nobody_along() {
    let tasks = tasks();
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let listing = tasks.spawn_restarting("listing", move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move { assert!(number > 0, "an odd identity") }
    });
    tokio::time::timeout(WITHIN, listing).await.expect("it ends").unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 2);
    assert_eq!(tasks.failed().now_or_never(), None);
}

#[test]
fn a_panic_says_where_and_not_what() {
    let written = LogBuffer::default();
    let log = written.clone();
    let log = tracing_subscriber::fmt().with_writer(move || log.clone()).finish();
    let before = std::panic::take_hook();
    hide_payloads();
    let caught = tracing::subscriber::with_default(log, || std::panic::catch_unwind(|| panic!("ada@example.com")));
    std::panic::set_hook(before);
    assert!(caught.is_err());
    let written = written.text();
    assert!(written.contains("src/base/supervise/tests.rs") && !written.contains("ada"), "{written}");
}
