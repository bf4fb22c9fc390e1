//! Sessions and identities as expressions see them, in Kratos' own names. Pure.
//!
//! Only what Kratos shows of an identity beside a session: no metadata for administrators, no credentials, no addresses. Where
//! a session was begun is visible only if the instance trusts what clients say of it.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::kratos::{Device, Identity, Session};
use crate::rules::{self, Known, Variable};

/// The variables of a rule's expression.
pub const RULE_VARIABLES: &[Variable] = &[
    Variable { name: "session", known: A_SESSION },
    Variable { name: "identity", known: AN_IDENTITY },
    Variable { name: "now", known: Known::Plain },
];
/// Those of the expression that selects identities; at the same indexes.
pub const IDENTITY_VARIABLES: &[Variable] = &[
    Variable { name: "", known: Known::Any },
    Variable { name: "identity", known: AN_IDENTITY },
    Variable { name: "now", known: Known::Plain },
];
pub const SESSION: usize = 0;
pub const IDENTITY: usize = 1;

/// The fields of [`session`].
const A_SESSION: Known = Known::Fields(&[
    ("id", Known::Plain),
    ("active", Known::Plain),
    ("authenticator_assurance_level", Known::Plain),
    ("authentication_methods", Known::List(&A_METHOD)),
    ("devices", Known::List(&A_DEVICE)),
    ("expires_at", Known::Plain),
    ("authenticated_at", Known::Plain),
    ("issued_at", Known::Plain),
]);
const A_METHOD: Known = Known::Fields(&[
    ("method", Known::Plain),
    ("aal", Known::Plain),
    ("completed_at", Known::Plain),
    ("provider", Known::Plain),
]);
/// The fields of [`device`], where addresses are trusted.
const A_DEVICE: Known =
    Known::Fields(&[("user_agent", Known::Plain), ("ip_address", Known::Plain), ("location", Known::Plain)]);
/// The fields of [`identity`].
const AN_IDENTITY: Known = Known::Fields(&[
    ("id", Known::Plain),
    ("schema_id", Known::Plain),
    ("state", Known::Plain),
    ("traits", Known::Any),
    ("metadata_public", Known::Any),
    ("external_id", Known::Plain),
    ("organization_id", Known::Plain),
    ("created_at", Known::Plain),
    ("state_changed_at", Known::Plain),
]);

/// The values of the variables.
pub fn values(session: &Session, trusts_addresses: bool, now: Timestamp) -> [Value; 3] {
    let identity = session.identity.as_ref().map_or(Value::Null, identity);
    [self::session(session, trusts_addresses), identity, json!(rules::seconds(now))]
}

fn session(session: &Session, trusts_addresses: bool) -> Value {
    let methods = session.authentication_methods.iter().map(|method| {
        json!({
            "method": method.method, "aal": method.aal, "completed_at": time(method.completed_at),
            "provider": method.provider.as_deref().unwrap_or_default(),
        })
    });
    let devices = session.devices.iter().map(|device| self::device(device, trusts_addresses));
    let mut view = json!({
        "id": session.id, "active": session.active,
        "authenticator_assurance_level": session.authenticator_assurance_level,
        "authentication_methods": methods.collect::<Vec<_>>(), "devices": devices.collect::<Vec<_>>(),
    });
    let times = [
        ("expires_at", session.expires_at),
        ("authenticated_at", session.authenticated_at),
        ("issued_at", session.issued_at),
    ];
    for (name, at) in times {
        if at.is_some() {
            view[name] = time(at);
        }
    }
    view
}

fn device(device: &Device, trusts_addresses: bool) -> Value {
    let mut view = json!({"user_agent": device.user_agent.as_deref().unwrap_or_default()});
    if trusts_addresses {
        view["ip_address"] = json!(device.ip_address.as_deref().unwrap_or_default());
        view["location"] = json!(device.location.as_deref().unwrap_or_default());
    }
    view
}

fn identity(identity: &Identity) -> Value {
    let mut view = json!({
        "id": identity.id, "schema_id": identity.schema_id, "state": identity.state.as_str(),
    });
    // Opaque content is left out: an expression that reads it is unknown before it is evaluated.
    for (name, content) in [("traits", &identity.traits), ("metadata_public", &identity.metadata_public)] {
        if let Ok(content) = content.read() {
            view[name] = content.clone();
        }
    }
    for (name, value) in [("external_id", &identity.external_id), ("organization_id", &identity.organization_id)] {
        if let Some(value) = value {
            view[name] = json!(value);
        }
    }
    for (name, at) in [("created_at", identity.created_at), ("state_changed_at", identity.state_changed_at)] {
        if at.is_some() {
            view[name] = time(at);
        }
    }
    view
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_string()))
}
