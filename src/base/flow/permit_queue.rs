//! A semaphore for callers that don't wait on the spot: whoever gets no permit leaves, and is called when there is one. Knows
//! nothing of what the permits are for, nor of how callers are called.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::fair_semaphore::{FairSemaphore, Permit};

/// How long a permit is kept for a caller that was called and doesn't come. After that it queues anew.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Calls one whose turn has come.
type Call<K> = Box<dyn Fn(&K) + Send + Sync>;
/// Runs the waits for permits in the background.
type Run = Box<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// The permits, and who waits to be called.
pub struct PermitQueue<K> {
    limit: Arc<FairSemaphore>,
    asked: Mutex<Asked<K>>,
    call: Call<K>,
    run: Run,
    kept_for: Duration,
}

struct Asked<K> {
    by: HashMap<K, Wish>,
    next_ticket: u64,
}

/// A caller that waits.
struct Wish {
    /// Tells it from an earlier one of the same caller.
    ticket: u64,
    /// Set once the caller was called.
    permit: Option<Permit>,
}

impl<K> fmt::Debug for PermitQueue<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PermitQueue").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> PermitQueue<K> {
    pub fn new(
        at_once: usize,
        call: impl Fn(&K) + Send + Sync + 'static,
        run: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
    ) -> Self {
        let asked = Asked { by: HashMap::new(), next_ticket: 0 };
        Self {
            limit: Arc::new(FairSemaphore::new(at_once)),
            asked: Mutex::new(asked),
            call: Box::new(call),
            run: Box::new(run),
            kept_for: KEPT_FOR,
        }
    }

    /// The permits, for those who wait on the spot.
    pub fn limit(&self) -> Arc<FairSemaphore> {
        Arc::clone(&self.limit)
    }

    /// A permit, if it is `who`'s turn. Otherwise `who` is called once it is; asking again meanwhile changes nothing. Turns are
    /// as in a [`crate::base::flow::fair_queue::FairQueue`].
    pub fn take(self: &Arc<Self>, who: &K, namespace: &str) -> Option<Permit> {
        let ticket = {
            let mut asked = self.asked();
            if let Some(wish) = asked.by.get_mut(who) {
                let permit = wish.permit.take()?;
                asked.by.remove(who);
                return Some(permit);
            }
            if let Some(permit) = self.limit.try_acquire() {
                return Some(permit);
            }
            let ticket = asked.next_ticket;
            asked.next_ticket += 1;
            asked.by.insert(who.clone(), Wish { ticket, permit: None });
            ticket
        };
        (self.run)(Arc::clone(self).keep(who.clone(), namespace.to_owned(), ticket).boxed());
        None
    }

    /// `who` no longer wants a permit.
    pub fn withdraw(&self, who: &K) {
        // Dropped after the lock: that hands the permit on.
        let left = self.asked().by.remove(who);
        drop(left);
    }

    /// How many wait, or were called and haven't come yet.
    pub fn waiting(&self) -> usize {
        self.asked().by.len()
    }

    /// Waits for `who`'s permit, calls it, and keeps the permit for a while.
    async fn keep(self: Arc<Self>, who: K, namespace: String, ticket: u64) {
        let permit = self.limit.acquire(&namespace).await;
        {
            let mut asked = self.asked();
            let Some(wish) = asked.by.get_mut(&who).filter(|wish| wish.ticket == ticket) else { return };
            wish.permit = Some(permit);
        }
        (self.call)(&who);
        tokio::time::sleep(self.kept_for).await;
        let missed = {
            let mut asked = self.asked();
            let is_same = asked.by.get(&who).is_some_and(|wish| wish.ticket == ticket);
            if is_same { asked.by.remove(&who) } else { None }
        };
        drop(missed);
    }

    fn asked(&self) -> MutexGuard<'_, Asked<K>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn permits(
        at_once: usize,
        kept_for: Duration,
    ) -> (Arc<PermitQueue<&'static str>>, UnboundedReceiver<&'static str>) {
        let (call, called) = unbounded_channel();
        let call = move |who: &&'static str| call.send(*who).unwrap_or_default();
        let permits = PermitQueue { kept_for, ..PermitQueue::new(at_once, call, |waits| drop(tokio::spawn(waits))) };
        (Arc::new(permits), called)
    }

    const LONG: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn whoever_finds_it_taken_is_called_and_its_place_is_kept_meanwhile() {
        let (permits, mut called) = permits(1, LONG);
        let first = permits.take(&"a/1", "a").expect("it is free");
        assert!(permits.take(&"a/2", "a").is_none());
        tokio::task::yield_now().await;
        assert!(permits.take(&"b/1", "b").is_none());
        tokio::task::yield_now().await;
        assert!(permits.take(&"a/2", "a").is_none(), "asking again doesn't help");
        assert!(called.try_recv().is_err());
        drop(first);
        let next = called.recv().await.expect("a call");
        assert_eq!(next, "a/2");
        assert!(permits.take(&"c/1", "c").is_none(), "the place is kept");
        let second = permits.take(&next, "a").expect("its turn");
        drop(second);
        assert_eq!(called.recv().await, Some("b/1"));
        drop(permits.take(&"b/1", "b").expect("its turn"));
        assert_eq!(called.recv().await, Some("c/1"));
        drop(permits.take(&"c/1", "c").expect("its turn"));
        assert_eq!(permits.waiting(), 0);
        drop(permits.take(&"d/1", "d").expect("it is free again"));
    }

    #[tokio::test]
    async fn whoever_is_called_and_doesnt_come_or_doesnt_ask_any_more_is_passed_over() {
        let (permits, mut called) = permits(1, Duration::from_millis(20));
        let first = permits.take(&"a/1", "a").expect("it is free");
        for who in ["a/2", "a/3", "a/4"] {
            assert!(permits.take(&who, "a").is_none());
            tokio::task::yield_now().await;
        }
        permits.withdraw(&"a/4");
        drop(first);
        assert_eq!(called.recv().await, Some("a/2"));
        assert_eq!(called.recv().await, Some("a/3"), "the first didn't come");
        permits.withdraw(&"a/3");
        assert_eq!(permits.waiting(), 0);
        let stays = permits.limit().acquire("b").now_or_never().expect("it is free");
        assert!(permits.take(&"a/4", "a").is_none());
        drop(stays);
        assert_eq!(called.recv().await, Some("a/4"));
    }
}
