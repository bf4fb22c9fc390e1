//! Sends a small request again and again. It finds out when the API server can't be reached, and when it can again: watches
//! that were silent in between are taken for dead, and end. Both are logged once for all. A connection alone doesn't show that
//! it is dead where something in between (a load balancer) acknowledges what it drops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::ReusableBoxFuture;

use crate::base::flow::leadership::Leadership;
use crate::base::kube_error;
use crate::telemetry::health::Heartbeat;

/// The shortest pause between beats, whoever suspects a loss.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// Added to that while all is well.
const EVERY: Duration = Duration::from_secs(9);
const WHILE_LOST: Duration = Duration::from_secs(1);
/// Longer than a busy server takes. A loss that is noticed wrongly costs one request per watch.
const ANSWERED: Duration = Duration::from_secs(5);

/// The longest pause between two beats, with all that a beat takes.
pub const BEATS_WITHIN: Duration = Duration::from_mins(2);

/// Whether the API server can be reached. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct ApiServer(Arc<Reached>);

#[derive(Debug, Default)]
struct Reached {
    is_lost: AtomicBool,
    suspected: Notify,
}

impl ApiServer {
    /// Whether it is known not to answer, which has been logged.
    pub fn is_lost(&self) -> bool {
        self.0.is_lost.load(Ordering::Relaxed)
    }

    /// A request got no answer: the next beat comes soon.
    pub fn suspect(&self) {
        self.0.suspected.notify_one();
    }
}

/// Announces losses.
pub type Sender = watch::Sender<Option<Instant>>;

/// The time at which the last loss was noticed, announced when that loss is over.
#[derive(Clone)]
pub struct Lost(watch::Receiver<Option<Instant>>);

/// The next loss that is over.
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
    /// Ready once a loss is over and nothing was heard since it was noticed.
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
        // The sender is gone.
        std::future::pending::<()>().await;
    }
    receiver
}

/// Beats for as long as it is polled. When this process gains the lead, every watch is resumed: one that died silently must not
/// show stale objects. `server`: its address, for the log.
pub async fn keep_beating(
    client: kube::Client,
    lost: Sender,
    leadership: Leadership,
    server: (String, ApiServer),
    heartbeat: Heartbeat,
) {
    let resumed = async {
        if leadership.is_elected() {
            leadership.gained().await;
            lost.send_replace(Some(Instant::now()));
        }
    };
    futures::future::join(resumed, beat(&client, &lost, server, heartbeat)).await;
}

async fn beat(client: &kube::Client, lost: &Sender, (server, api_server): (String, ApiServer), heartbeat: Heartbeat) {
    let mut noticed = None;
    loop {
        heartbeat.beat();
        let answered = timeout(ANSWERED, answered(client)).await;
        let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {} seconds", ANSWERED.as_secs())));
        api_server.0.is_lost.store(answered.is_err(), Ordering::Relaxed);
        match (noticed, &answered) {
            (None, Err(error)) => {
                noticed = Some(Instant::now());
                tracing::warn!(server, error, "the API server doesn't answer; what waits for it is tried again");
            }
            (Some(_), Ok(())) => {
                lost.send_replace(noticed.take());
                tracing::info!(server, "the API server answers again; watches that were silent meanwhile are resumed");
            }
            _ => {}
        }
        sleep(AT_MOST_EVERY).await;
        let wait = if answered.is_ok() { EVERY } else { WHILE_LOST };
        // The next beat is due, suspected or not.
        let _ = timeout(wait, api_server.0.suspected.notified()).await;
    }
}

/// Any answer proves that the server can be reached. The error says why it can't, in few words.
async fn answered(client: &kube::Client) -> Result<(), String> {
    let Ok(request) = Request::get("/livez").body(Vec::new()) else { return Ok(()) };
    match client.request_text(request).await {
        Err(error) if !matches!(error, kube::Error::Api(_)) => Err(kube_error::brief(&error)),
        _ => Ok(()),
    }
}
