//! The identifiers that a create asked for, to tell whether another create could succeed beside it. Pure.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::schema::{self, shape::Shape};

/// Kinds of credentials of which Kratos lets no two identities have the same identifier.
const EXCLUSIVE: [&str; 3] = ["password", "code", "webauthn"];

/// The login identifiers of one create. They are people's: compared and looked up, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestedIdentifiers {
    /// Each with the kind of credential that takes it.
    identifiers: Vec<(String, String)>,
}

impl RequestedIdentifiers {
    /// `shape`: what the schema says of traits.
    pub fn new(shape: Option<&Arc<Shape>>, traits: &Value) -> Self {
        Self { identifiers: schema::identifiers_by_kind(shape.cloned().as_slice(), traits) }
    }

    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.identifiers.iter().map(|(_, identifier)| identifier.as_str())
    }

    /// Whether Kratos can't hold both: they share an identifier of one kind.
    pub fn excludes(&self, other: &Self) -> bool {
        let exclusive = self.identifiers.iter().filter(|(kind, _)| EXCLUSIVE.contains(&kind.as_str()));
        exclusive.into_iter().any(|identifier| other.identifiers.contains(identifier))
    }
}

impl fmt::Debug for RequestedIdentifiers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RequestedIdentifiers").field("identifiers", &self.identifiers.len()).finish()
    }
}
