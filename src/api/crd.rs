//! Parts of the definitions' schemas that a derive can't express. Pure.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

/// An object of any shape (traits, metadata). Null means an empty object: server-side apply writes null when the last key
/// leaves the manifest.
pub fn free_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

/// The pattern of a duration. CEL can parse whatever matches it: its own error for what it can't parse speaks of protobuf. The
/// rule's message replaces the pattern's, which doesn't show what to write.
const DURATION: &str =
    "^(0*([0-9]{1,5}([.][0-9]+)?h|[0-9]{1,7}([.][0-9]+)?m|[0-9]{1,9}([.][0-9]+)?s|[0-9]{1,12}([.][0-9]+)?ms))+$";

/// A Go duration of at least `least`. Every other value gets the same message.
pub(super) fn duration_from(least: &str) -> Schema {
    let rule = format!(
        "self.matches('{DURATION}') && duration(self) >= duration('{least}') && duration(self) <= duration('87600h')"
    );
    let message = format!("must be a duration such as 72h or 1h30m, at least {least} and at most 87600h");
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [{"rule": rule, "message": message}],
    })
}

/// A positive Go duration.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    duration_from("100ms")
}

/// Conditions: a list map with the key type.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "Kind of condition."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "reason": {"type": "string", "maxLength": 1024, "description": "One word that says why."},
                "message": {"type": "string", "maxLength": 32768, "description": "What a person should know or do."},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation that this condition speaks of."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when the status is what it is."},
            },
        },
    })
}

/// JSON pointers in a status.
pub fn paths(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 256,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": 1024},
    })
}

/// Names in a status.
pub fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1024,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": 1024},
    })
}

/// Uids of clusters.
pub fn cluster_ids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 64},
    })
}

/// Rules in CEL.
pub fn rules(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["expression", "message"],
            "properties": {
                "expression": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 4096,
                    "description": "CEL over identity (as Kratos' JSON), identifiers (its login identifiers), namespace {name, labels} and adopts, for example identifiers.all(i, i.endsWith('@team-a.example.com')).",
                },
                "message": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "description": "What is said to whom the rule refuses: all that they are told of it. Seen by everybody who may refer to the instance.",
                },
            },
        },
    })
}

/// The deletions that count: at most as many entries as the operator keeps.
pub fn reservations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 640,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["at", "count"],
            "properties": {
                "at": {"type": "string", "format": "date-time", "description": "When they were counted, or the last of them was."},
                "count": {"type": "integer", "format": "int32", "minimum": 1, "description": "How many they are."},
                "namespace": {"type": "string", "maxLength": 63, "description": "Whose they are; several namespaces' where it is left out."},
                "most": {"type": "integer", "format": "int32", "minimum": 1, "description": "Of several namespaces: how many are any one's at most."},
            },
        },
    })
}

/// Uids of resources.
pub fn uids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1024,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": 64},
    })
}

/// A label selector with limits on its lists.
pub fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 64,
                "additionalProperties": {"type": "string", "maxLength": 63},
                "description": "Labels that must be there with these values.",
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 64,
                "x-kubernetes-list-type": "atomic",
                "description": "Requirements that must all hold.",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string", "maxLength": 317, "description": "The label's key."},
                        "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"], "description": "How the values count."},
                        "values": {
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": 63},
                            "description": "Values for In and NotIn.",
                        },
                    },
                },
            },
        },
    })
}

/// A Go duration that may be zero.
pub fn period(_: &mut SchemaGenerator) -> Schema {
    duration_from("0s")
}

/// A Go duration for the validity of a recovery.
pub fn expiry(_: &mut SchemaGenerator) -> Schema {
    duration_from("1m")
}

/// Name of an object of the cluster (RFC 1123).
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    })
}

/// A point in time (RFC 3339).
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 64})
}

/// Mail addresses or phone numbers.
pub fn addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 400},
    })
}

/// Kinds of second factors.
pub fn second_factors(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": ["TOTP", "WebAuthn", "LookupSecret"]},
    })
}

/// Credentials that must not exist.
pub fn absent_credentials(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": ["TOTP", "WebAuthn", "LookupSecret", "Password", "OIDC", "SAML"]},
    })
}

/// Links to SAML providers. One provider may know a person by several subjects, so the list is no map.
pub fn links(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["provider", "subject"],
            "properties": {"provider": provider(), "subject": subject()},
            "x-kubernetes-validations": [fits()],
        },
    })
}

/// Links to OIDC providers; some are completed by the first login.
pub fn oidc_links(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["provider"],
            "properties": {
                "provider": provider(),
                "subject": subject(),
                "useAutoLink": {
                    "type": "boolean",
                    "description": "In place of subject: the first login at the provider with an address of the identity makes the link. Needs Kratos v25.4, hosted by Ory: open source Kratos keeps the flag and does nothing about it. What becomes of the link is Kratos' and the person's: it isn't compared or restored.",
                },
            },
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.subject) != (has(self.useAutoLink) && self.useAutoLink)",
                    "message": "give either subject, or useAutoLink: true, where the first login makes the link",
                },
                fits(),
            ],
        },
    })
}

fn provider() -> serde_json::Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 218,
        "pattern": r"^[^:\s]+$",
        "description": "The provider's id in Kratos' configuration, for example google.",
    })
}

fn subject() -> serde_json::Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "description": "Who the person is at the provider: the claim sub of its tokens, for example. Another entry names another subject at the same provider.",
    })
}

/// Kratos stores `provider:subject` in a column of this width.
fn fits() -> serde_json::Value {
    json!({
        "rule": "!has(self.subject) || size(self.provider) + size(self.subject) <= 254",
        "message": "provider and subject are too long together: Kratos keeps 254 characters of both",
    })
}

/// Traits from Secrets.
pub fn traits_from(_: &mut SchemaGenerator) -> Schema {
    let key = json!({"type": "string", "minLength": 1, "maxLength": 253, "description": "Key within its data."});
    let mut name = key.clone();
    name["description"] = json!("Name of the object.");
    name["pattern"] = json!("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$");
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["path"],
        "items": {
            "type": "object",
            "required": ["path", "secretKeyRef"],
            "properties": {
                "path": {
                    "type": "string",
                    "minLength": 2,
                    "maxLength": 1024,
                    "pattern": "^(/([^/~]|~0|~1)+)+$",
                    "description": "JSON pointer of the trait, within the traits, for example /email. At most 64 levels deep.",
                },
                "secretKeyRef": {
                    "type": "object",
                    "required": ["name", "key"],
                    "description": "The Secret, in this namespace, and its key that holds the value.",
                    "properties": {"name": name, "key": key},
                },
            },
        },
    })
}
