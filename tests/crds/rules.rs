//! What the definitions accept and refuse, as a table: put to the client-side validator here, and to a real
//! kube-apiserver among the operator's tests.

// This file is a module of two test binaries.
#[path = "rules/identities.rs"]
mod identities;
#[path = "rules/instances.rs"]
mod instances;
#[path = "rules/policies.rs"]
mod policies;

use serde_json::{Value, json};

/// How a resource fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Accepted,
    /// By a rule, with this message.
    Refused(&'static str),
    /// By the shape of the field at this path.
    Misshapen(&'static str),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: &'static str,
    pub kind: &'static str,
    /// The spec that is there already, if it is an update.
    pub before: Option<Value>,
    pub spec: Value,
    pub fate: Fate,
}

const DURATION: &str = "must be a duration such as 72h or 1h30m, at least 100ms and at most 87600h";

fn row(what: &'static str, kind: &'static str, changes: &Value, fate: Fate) -> Row {
    let mut spec = match kind {
        "KratosIdentity" => json!({"schemaID": "customer"}),
        "KratosSessionPolicy" => json!({
            "identities": {"all": true}, "rules": [{"name": "too-old", "maxAge": "720h", "action": "Revoke"}],
        }),
        _ => json!({"adminURL": "http://kratos.example:4434", "ownerName": "production"}),
    };
    let changes = changes.as_object().expect("an object").clone();
    spec.as_object_mut().expect("an object").extend(changes);
    Row { what, kind, before: None, spec, fate }
}

fn identity(what: &'static str, changes: &Value, fate: Fate) -> Row {
    row(what, "KratosIdentity", changes, fate)
}

fn instance(what: &'static str, changes: &Value, fate: Fate) -> Row {
    row(what, "KratosInstance", changes, fate)
}

fn policy(what: &'static str, changes: &Value, fate: Fate) -> Row {
    row(what, "KratosSessionPolicy", changes, fate)
}

/// An update, from the first changes to the second.
fn update(
    make: fn(&'static str, &Value, Fate) -> Row,
    what: &'static str,
    from: &Value,
    to: &Value,
    fate: Fate,
) -> Row {
    let before = make(what, from, Fate::Accepted).spec;
    Row { before: Some(before), ..make(what, to, fate) }
}

/// All rows.
pub fn table() -> Vec<Row> {
    [identities::rows(), instances::rows(), policies::rows()].concat()
}
