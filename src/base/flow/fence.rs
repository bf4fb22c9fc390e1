//! Cuts off all senders that hold a token, at once and for good, and waits for requests in flight. Knows nothing of what is
//! sent, nor why it must stop.

use std::sync::Arc;

use tokio::sync::RwLock;

/// Counts how often it was raised. Clones are the same fence. Senders hold it for reading.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<RwLock<u64>>);

/// What senders need. Void once the fence is raised.
#[derive(Clone, Debug, Default)]
pub struct FenceToken {
    fence: Fence,
    made: u64,
}

impl Fence {
    /// A new token.
    pub async fn token(&self) -> FenceToken {
        FenceToken { fence: self.clone(), made: *self.0.read().await }
    }

    /// Makes all existing tokens void. Once this returns, no request with any of them is in flight, and none will be.
    pub async fn raise(&self) {
        *self.0.write().await += 1;
    }
}

impl FenceToken {
    /// Sends, and waits for the result. `None`: the token was void, and nothing was sent.
    pub async fn send<T>(&self, sending: impl Future<Output = T>) -> Option<T> {
        let cuts = self.fence.0.read().await;
        if *cuts == self.made { Some(sending.await) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_under_way_is_waited_for_and_nothing_is_sent_after_a_cut_but_by_new_lines() {
        let fence = Fence::default();
        let (token, idle) = (fence.token().await, fence.token().await);
        let (answer, answered) = oneshot::channel();
        let mut sending = Box::pin(token.send(answered));
        assert!(sending.as_mut().now_or_never().is_none(), "it is under way");
        let mut cut = Box::pin(fence.raise());
        assert!(cut.as_mut().now_or_never().is_none(), "it waits for the answer");
        let mut late = Box::pin(idle.send(async { "sent" }));
        assert!(late.as_mut().now_or_never().is_none(), "nothing is sent meanwhile");
        answer.send("answered").unwrap();
        assert_eq!(sending.await, Some(Ok("answered")));
        cut.await;
        assert_eq!((late.await, token.send(async { "sent" }).await), (None, None));
        assert_eq!(fence.token().await.send(async { "sent" }).await, Some("sent"));
    }

    #[tokio::test]
    async fn what_is_given_up_is_not_waited_for() {
        let fence = Fence::default();
        let token = fence.token().await;
        let mut sending = Box::pin(token.send(std::future::pending::<()>()));
        assert!(sending.as_mut().now_or_never().is_none());
        drop(sending);
        fence.raise().await;
    }
}
