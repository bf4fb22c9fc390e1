//! A small request, again and again, that tells when the API server couldn't be reached and is reached again: watches that
//! were silent all the while are thought dead then, and end. A connection doesn't show by itself that it is dead where
//! something in between (a load balancer) acknowledges what it drops.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::ReusableBoxFuture;

const EVERY: Duration = Duration::from_secs(10);
const WHILE_LOST: Duration = Duration::from_secs(2);
/// Longer than a server that is busy takes. One that is thought lost wrongly costs a request for each watch.
const ANSWERED: Duration = Duration::from_secs(5);

/// Tells of losses.
pub type Sender = watch::Sender<Option<Instant>>;

/// When the last loss was noticed, once it was over.
#[derive(Clone)]
pub struct Lost(watch::Receiver<Option<Instant>>);

/// The next loss to be over.
pub struct Loss(ReusableBoxFuture<'static, watch::Receiver<Option<Instant>>>);

pub fn channel() -> (Sender, Lost) {
    let (sender, receiver) = watch::channel(None);
    (sender, Lost(receiver))
}

impl Lost {
    pub fn next(&self) -> Loss {
        let mut receiver = self.0.clone();
        receiver.mark_unchanged();
        Loss(ReusableBoxFuture::new(changed(receiver)))
    }
}

impl Loss {
    /// Ready once a loss is over since which nothing was heard.
    pub fn poll(&mut self, heard: Instant, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let receiver = ready!(self.0.poll(context));
            let noticed = *receiver.borrow();
            self.0.set(changed(receiver));
            if noticed.is_some_and(|noticed| heard <= noticed) {
                return Poll::Ready(());
            }
        }
    }
}

async fn changed(mut receiver: watch::Receiver<Option<Instant>>) -> watch::Receiver<Option<Instant>> {
    if receiver.changed().await.is_err() {
        // Nobody listens any more.
        std::future::pending::<()>().await;
    }
    receiver
}

/// Beats for as long as it is polled.
pub async fn keep_beating(client: kube::Client, lost: Sender) {
    let mut noticed = None;
    loop {
        let is_answered = timeout(ANSWERED, is_answered(&client)).await.unwrap_or(false);
        match noticed {
            None if !is_answered => {
                noticed = Some(Instant::now());
                tracing::warn!("the API server doesn't answer; what waits for it is tried again");
            }
            Some(_) if is_answered => {
                lost.send_replace(noticed.take());
                tracing::info!("the API server answers again; watches that were silent meanwhile are resumed");
            }
            _ => {}
        }
        sleep(if is_answered { EVERY } else { WHILE_LOST }).await;
    }
}

/// Whatever it says, it was reached.
async fn is_answered(client: &kube::Client) -> bool {
    let Ok(request) = Request::get("/livez").body(Vec::new()) else { return true };
    matches!(client.request_text(request).await, Ok(_) | Err(kube::Error::Api(_)))
}
