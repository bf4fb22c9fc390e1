//! Creates that are requested at the same time share a batch: callers seem to send `POST /admin/identities`, and
//! `PATCH /admin/identities` is sent. It may not decide what a failure means: each caller gets the answer that its own request
//! would have had. What may have been carried out is never resent from here.

pub(super) mod packing;
mod settling;
pub(super) mod triage;

use std::sync::Arc;
use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument;

use self::packing::{ALONE, Batch, HASHING, LARGE, Queue, TOGETHER};
use self::settling::{OPERATION, QueuedCreate, Settled, settle};
use super::audit::Initiator;
use super::client::Client;
use super::error::Error;
use super::kind::Kind;
use super::types::{CreateIdentity, Identity};
use crate::base::flow::counts::Counts;
use crate::base::flow::expected::{Expectation, Expected};
use crate::base::flow::fair_semaphore::FairSemaphore;

/// Whether a create may share a request with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchMode {
    Batched,
    /// For a create that failed before for an unknown reason: it is sent alone, so that it can't fail others.
    Alone,
}

/// Collects the creates of one instance. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Batcher {
    requests: mpsc::UnboundedSender<Request>,
    /// How many creates will come soon.
    expected: Expectation,
}

struct Request {
    queued: QueuedCreate,
    mode: BatchMode,
    group: String,
}

impl Batcher {
    /// A batcher, and the future that sends, to be run beside it. That future ends when the last clone is gone and everything
    /// is answered. `hashing`: how many requests with passwords to hash may be in flight, these and others.
    pub fn new(client: Client, hashing: Arc<FairSemaphore>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (requests, receiver) = mpsc::unbounded_channel();
        let expected = Expectation::default();
        let collects = run((client, hashing), receiver, expected.watch());
        (Self { requests, expected }, collects)
    }

    /// Announces a create: queued ones wait for it, for a while.
    pub fn expect(&self, group: &str) -> Expected {
        self.expected.expect(group)
    }

    /// Creates an identity, as [`Client::create_identity`] does, but in a batch. The answer may lack what the server adds
    /// (credentials, times, unverified addresses). A create whose caller is gone isn't sent. Groups take turns. A create that
    /// is the only one of its `group` doesn't wait for another group's batch.
    pub async fn create(
        &self,
        create: &CreateIdentity,
        (mode, group): (BatchMode, &str),
        initiator: &Arc<Initiator>,
    ) -> Result<Identity, Error> {
        let (answer, answered) = oneshot::channel();
        let initiator = Arc::clone(initiator);
        let queued = QueuedCreate { create: create.clone(), initiator, entry: None, answer };
        let gone = || Error::new(OPERATION, Kind::Interrupted);
        self.requests.send(Request { queued, mode, group: group.to_owned() }).map_err(|_| gone())?;
        // The request itself is sent for several callers, so it has a span of its own.
        let within = tracing::debug_span!("batch", operation = OPERATION);
        answered.instrument(within).await.unwrap_or_else(|_| Err(gone()))
    }
}

/// The queues, one per batch mode.
struct Queues([Queue<QueuedCreate>; 3]);

impl Queues {
    fn add(&mut self, Request { queued, mode, group }: Request) {
        let bytes = size(&queued.create);
        let is_hashed = queued.create.credentials.is_hashed();
        let [together, hashing, alone] = &mut self.0;
        let queue = match mode {
            BatchMode::Batched if bytes > LARGE => alone,
            BatchMode::Batched if is_hashed => hashing,
            BatchMode::Batched => together,
            BatchMode::Alone => alone,
        };
        queue.add(queued, bytes, &group, Instant::now());
    }

    /// What is sent now, and the number of its queue.
    fn take(&mut self, expected: &Counts) -> Option<(usize, (Vec<QueuedCreate>, Batch))> {
        let now = Instant::now();
        self.0.iter_mut().enumerate().find_map(|(number, queue)| Some((number, queue.take(now, expected)?)))
    }

    /// Fails everything that waits: the server gave no usable answer, or wants fewer requests, so callers decide when to retry.
    fn give_up(&mut self, error: &Error) {
        for queued in self.0.iter_mut().flat_map(Queue::give_up) {
            queued.fail(error.clone());
        }
    }
}

async fn run(
    (client, hashing): (Client, Arc<FairSemaphore>),
    mut requests: mpsc::UnboundedReceiver<Request>,
    mut expected: watch::Receiver<Counts>,
) {
    let timeout = client.request_timeout();
    let mut queues = Queues([TOGETHER, HASHING, ALONE].map(|terms| Queue::new(terms, timeout)));
    let mut in_flight = FuturesUnordered::new();
    let mut is_open = true;
    loop {
        // Takes in all that have come before it decides whether one is alone.
        while let Ok(request) = requests.try_recv() {
            queues.add(request);
        }
        let (due, are_expected) = {
            let expected = expected.borrow_and_update();
            while let Some((number, (queued, batch))) = queues.take(&expected) {
                let (client, hashing) = (&client, &hashing);
                in_flight.push(async move {
                    let is_hashed = queued.iter().any(|queued| queued.create.credentials.is_hashed());
                    // All batches together take turns as one more namespace for the permits to hash passwords.
                    let _permit = if is_hashed { Some(hashing.acquire("").await) } else { None };
                    (number, batch, settle(client, queued).await)
                });
            }
            let due = queues.0.iter().filter_map(|queue| queue.due(&expected)).min();
            (due, !expected.is_empty())
        };
        if !is_open && queues.0.iter().all(Queue::is_idle) {
            return;
        }
        tokio::select! {
            request = requests.recv(), if is_open => match request {
                Some(request) => queues.add(request),
                None => is_open = false,
            },
            Some((number, batch, Settled { took, stop })) = in_flight.next(), if !in_flight.is_empty() => {
                queues.0[number].done(&batch, &took);
                if let Some(error) = stop {
                    queues.give_up(&error);
                }
            }
            () = wait_until(due), if due.is_some() => {}
            // Nobody else is expected: what was gathered is sent.
            Ok(_) = expected.wait_for(Counts::is_empty), if due.is_some() && are_expected => {}
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

/// The size of a create in a request, in bytes.
fn size(create: &CreateIdentity) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What can't be written as JSON fails when it is sent.
    let _ = serde_json::to_writer(&mut count, create);
    count.0
}
