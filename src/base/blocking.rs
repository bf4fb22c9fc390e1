//! Runs CPU-bound work (parsing, evaluating rules) on threads of its own, so that async tasks don't wait for it. Nothing else
//! may call `spawn_blocking`: here a panic becomes an error and harms nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How many run at the same time: each may want a big stack, and more aren't faster.
const AT_ONCE: usize = 16;

static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);

/// The work panicked, which is a fault of the operator: there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an error of the operator kept it from being told")]
pub struct Panicked;

/// Runs one piece of work.
pub async fn once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
    let room = ROOM.acquire().await;
    // The closure owns what a panic leaves half done, and drops it. It owns the permit too: the caller may be gone before the
    // work ends.
    let work = || {
        let _room = room;
        work()
    };
    spawn_blocking(|| catch_unwind(AssertUnwindSafe(work))).await.ok().and_then(Result::ok).ok_or(Panicked)
}

/// Runs the same work on each item, one after another. Returns one result per item, in their order.
pub async fn each<T, R>(items: Vec<T>, work: impl Fn(T) -> R + Send + 'static) -> Vec<Result<R, Panicked>>
where
    T: Send + 'static,
    R: Send + 'static,
{
    let count = items.len();
    let one = move |item| catch_unwind(AssertUnwindSafe(|| work(item))).map_err(|_| Panicked);
    let all = once(move || items.into_iter().map(one).collect::<Vec<_>>()).await;
    all.unwrap_or_else(|_| (0..count).map(|_| Err(Panicked)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_panics_takes_no_other_along() {
        let asked = each(vec![1, 0, 4], |number| 12 / number).await;
        assert_eq!(asked, [Ok(12), Err(Panicked), Ok(3)]);
    }

    #[tokio::test]
    async fn what_panics_alone_says_so() {
        assert_eq!(once(|| "done").await, Ok("done"));
        assert_eq!(once(|| -> u8 { panic!("on purpose") }).await, Err(Panicked));
    }
}
