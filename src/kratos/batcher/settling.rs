//! Sends a batch until each of its items has a final answer, by several requests one after another. It resends only what is
//! known not to have been carried out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::oneshot;

use super::super::audit::{Entry, Initiator, Outcome, Write};
use super::super::client::Client;
use super::super::error::{Class, Error};
use super::super::kind::Kind;
use super::super::reader::read_all;
use super::super::types::{BatchItem, BatchOutcome, CreateIdentity, Identity};
use super::triage::{Item, Triaged, confirm, made, triage};

/// The operation that callers see, also for creates that are sent in a batch.
pub(super) const OPERATION: &str = "create_identity";

/// A create, and the caller that waits for its answer.
pub(super) struct QueuedCreate {
    pub(super) create: CreateIdentity,
    /// On whose behalf it is created.
    pub(super) initiator: Arc<Initiator>,
    /// Its open audit entry: the server calls it created, which isn't proven yet.
    pub(super) entry: Option<Entry>,
    pub(super) answer: oneshot::Sender<Result<Identity, Error>>,
}

impl Item for QueuedCreate {
    fn create(&self) -> &CreateIdentity {
        &self.create
    }
}

impl QueuedCreate {
    fn succeed(mut self, identity: Identity) {
        self.told(Outcome::Ok);
        // The caller may be gone.
        let _ = self.answer.send(Ok(identity));
    }

    /// Closes the audit entry: the outcome is known.
    fn told(&mut self, outcome: Outcome) {
        if let Some(entry) = self.entry.take() {
            entry.close(outcome);
        }
    }

    pub(super) fn fail(self, error: Error) {
        let _ = self.answer.send(Err(error));
    }
}

/// The results of a batch.
#[derive(Default)]
pub(super) struct Settled {
    /// How many creates each request carried, and how long it took; only of requests that show the server's speed.
    pub(super) took: Vec<(usize, Duration)>,
    /// Why nothing more may be sent now, if so. Everything that waits fails with it.
    pub(super) stop: Option<Error>,
}

/// Sends these creates, and answers each.
pub(super) async fn settle(client: &Client, queued: Vec<QueuedCreate>) -> Settled {
    let mut settled = Settled::default();
    let mut groups = VecDeque::from([queued]);
    let mut alone = VecDeque::new();
    loop {
        let group = match groups.pop_front() {
            Some(group) => group,
            // These come last: by now the items that they may conflict with exist.
            None => match alone.pop_front() {
                Some(queued) => vec![queued],
                None => return settled,
            },
        };
        let group: Vec<_> = group.into_iter().filter(|queued| !queued.answer.is_closed()).collect();
        if let Some(error) = &settled.stop {
            for queued in group {
                queued.fail(error.clone());
            }
            continue;
        }
        let sifted = send(client, group, &mut settled).await;
        // Depth first, so that few callers wait long.
        for group in sifted.again.into_iter().rev() {
            groups.push_front(group);
        }
        alone.extend(sifted.alone);
    }
}

/// Sends one group, and answers those of it whose result is final.
async fn send(client: &Client, mut group: Vec<QueuedCreate>, settled: &mut Settled) -> Triaged<QueuedCreate> {
    let count = group.len();
    let begun = Instant::now();
    if let Some(observer) = client.observer().filter(|_| count > 0) {
        observer.created_together(count);
    }
    if count <= 1 {
        let Some(mut queued) = group.pop() else { return Triaged::default() };
        let (create, initiator) = (queued.create.clone(), Arc::clone(&queued.initiator));
        let answer = {
            let writer = client.on_behalf_of(&initiator);
            while_wanted(std::slice::from_mut(&mut queued), writer.create_identity(&create)).await
        };
        let Some(answer) = answer else { return Triaged::default() };
        settled.note(1, begun.elapsed(), answer.as_ref().err());
        let answer = answer.map(|mut identity| {
            // A single create's answer leaves it out, too.
            identity.metadata_admin = create.metadata_admin.unwrap_or_default().into();
            identity
        });
        // The caller may be gone.
        let _ = queued.answer.send(answer);
        return Triaged::default();
    }
    let items: Vec<_> =
        group.iter().map(|queued| BatchItem { create: queued.create.clone(), patch_id: None }).collect();
    let write = |queued: &QueuedCreate| Write::new(&queued.initiator).to(client.paths_of(&queued.create));
    let writes = group.iter().map(write).collect();
    let answer = while_wanted(&mut group, client.create_all(&items, writes)).await;
    let Some(answer) = answer else { return Triaged::default() };
    settled.note(count, begun.elapsed(), answer.as_ref().err());
    let outcomes: Result<Vec<BatchOutcome>, _> = answer.map(|answers| {
        let answered = group.iter_mut().zip(answers);
        let outcome = answered.map(|(queued, (answer, entry))| {
            queued.entry = entry;
            answer.outcome
        });
        outcome.collect()
    });
    let is_whole = outcomes.is_ok();
    let mut sifted = triage(group, outcomes);
    for (queued, id) in sifted.created.drain(..) {
        let identity = made(&queued.create, id);
        queued.succeed(identity);
    }
    tracing::debug!(
        count,
        is_whole,
        failed = sifted.failed.len(),
        doubtful = sifted.doubtful.len(),
        alone = sifted.alone.len(),
        milliseconds = begun.elapsed().as_millis(),
        "a batch of creates was answered"
    );
    for (queued, error) in sifted.failed.drain(..) {
        queued.fail(error);
    }
    let doubtful = std::mem::take(&mut sifted.doubtful);
    if !doubtful.is_empty() {
        let lost = read_back(client, doubtful, settled).await;
        // This comes first: what failed may have conflicted with one of these.
        sifted.again.splice(..0, Some(lost).filter(|lost| !lost.is_empty()));
    }
    sifted
}

/// Reads back what is called created. Answers those that exist, and returns the others.
async fn read_back(client: &Client, doubtful: Vec<(QueuedCreate, String)>, settled: &mut Settled) -> Vec<QueuedCreate> {
    match read_all(client, doubtful.iter().map(|(_, id)| id.as_str())).await {
        Ok(there) => {
            let (found, mut lost) = confirm(doubtful, there);
            for queued in &mut lost {
                queued.told(Outcome::RolledBack);
            }
            for (queued, identity) in found {
                queued.succeed(identity);
            }
            lost
        }
        Err(error) => {
            settled.heed(&error);
            for (queued, _) in doubtful {
                queued.fail(error.clone().unconfirmed());
            }
            Vec::new()
        }
    }
}

impl Settled {
    /// Notes how long a request took, if that shows the server's speed, and whether more may be sent.
    fn note(&mut self, count: usize, took: Duration, error: Option<&Error>) {
        if error.is_none_or(Error::is_timeout) {
            self.took.push((count, took));
        }
        if let Some(error) = error {
            self.heed(error);
        }
    }

    fn heed(&mut self, error: &Error) {
        if error.instance_suspect() {
            self.stop = Some(Error::new(OPERATION, Kind::KeptBack));
        } else if matches!(error.class(), Class::Throttled { .. }) {
            self.stop = Some(error.clone());
        }
    }
}

/// Runs a request while at least one caller waits for its answer.
async fn while_wanted<T>(queued: &mut [QueuedCreate], request: impl Future<Output = T>) -> Option<T> {
    let nobody = join_all(queued.iter_mut().map(|queued| queued.answer.closed()));
    tokio::select! {
        answer = request => Some(answer),
        _ = nobody => None,
    }
}
