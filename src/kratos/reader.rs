//! Reads of single identities that are requested at the same time share a request: callers seem to send
//! `GET /admin/identities/{id}`, and `GET /admin/identities` with `ids` is sent. It may not conclude from a shared read that an
//! identity doesn't exist, and may not answer with what was read before the caller asked.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::client::Client;
use super::error::{Class, Error};
use super::identities::{Consistency, IDS_PER_REQUEST, IdentityFilter};
use super::kind::Kind;
use super::types::Identity;

const OPERATION: &str = "get_identity";
/// How many single reads run at the same time.
const AT_ONCE: usize = 8;
/// After this long without reads, the next one is sent at once.
const IDLE: Duration = Duration::from_secs(1);
/// Reads in quick succession are gathered for this long.
const PATIENCE: Duration = Duration::from_millis(40);

/// Collects the reads of one instance. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Reader {
    asks: mpsc::UnboundedSender<Ask>,
}

struct Ask {
    id: String,
    answer: oneshot::Sender<Result<Option<Identity>, Error>>,
}

impl Reader {
    /// A reader, and the future that sends, to be run beside it. That future ends when the last clone is gone and everything is
    /// answered.
    pub fn new(client: Client) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (asks, receiver) = mpsc::unbounded_channel();
        (Self { asks }, run(client, receiver))
    }

    /// Reads an identity without its credentials, as [`Client::get_identity`] does, but in a shared request. A lone read is
    /// sent at once; reads in quick succession are gathered.
    pub async fn read(&self, id: &str) -> Result<Option<Identity>, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = || Error::new(OPERATION, Kind::Interrupted);
        self.asks.send(Ask { id: id.to_owned(), answer }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn run(client: Client, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let mut waiting = Vec::new();
    let mut last = None;
    while asks.recv_many(&mut waiting, IDS_PER_REQUEST).await > 0 {
        let begun = Instant::now();
        if last.is_some_and(|last| begun < last + IDLE) {
            gather(&mut asks, &mut waiting, begun + PATIENCE).await;
        }
        let wanted = waiting.drain(..).filter(|ask| !ask.answer.is_closed());
        // One malformed id would fail the request for all.
        let (able, mut alone): (Vec<_>, Vec<_>) = wanted.partition(|ask| is_id(&ask.id));
        alone.extend(if able.len() > 1 { share(&client, able).await } else { able });
        let alone = stream::iter(alone);
        let read = async |ask: Ask| {
            let found = client.get_identity(&ask.id, &[]).await;
            answer(ask, found);
        };
        alone.for_each_concurrent(AT_ONCE, read).await;
        last = Some(Instant::now());
    }
}

/// Gathers more reads, until `until` at most.
async fn gather(asks: &mut mpsc::UnboundedReceiver<Ask>, waiting: &mut Vec<Ask>, until: Instant) {
    while let Some(free) = IDS_PER_REQUEST.checked_sub(waiting.len()).filter(|free| *free > 0) {
        match timeout_at(until, asks.recv_many(waiting, free)).await {
            Ok(more) if more > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Reads these in one request. Returns those that must be read one by one: the answer lacks them, or the server failed because
/// of one of them, which must not fail the others.
async fn share(client: &Client, asks: Vec<Ask>) -> Vec<Ask> {
    match read_all(client, asks.iter().map(|ask| ask.id.as_str())).await {
        Ok(there) => {
            let (shown, others): (Vec<_>, Vec<_>) = asks.into_iter().partition(|ask| there.contains_key(&ask.id));
            for ask in shown {
                let found = there.get(&ask.id).cloned();
                answer(ask, Ok(found));
            }
            others
        }
        Err(error) if error.instance_suspect() || matches!(error.class(), Class::Throttled { .. }) => {
            for ask in asks {
                answer(ask, Err(error.clone()));
            }
            Vec::new()
        }
        Err(_) => asks,
    }
}

/// Those of these identities that exist, by id, as fresh as single reads.
pub(super) async fn read_all(
    client: &Client,
    ids: impl IntoIterator<Item = impl Into<String>>,
) -> Result<HashMap<String, Identity>, Error> {
    let filter = IdentityFilter { consistency: Consistency::Strong, ..IdentityFilter::by_ids(ids) };
    let pages: Vec<_> = client.list_identities(filter).try_collect().await?;
    let there = pages.into_iter().flat_map(|page| page.items);
    Ok(there.map(|identity| (identity.id.clone(), identity)).collect())
}

fn answer(ask: Ask, result: Result<Option<Identity>, Error>) {
    // The caller may be gone.
    let _ = ask.answer.send(result);
}

/// Whether a text is an id in Kratos' form.
fn is_id(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)
}
