//! The identity schema of a reconcile, as its instance has read it. Schemas are read in the background, from a URL that may
//! fail by itself. A reconcile waits a short time for one, and never trips the circuit breaker because of it.

use std::sync::Arc;
use std::time::Instant;

use super::inputs::Inputs;
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::engine::failure::{self, ReconcileError};
use crate::instance::schemas::{Known, Schema};

/// The manifest's schema.
pub async fn of_manifest(inputs: &Inputs, id: &str) -> Result<Arc<Schema>, ReconcileError> {
    let condition = match find(inputs, id).await? {
        Known::Schema(schema) => return Ok(schema),
        Known::Faulty(fault) => failure::schema_of_no_use(id, fault),
        Known::Absent | Known::Unread => failure::schema_not_found(id),
    };
    inputs.instance.shared.schemas.without.add(&key(inputs));
    Err(ReconcileError::Refused(condition))
}

/// The schema that an identity has. `None`: Kratos serves none that is of use.
pub async fn of_identity(inputs: &Inputs, id: &str) -> Result<Option<Arc<Schema>>, ReconcileError> {
    match find(inputs, id).await? {
        Known::Schema(schema) => Ok(Some(schema)),
        Known::Faulty(_) | Known::Absent | Known::Unread => Ok(None),
    }
}

/// What is known of a schema; an error where it couldn't be read.
async fn find(inputs: &Inputs, id: &str) -> Result<Known, ReconcileError> {
    let schemas = &inputs.instance.shared.schemas;
    let asked = Instant::now();
    // Whoever waits in here isn't in line: it would be reconciled once more for what it has by then.
    match schemas.find(id).await {
        Known::Unread => {}
        known => return Ok(known),
    }
    let key = key(inputs);
    // First in line, then the question: a read that is over in between isn't missed.
    schemas.waiting.add(&key);
    match schemas.read_by(asked, id) {
        Known::Unread => Err(ReconcileError::Unread(unread(&inputs.instance.key))),
        known => {
            schemas.waiting.remove(&key);
            Ok(known)
        }
    }
}

fn key(inputs: &Inputs) -> NamespacedName {
    NamespacedName::new(inputs.claimant.namespace.as_str(), inputs.claimant.name.as_str())
}

/// The condition where schemas couldn't be read yet.
pub fn unread(instance: &NamespacedName) -> ReadyCondition {
    let instance = shown(&instance.to_string(), NAME);
    let message = format!("KratosInstance {instance} hasn't been able to read the identity schema; see its status");
    ReadyCondition::new(Reason::InstanceNotReady, message)
}
