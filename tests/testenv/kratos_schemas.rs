//! The identity schemas of the tests' Kratos. They differ in which traits are unique and can be searched for; data only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// All of them by id: `customer`, `employee`, `plain`, `contact` and `phone`.
pub fn all() -> BTreeMap<String, Value> {
    let schemas = [
        ("customer", customer()),
        ("employee", employee()),
        ("plain", plain()),
        ("contact", contact()),
        ("phone", phone()),
    ];
    schemas.into_iter().map(|(id, schema)| (id.to_owned(), schema)).collect()
}

/// Logs in with its mail address, which is verifiable and recoverable, and with an optional name.
pub fn customer() -> Value {
    schema(
        "Customer",
        &json!({
            "email": login_email(),
            "username": {"type": "string", "ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}},
            "name": {"type": "object", "properties": {"first": {"type": "string"}, "last": {"type": "string"}}},
            "age": {"type": "integer", "minimum": 0},
            "newsletter": {"type": "boolean"},
        }),
        &["email"],
        false,
    )
}

/// Logs in with its mail address; has other traits than a customer, one more of them required.
pub fn employee() -> Value {
    schema(
        "Employee",
        &json!({
            "email": login_email(),
            "department": {"type": "string", "enum": ["sales", "ops", "engineering"]},
            "name": {"type": "object", "properties": {"first": {"type": "string"}, "last": {"type": "string"}}},
        }),
        &["email", "department"],
        false,
    )
}

/// No login identifier and nothing unique: if it is created twice, it exists twice. Takes any traits.
pub fn plain() -> Value {
    schema("Plain", &json!({"label": {"type": "string"}}), &[], true)
}

/// A mail address that is verifiable and recoverable, and so unique, but no login identifier.
pub fn contact() -> Value {
    let email = json!({
        "type": "string",
        "format": "email",
        "ory.sh/kratos": {"verification": {"via": "email"}, "recovery": {"via": "email"}},
    });
    schema("Contact", &json!({"email": email, "note": {"type": "string"}}), &["email"], false)
}

/// Identifiers that Kratos stores in several forms: a phone number, which also gets codes by SMS and is verifiable, and a name
/// of any type.
pub fn phone() -> Value {
    let number = json!({
        "type": "string",
        "format": "tel",
        "ory.sh/kratos": {
            "credentials": {"password": {"identifier": true}, "code": {"identifier": true, "via": "sms"}},
            "verification": {"via": "sms"},
        },
    });
    let name = json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}});
    schema("Phone", &json!({"phone": number, "name": name, "email": login_email()}), &[], false)
}

fn login_email() -> Value {
    json!({
        "type": "string",
        "format": "email",
        "ory.sh/kratos": {
            "credentials": {"password": {"identifier": true}},
            "verification": {"via": "email"},
            "recovery": {"via": "email"},
        },
    })
}

fn schema(title: &str, properties: &Value, required: &[&str], open: bool) -> Value {
    json!({
        "$id": format!("https://example.com/{}.schema.json", title.to_lowercase()),
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "type": "object",
        "properties": {"traits": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": open,
        }},
        "required": ["traits"],
    })
}
