//! What resources say: reasons, messages, ids; and the little JSON that scenes are made of. Pure.

use kratos_operator::api::{KratosIdentity, condition};
use serde_json::{Value, json};

/// The reason of a condition that has this status, if the resource's status speaks of its generation.
pub fn reason_of(identity: &KratosIdentity, type_: &str, value: &str) -> Option<String> {
    let status = identity.status.as_ref()?;
    let is_current = status.observed_generation == identity.metadata.generation;
    let found = condition::find(&status.conditions, type_).filter(|found| is_current && found.status == value)?;
    let is_settled = type_ != "Ready" || condition::find(&status.conditions, "Reconciling").is_none();
    is_settled.then(|| found.reason.clone())
}

pub fn message_of(identity: &KratosIdentity, type_: &str) -> String {
    let conditions = identity.status.as_ref().map_or(&[][..], |status| &status.conditions);
    condition::find(conditions, type_).map(|found| found.message.clone()).unwrap_or_default()
}

pub fn id_of(resource: &KratosIdentity) -> String {
    resource.status.as_ref().and_then(|status| status.identity_id.clone()).expect("the status names an identity")
}

pub fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A JSON merge patch.
pub fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(members) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in members {
                if value.is_null() {
                    target.as_object_mut().expect("an object").remove(&key);
                } else {
                    merge(&mut target[&key], value);
                }
            }
        }
        other => *target = other,
    }
}
