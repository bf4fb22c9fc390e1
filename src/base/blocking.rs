//! Work that takes long, beside the threads that everything else waits on: parsing and asking rules. The one place that
//! hands it over, so that whatever it comes to is known: what panics is missing, and takes nothing else along.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How much of it is done at the same time: each may want a big stack, and more is no faster.
const AT_ONCE: usize = 16;

static ROOM: Semaphore = Semaphore::const_new(AT_ONCE);

/// The work panicked, which is an error of the operator: nothing is known of what it was to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an error of the operator kept it from being told")]
pub struct Panicked;

/// Does one thing.
pub async fn once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
    let room = ROOM.acquire().await;
    // What is left half done by a panic is dropped with the closure. The room is given back by it too: whoever waits for the
    // answer may be gone before.
    let work = || {
        let _room = room;
        work()
    };
    spawn_blocking(|| catch_unwind(AssertUnwindSafe(work))).await.ok().and_then(Result::ok).ok_or(Panicked)
}

/// Does the same to each item, one after another. The answers are as many as the items, in their order.
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
