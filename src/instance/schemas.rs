//! The identity schemas that an instance serves, read seldom and kept.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;

use crate::identity::schema::{self, shape::Shape};
use crate::kratos::{Client, Error};

/// An unknown schema id makes the list be read again, but not more often than this.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);

/// One schema.
#[derive(Debug)]
pub struct Schema {
    pub document: Value,
    /// What it says of traits.
    pub shape: Arc<Shape>,
    /// Whether it may have login identifiers at all.
    pub may_have_identifiers: bool,
    /// Whether it may have some where they aren't looked for.
    pub hides_identifiers: bool,
}

/// All schemas, by id.
#[derive(Debug, Default)]
pub struct Schemas {
    by_id: RwLock<Option<BTreeMap<String, Arc<Schema>>>>,
    /// When they were last read; held while they are.
    read_at: Mutex<Option<Instant>>,
}

impl Schemas {
    /// Reads them from Kratos.
    pub async fn refresh(&self, client: &Client) -> Result<(), Error> {
        let mut read_at = self.read_at.lock().await;
        self.read(client, &mut read_at).await
    }

    async fn read(&self, client: &Client, read_at: &mut Option<Instant>) -> Result<(), Error> {
        let containers = client.list_identity_schemas().await?;
        let by_id = containers.into_iter().map(|container| {
            let shape = Arc::new(Shape::of(&container.schema));
            let may_have_identifiers = schema::may_have_identifiers(&container.schema);
            let hides_identifiers = shape.is_cut() || schema::hides_identifiers(&container.schema);
            let document = container.schema;
            (container.id, Arc::new(Schema { document, shape, may_have_identifiers, hides_identifiers }))
        });
        *self.by_id.write().unwrap_or_else(PoisonError::into_inner) = Some(by_id.collect());
        *read_at = Some(Instant::now());
        Ok(())
    }

    /// A schema by its id; reads the list again, at most every few seconds, where it isn't known.
    pub async fn get(&self, client: &Client, id: &str) -> Result<Option<Arc<Schema>>, Error> {
        if let Some(schema) = self.known(id) {
            return Ok(Some(schema));
        }
        let mut read_at = self.read_at.lock().await;
        if read_at.is_none_or(|read_at| read_at.elapsed() > SHORTEST_INTERVAL) {
            self.read(client, &mut read_at).await?;
        }
        Ok(self.known(id))
    }

    /// A schema by its id, if it was read.
    pub fn known(&self, id: &str) -> Option<Arc<Schema>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.as_ref()?.get(id).cloned()
    }

    /// The ids, sorted; `None` if they were never read.
    pub fn ids(&self) -> Option<Vec<String>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.as_ref().map(|by_id| by_id.keys().cloned().collect())
    }
}
