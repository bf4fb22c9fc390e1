//! The JSON Patch operations that Kratos accepts: add, remove, replace. It may not apply them. `test`, `move`
//! and `copy` are refused by the server, so there is no compare-and-swap.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::tolerant::size;

/// One operation. `path` is a JSON pointer (RFC 6901: `~` is `~0`, `/` is `~1`) into the identity.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOperation {
    /// Sets a member of an object, or inserts into an array. Needed for member names that are all digits.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Removes a member or an element; 400 where there is none.
    Remove {
        /// Where.
        path: String,
    },
    /// Sets a member, whether it exists or not; an array's element where the last part of the path is digits.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
}

impl PatchOperation {
    /// Where it acts.
    pub fn path(&self) -> &str {
        match self {
            Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. } => path,
        }
    }
}

/// Shows the path and how big the value is.
impl fmt::Debug for PatchOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { path, value } => {
                write!(formatter, "Add({path:?}, {} members)", size(value))
            }
            Self::Remove { path } => write!(formatter, "Remove({path:?})"),
            Self::Replace { path, value } => {
                write!(formatter, "Replace({path:?}, {} members)", size(value))
            }
        }
    }
}
