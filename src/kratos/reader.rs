//! Reads of single identities that are asked for at the same time share a request: `GET /admin/identities` by `ids` under
//! what looks like `GET /admin/identities/{id}` to whoever asks. It may not conclude from a shared read that an identity
//! isn't there, nor tell anything that was read before it was asked.

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
/// How many are read by themselves at the same time.
const AT_ONCE: usize = 8;
/// What comes after nothing has come for so long goes at once.
const IDLE: Duration = Duration::from_secs(1);
/// Those that come in quicker succession gather for so long.
const PATIENCE: Duration = Duration::from_millis(40);

/// Collects the reads of one instance. Clones share what waits.
#[derive(Clone, Debug)]
pub struct Reader {
    asks: mpsc::UnboundedSender<Ask>,
}

struct Ask {
    id: String,
    answer: oneshot::Sender<Result<Option<Identity>, Error>>,
}

impl Reader {
    /// One, and what collects, to be run beside it. That ends when the last clone is gone and everything is answered.
    pub fn new(client: Client) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (asks, receiver) = mpsc::unbounded_channel();
        (Self { asks }, run(client, receiver))
    }

    /// Reads an identity, as [`Client::get_identity`] does, but in a batch, and without its credentials. A lone one goes
    /// at once; those that come in quick succession share a request.
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
        // One id that is none fails the request for all.
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

/// Waits for more, until then at most.
async fn gather(asks: &mut mpsc::UnboundedReceiver<Ask>, waiting: &mut Vec<Ask>, until: Instant) {
    while let Some(free) = IDS_PER_REQUEST.checked_sub(waiting.len()).filter(|free| *free > 0) {
        match timeout_at(until, asks.recv_many(waiting, free)).await {
            Ok(more) if more > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Reads these in one request. Returns those that are to be read by themselves: it shows them not, or the server fails
/// over one of them, which is no matter of the others.
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

/// Those of these that are there, by id, as fresh as a read of each would have them.
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
    // Whoever waited may be gone.
    let _ = ask.answer.send(result);
}

/// Whether a text is an id as Kratos writes them.
fn is_id(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)
}
