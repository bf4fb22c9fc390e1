//! Answers of operations other than identities and sessions. It may not decide what follows from them.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::tolerant::time;
use crate::kratos::error::Error;

/// The result of one item of a batch. The items' order is kept.
#[derive(Debug)]
pub struct BatchAnswer {
    /// The item's UUID, if the caller gave one.
    pub patch_id: Option<String>,
    /// The result.
    pub outcome: BatchOutcome,
}

/// See [`BatchAnswer`].
#[derive(Debug)]
pub enum BatchOutcome {
    /// The server says that it created the identity. Before v25.4 that is **no** proof: where another item of the batch is a
    /// conflict, everything was rolled back and these ids don't exist.
    Created {
        /// The new identity's UUID.
        id: String,
    },
    /// This item failed. Before v25.4 a 400 doesn't say whether the traits or the schema were wrong.
    Failed(Error),
}

/// What a deletion found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was there and is gone now.
    Removed,
    /// There was nothing to remove: the server answered 404. A deletion that is retried after a lost answer sees this too.
    WasAbsent,
}

/// A schema and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaContainer {
    /// The id that identities refer to.
    pub id: String,
    /// The JSON Schema, or why it can't be used.
    pub schema: Result<Value, SchemaFault>,
}

/// Why a schema can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// Larger than [`LARGEST_SCHEMA`].
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// Not JSON, or nested too deeply, or with a number beyond a double.
    #[error("it isn't JSON that can be read")]
    NotJson,
    /// Neither an object nor a boolean.
    #[error("it isn't a JSON Schema")]
    NotASchema,
}

/// The largest schema that is accepted, in bytes; Kratos itself reads no more.
pub const LARGEST_SCHEMA: usize = 1024 * 1024;

impl SchemaContainer {
    /// Parses an item of the list. `None`: it isn't a schema's item.
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

/// Parses one schema.
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
    /// When it expires.
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
    /// When it expires.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for RecoveryLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecoveryLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
