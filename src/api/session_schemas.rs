//! Parts of the session policies' schema that a derive can't express. Pure.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::crd;

/// A Go duration between two runs.
pub fn interval(_: &mut SchemaGenerator) -> Schema {
    crd::duration_from("1s")
}

/// Networks: addresses with a prefix length.
pub fn networks(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 256,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "maxLength": 64, "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"},
    })
}

/// Ids of identity schemas.
pub fn schema_ids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 255},
    })
}
