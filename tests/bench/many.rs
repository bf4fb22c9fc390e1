//! The same thing done many times with a bounded number at once, and what that takes.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};

use crate::testenv::Result;

/// Does something for each item, `at_once` of them at a time, on all processors. Returns what it took in all.
pub async fn each<T, F>(items: Vec<T>, at_once: usize, mut act: impl FnMut(T) -> F) -> Result<Duration>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let begun = Instant::now();
    futures::stream::iter(items)
        .map(|item| {
            let task = tokio::spawn(act(item));
            async move { task.await? }
        })
        .buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(begun.elapsed())
}
