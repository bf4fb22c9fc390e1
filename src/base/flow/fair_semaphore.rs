//! A semaphore whose waiters take turns as in a [`FairQueue`]. Knows nothing of what the permits are for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::fair_queue::FairQueue;

/// Holds a fixed number of permits.
#[derive(Debug)]
pub struct FairSemaphore(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    next_ticket: u64,
    waiting: FairQueue<oneshot::Sender<Permit>>,
}

/// A permit. It is given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Option<Arc<FairSemaphore>>);

impl FairSemaphore {
    pub fn new(at_once: usize) -> Self {
        Self(Mutex::new(State { free: at_once, next_ticket: 0, waiting: FairQueue::default() }))
    }

    /// A permit, if one is free and nobody waits.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.state().take().then(|| Permit(Some(Arc::clone(self))))
    }

    /// Waits for a permit; this namespace takes turns with the others.
    pub async fn acquire(self: &Arc<Self>, namespace: &str) -> Permit {
        let permit = {
            let mut state = self.state();
            if state.take() {
                return Permit(Some(Arc::clone(self)));
            }
            let (give, permit) = oneshot::channel();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.add(namespace, ticket, give);
            permit
        };
        match permit.await {
            Ok(permit) => permit,
            // Unreachable: nobody drops a sender without sending.
            Err(_) => Permit(None),
        }
    }

    /// Hands the permit to the next waiter, or makes it free.
    fn give_back(self: Arc<Self>) {
        let mut permit = Permit(Some(Arc::clone(&self)));
        loop {
            let next = {
                let mut state = self.state();
                let next = state.waiting.take();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(next) = next else {
                permit.0 = None;
                return;
            };
            match next.send(permit) {
                Ok(()) => return,
                // The waiter is gone.
                Err(returned) => permit = returned,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a free permit, if there is one. A permit becomes free only where nobody waits for it.
    fn take(&mut self) -> bool {
        let is_free = self.free > 0;
        self.free -= usize::from(is_free);
        is_free
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limit) = self.0.take() {
            limit.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_more_than_so_many_at_once_and_namespaces_take_turns() {
        let limit = Arc::new(FairSemaphore::new(2));
        let (one, two) = (limit.acquire("a").await, limit.acquire("a").await);
        let mut third = Box::pin(limit.acquire("a"));
        let mut other = Box::pin(limit.acquire("b"));
        let mut fourth = Box::pin(limit.acquire("a"));
        assert!((&mut third).now_or_never().is_none());
        assert!((&mut other).now_or_never().is_none());
        assert!((&mut fourth).now_or_never().is_none());
        drop(one);
        let third = third.now_or_never().expect("it was the first to wait");
        assert!((&mut other).now_or_never().is_none());
        drop(two);
        let other = other.now_or_never().expect("it was the other namespace's turn");
        assert!((&mut fourth).now_or_never().is_none());
        drop((third, other));
        drop(fourth.await);
        assert_eq!(limit.state().free, 2);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_is_passed_over_and_a_permit_nobody_took_comes_back() {
        let limit = Arc::new(FairSemaphore::new(1));
        let held = limit.acquire("a").await;
        let mut gone = Box::pin(limit.acquire("a"));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        let mut given = Box::pin(limit.acquire("a"));
        assert!((&mut given).now_or_never().is_none());
        drop(held);
        // It was given the permit, and was never polled.
        drop(given);
        assert_eq!(limit.state().free, 1);
        drop(limit.acquire("a").now_or_never().expect("it is free"));
    }
}
