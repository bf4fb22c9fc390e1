//! The identity schemas that an instance serves: read in the background and kept. They come from the public URL, which may fail
//! while the admin API answers. A failure shows here, and never trips the circuit breaker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::status::ABOUT_SCHEMAS;
use super::waiting::Waiting;
use crate::base::backoff;
use crate::base::blocking;
use crate::identity::schema::{self, shape::Shape};
use crate::kratos::{Client, SchemaContainer, SchemaFault};

/// An unknown schema id makes the list be read again, but not more often than this.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// The longest that anybody waits for them.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many are read by themselves where the list can't be.
const SINGLES: usize = 32;

/// One schema.
#[derive(Debug)]
pub struct Schema {
    pub document: Value,
    /// What it says of traits.
    pub shape: Arc<Shape>,
    /// Whether it may have login identifiers at all.
    pub may_have_identifiers: bool,
    /// Whether it may have some in places that aren't followed.
    pub hides_identifiers: bool,
}

/// What is known of a schema id.
#[derive(Clone, Debug)]
pub enum Known {
    Schema(Arc<Schema>),
    /// It is served, and of no use.
    Faulty(SchemaFault),
    /// It isn't served.
    Absent,
    /// Nobody can say: they couldn't be read.
    Unread,
}

/// All schemas of an instance, by id.
#[derive(Debug, Default)]
pub struct Schemas {
    state: Mutex<State>,
    /// Has the next read begin at the time that the state says.
    wanted: Notify,
    /// The settings may have changed: what is under way begins anew.
    reconsidered: Notify,
    /// Counts the reads that are over.
    reads: watch::Sender<u64>,
    /// Resources that wait for a schema to be read.
    pub waiting: Waiting,
    /// Resources whose schema isn't served, or is of no use.
    pub without: Waiting,
}

type ById = BTreeMap<String, Result<Arc<Schema>, SchemaFault>>;

#[derive(Debug, Default)]
struct State {
    by_id: Option<ById>,
    /// When the last read that is over began, and that which succeeded.
    tried: Option<Instant>,
    read: Option<Instant>,
    /// How many failed in a row.
    failed: u32,
    /// Why the last one did, for people.
    failure: Option<String>,
    /// When the next one is due; `None`: once somebody asks.
    due: Option<Instant>,
    /// Ids that somebody asked for and that aren't known, and when the last one was.
    missed: BTreeSet<String>,
    missed_at: Option<Instant>,
}

impl Schemas {
    /// A schema by its id. Where it isn't known it is read, and waited for a little.
    pub async fn find(&self, id: &str) -> Known {
        if let Some(known) = self.known(id) {
            return known;
        }
        let asked = Instant::now();
        {
            let mut state = self.state();
            if state.failed == 0 && state.read.is_some_and(|read| asked < read + SHORTEST_INTERVAL) {
                return Known::Absent;
            }
            if state.missed.len() < SINGLES {
                state.missed.insert(id.to_owned());
            }
            state.missed_at = Some(asked);
        }
        self.want();
        self.read_since(asked, |state| state.by_id.as_ref().is_some_and(|by_id| by_id.contains_key(id))).await;
        self.read_by(asked, id)
    }

    /// What is known by now of a schema that was asked for then.
    pub fn read_by(&self, asked: Instant, id: &str) -> Known {
        let is_read = self.state().read.is_some_and(|read| read >= asked);
        self.known(id).unwrap_or(if is_read { Known::Absent } else { Known::Unread })
    }

    /// A schema by its id, if it was read.
    pub fn known(&self, id: &str) -> Option<Known> {
        let state = self.state();
        Some(match state.by_id.as_ref()?.get(id)? {
            Ok(schema) => Known::Schema(Arc::clone(schema)),
            Err(fault) => Known::Faulty(*fault),
        })
    }

    /// A usable schema by its id, if it was read.
    pub fn usable(&self, id: &str) -> Option<Arc<Schema>> {
        self.state().by_id.as_ref()?.get(id)?.as_ref().ok().cloned()
    }

    /// The ids, sorted; `None` if the list was never read.
    pub fn ids(&self) -> Option<Vec<String>> {
        let state = self.state();
        state.read.and(state.by_id.as_ref()).map(|by_id| by_id.keys().cloned().collect())
    }

    /// Waits a little until they have been read once. Returns whether they were.
    pub async fn settled(&self) -> bool {
        let is_read = |state: &State| state.read.is_some();
        if !is_read(&self.state()) {
            self.read_since(Instant::now(), is_read).await;
        }
        is_read(&self.state())
    }

    /// Why they couldn't be read the last time, if so.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Asks for a read, where none is due already. One that failed is repeated in its time.
    fn want(&self) {
        let mut state = self.state();
        if state.due.is_none() {
            state.due = Some(Instant::now());
            self.wanted.notify_one();
        }
    }

