//! Cuts off all that sends, at once and for good, and waits for what is under way. Knows nothing of what is sent, nor why
//! that ends.

use std::sync::Arc;

use tokio::sync::RwLock;

/// Counts how often it was cut. Clones are the same. Whoever sends holds it for reading.
#[derive(Clone, Debug, Default)]
pub struct Cutoff(Arc<RwLock<u64>>);

/// What is sent along, until the next cut.
#[derive(Clone, Debug, Default)]
pub struct Line {
    cutoff: Cutoff,
    made: u64,
}

impl Cutoff {
    /// A new line.
    pub async fn line(&self) -> Line {
        Line { cutoff: self.clone(), made: *self.0.read().await }
    }

    /// Cuts every line that there is. Once this returns nothing is under way along any of them, and nothing ever will be.
    pub async fn cut(&self) {
        *self.0.write().await += 1;
    }
}

impl Line {
    /// Sends, and waits for what comes of it. `None`: it was cut before, and nothing was sent.
    pub async fn send<T>(&self, sending: impl Future<Output = T>) -> Option<T> {
        let cuts = self.cutoff.0.read().await;
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
        let cutoff = Cutoff::default();
        let (line, idle) = (cutoff.line().await, cutoff.line().await);
        let (answer, answered) = oneshot::channel();
        let mut sending = Box::pin(line.send(answered));
        assert!(sending.as_mut().now_or_never().is_none(), "it is under way");
        let mut cut = Box::pin(cutoff.cut());
        assert!(cut.as_mut().now_or_never().is_none(), "it waits for the answer");
        let mut late = Box::pin(idle.send(async { "sent" }));
        assert!(late.as_mut().now_or_never().is_none(), "nothing is sent meanwhile");
        answer.send("answered").unwrap();
        assert_eq!(sending.await, Some(Ok("answered")));
        cut.await;
        assert_eq!((late.await, line.send(async { "sent" }).await), (None, None));
        assert_eq!(cutoff.line().await.send(async { "sent" }).await, Some("sent"));
    }

    #[tokio::test]
    async fn what_is_given_up_is_not_waited_for() {
        let cutoff = Cutoff::default();
        let line = cutoff.line().await;
        let mut sending = Box::pin(line.send(std::future::pending::<()>()));
        assert!(sending.as_mut().now_or_never().is_none());
        drop(sending);
        cutoff.cut().await;
    }
}
