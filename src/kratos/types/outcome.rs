//! What the operations answer besides identities and sessions. It may not decide what follows from it.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::tolerant::time;
use crate::kratos::error::Error;

/// What became of one item of a batch. The items' order is kept.
#[derive(Debug)]
pub struct BatchAnswer {
    /// The caller's UUID of the item, if it gave one.
    pub patch_id: Option<String>,
    /// What became of it.
    pub outcome: BatchOutcome,
}

/// See [`BatchAnswer`].
#[derive(Debug)]
pub enum BatchOutcome {
    /// The server says that it made the identity. Before v25.4 that is **not** proof: where another item of the
    /// same batch is a conflict, everything was rolled back and these ids don't exist.
    Created {
        /// The new identity's UUID.
        id: String,
    },
    /// The item alone failed. Before v25.4 a 400 in here doesn't say whether the traits or the schema were wrong.
    Failed(Error),
}

/// What a deletion found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was there and is gone now.
    Removed,
    /// There was nothing to remove (any more): the server answered 404. After a lost answer the repeated
    /// request sees this too.
    WasAbsent,
}

/// A schema and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaContainer {
    /// The id that identities name.
    pub id: String,
    /// The JSON Schema, or why it is none.
    pub schema: Result<Value, SchemaFault>,
}

/// Why what a server gives as a schema is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// Beyond [`LARGEST_SCHEMA`].
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// No JSON, or JSON that is nested too deeply or has a number beyond a double in it.
    #[error("it isn't JSON that can be read")]
    NotJson,
    /// Neither an object nor a boolean.
    #[error("it isn't a JSON Schema")]
    NotASchema,
}

/// The largest schema that is taken, in bytes; what Kratos itself reads of one.
pub const LARGEST_SCHEMA: usize = 1024 * 1024;

impl SchemaContainer {
    /// Takes an item of the list apart. `None`: it isn't one.
    pub fn read(item: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Item<'a> {
            id: String,
            #[serde(borrow, default)]
            schema: Option<&'a RawValue>,
        }
        let Item { id, schema } = serde_json::from_str(item.get()).ok()?;
        Some(Self { id, schema: schema.map_or(Err(SchemaFault::NotASchema), read_schema) })
    }
}

/// Reads one schema.
pub fn read_schema(raw: &RawValue) -> Result<Value, SchemaFault> {
    if raw.get().len() > LARGEST_SCHEMA {
        return Err(SchemaFault::TooLarge);
    }
    let schema = serde_json::from_str(raw.get()).map_err(|_| SchemaFault::NotJson)?;
    if matches!(schema, Value::Object(_) | Value::Bool(_)) { Ok(schema) } else { Err(SchemaFault::NotASchema) }
}

/// A recovery code and the page where it is entered.
#[derive(Clone, Deserialize)]
pub struct RecoveryCode {
    /// Where the code is entered.
    pub recovery_link: SecretString,
    /// The code.
    pub recovery_code: SecretString,
    /// Until when it works.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecoveryCode").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A recovery link.
#[derive(Clone, Deserialize)]
pub struct RecoveryLink {
    /// Whoever opens it is logged in.
    pub recovery_link: SecretString,
    /// Until when it works.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for RecoveryLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecoveryLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