    /// Asks for a read now, since they may be others than before. `opened`: the server answers again, so that one that
    /// failed needn't wait for its time.
    pub fn refresh(&self, opened: bool) {
        let mut state = self.state();
        if opened || state.failed == 0 {
            state.due = Some(Instant::now());
            self.wanted.notify_one();
        }
    }

    /// The settings may have changed: what is under way begins anew.
    pub fn reconsider(&self) {
        self.state().due = Some(Instant::now());
        self.reconsidered.notify_one();
    }

    /// Returns once the settings may have changed.
    pub async fn changed(&self) {
        self.reconsidered.notified().await;
    }

    /// Waits a little for a read that began since, or that is `enough`, unless none will.
    async fn read_since(&self, asked: Instant, enough: impl Fn(&State) -> bool) {
        let until = asked + PATIENCE;
        let mut reads = self.reads.subscribe();
        let is_over = |_: &u64| {
            let state = self.state();
            enough(&state)
                || state.tried.is_some_and(|tried| tried >= asked)
                || state.due.is_some_and(|due| due > until)
        };
        // The sender lives as long as self does.
        let _ = tokio::time::timeout_at(until.into(), reads.wait_for(is_over)).await;
    }

    /// Returns once a read is due.
    pub async fn due(&self) {
        loop {
            let due = self.state().due;
            let sleep = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => return,
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Reads them from Kratos. Returns whether what is known, or why it isn't, is another than before.
    pub async fn read(&self, client: &Client) -> bool {
        let begun = Instant::now();
        let (listed, failure) = match client.list_identity_schemas().await {
            Ok(all) if !all.is_empty() => (all, None),
            // A Kratos has one at least.
            Ok(_) => (Vec::new(), Some("the answer names none, so that it isn't Kratos'; check the URL".to_owned())),
            // One that the server itself can't read keeps it from answering with all others.
            Err(error) if error.server_failed() => (self.missed(client).await, Some(error.to_string())),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let work = || listed.into_iter().map(|SchemaContainer { id, schema }| (id, usable(schema))).collect();
        let (read, failure) = match blocking::once(work).await {
            Ok(read) => (read, failure),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let failure = failure.map(|failure| format!("{ABOUT_SCHEMAS} at {}: {failure}", client.schemas_at()));
        let is_news = self.take_in(begun, read, failure);
        self.reads.send_modify(|reads| *reads += 1);
        is_news
    }

    /// Those that somebody misses, read one by one.
    async fn missed(&self, client: &Client) -> Vec<SchemaContainer> {
        let missed = self.state().missed.clone();
        let mut found = Vec::new();
        for id in missed {
            if let Ok(Some(schema)) = client.get_identity_schema(&id).await {
                found.push(SchemaContainer { id, schema });
            }
        }
        found
    }

    /// `read`: all that are served, or, where that failed, some.
    fn take_in(&self, begun: Instant, read: ById, failure: Option<String>) -> bool {
        let mut state = self.state();
        let before = (state.failure.take(), state.served());
        state.tried = Some(begun);
        state.missed.retain(|id| !read.contains_key(id));
        let now = Instant::now();
        if failure.is_some() {
            if !read.is_empty() {
                state.by_id.get_or_insert_default().extend(read);
            }
            state.due = Some(now + backoff::delay(FIRST_RETRY, LAST_RETRY, state.failed));
            state.failed = state.failed.saturating_add(1);
        } else {
            state.by_id = Some(read);
            (state.read, state.failed) = (Some(begun), 0);
            // Somebody missed one while this was under way already.
            let is_wanted = state.missed_at.is_some_and(|missed| missed > begun) && !state.missed.is_empty();
            state.due = is_wanted.then_some(now);
            if !is_wanted {
                state.missed.clear();
            }
        }
        state.failure = failure;
        before != (state.failure.clone(), state.served())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is served, and of use or not.
    fn served(&self) -> Option<Vec<(String, Option<SchemaFault>)>> {
        let by_id = self.by_id.as_ref()?.iter();
        Some(by_id.map(|(id, schema)| (id.clone(), schema.as_ref().err().copied())).collect())
    }
}

fn usable(schema: Result<Value, SchemaFault>) -> Result<Arc<Schema>, SchemaFault> {
    let document = schema?;
    let shape = Arc::new(Shape::of(&document));
    let may_have_identifiers = schema::may_have_identifiers(&document);
    let hides_identifiers = shape.is_cut() || schema::hides_identifiers(&document);
    Ok(Arc::new(Schema { document, shape, may_have_identifiers, hides_identifiers }))
}
