//! The identity schema of a reconcile, as its instance has read it. Schemas are read in the background, from a URL that may
//! fail by itself. A reconcile waits a short time for one, and never trips the circuit breaker because of it.

use std::sync::Arc;

use super::inputs::Inputs;
use crate::api::words::{NAME, shown};
use crate::api::{Reason, Verdict};
use crate::base::place::Place;
use crate::engine::failure::{self, Halt};
use crate::instance::schemas::{Known, Schema};

/// The manifest's schema.
pub async fn of_manifest(inputs: &Inputs, id: &str) -> Result<Arc<Schema>, Halt> {
    let verdict = match find(inputs, id).await? {
        Known::Schema(schema) => return Ok(schema),
        Known::Faulty(fault) => failure::schema_of_no_use(id, fault),
        Known::Absent | Known::Unread => failure::schema_not_found(id),
    };
    inputs.instance.shared.schemas.without.add(&place(inputs));
    Err(Halt::Refused(verdict))
}

/// The schema that an identity has. `None`: Kratos serves none that is of use.
pub async fn of_identity(inputs: &Inputs, id: &str) -> Result<Option<Arc<Schema>>, Halt> {
    match find(inputs, id).await? {
        Known::Schema(schema) => Ok(Some(schema)),
        Known::Faulty(_) | Known::Absent | Known::Unread => Ok(None),
    }
}

/// What is known of a schema; halts where it couldn't be read.
async fn find(inputs: &Inputs, id: &str) -> Result<Known, Halt> {
    let schemas = &inputs.instance.shared.schemas;
    let place = place(inputs);
    // First in line, then the look: a read that is over in between isn't missed.
    schemas.waiting.add(&place);
    match schemas.find(id).await {
        Known::Unread => Err(Halt::Unread(unread(&inputs.instance.place))),
        known => {
            schemas.waiting.remove(&place);
            Ok(known)
        }
    }
}

fn place(inputs: &Inputs) -> Place {
    Place::new(inputs.claimant.namespace.as_str(), inputs.claimant.name.as_str())
}

/// The verdict where schemas couldn't be read yet.
pub fn unread(instance: &Place) -> Verdict {
    let instance = shown(&instance.to_string(), NAME);
    let message = format!("KratosInstance {instance} hasn't been able to read the identity schema; see its status");
    Verdict::new(Reason::InstanceNotReady, message)
}
