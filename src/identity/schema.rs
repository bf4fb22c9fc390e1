//! An identity schema: its login identifiers, and why traits don't fit. Pure.
//!
//! Kratos decides: nothing is refused here. Violations are named by path, key and keyword, and by what the
//! schema wants there, never by value.

pub mod shape;

use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value, json};

use self::shape::{EXTENSION, Shape};
use super::{path_redaction, pointer};
use crate::api::words::{LONGEST_STATEMENT, listed, shown};
use crate::kratos::identifier::{Taken, normalised};

/// The most violations that are collected. A message names those that fit.
const MOST: usize = 1000;
/// How much is shown of a place, a keyword and a schema's id, in characters.
const PLACE: usize = 80;
const KEYWORD: usize = 30;
const ID: usize = 40;

/// Whether a schema may declare login identifiers, in places that [`identifiers`] finds or doesn't: a condition,
/// a pattern, another document. Where it may, identities of one name are told apart by them.
pub fn may_have_identifiers(schema: &Value) -> bool {
    may_have(schema, &|part| part.get(EXTENSION).is_some_and(has_identifier))
}

/// Whether a schema may declare login identifiers where [`identifiers`] doesn't follow: a condition, a pattern,
/// another document.
pub fn hides_identifiers(schema: &Value) -> bool {
    hides(schema, schema, &|part| part.get(EXTENSION).is_some_and(has_identifier))
}

/// The same of whatever leads into an account: what people log in with, and the addresses that it is recovered or
/// verified by.
pub fn hides_ways_in(schema: &Value) -> bool {
    hides(schema, schema, &|part| part.get(EXTENSION).is_some_and(is_way_in))
}

/// What in traits leads into an account, by this schema: the values as they stand there, with their pointers.
pub fn ways_in<'v>(shape: &Shape, traits: &'v Value) -> Vec<(String, &'v Value)> {
    let mut values: Vec<&Value> = Vec::new();
    shape.visit(traits, &mut |extension, value| {
        if is_way_in(extension) {
            values.push(value);
        }
    });
    let mut found: Vec<_> = values.into_iter().filter_map(|value| Some((pointer::of(value, traits)?, value))).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.dedup_by(|(one, _), (other, _)| one == other);
    found
}

/// Whether some part of a schema `declares` something, or another document may.
fn may_have(schema: &Value, declares: &dyn Fn(&Value) -> bool) -> bool {
    match schema {
        Value::Object(members) => {
            let is_elsewhere = |reference: &Value| reference.as_str().is_some_and(|to| !to.starts_with('#'));
            declares(schema)
                || members.get("$ref").is_some_and(is_elsewhere)
                || members.values().any(|value| may_have(value, declares))
        }
        Value::Array(items) => items.iter().any(|item| may_have(item, declares)),
        _ => false,
    }
}

/// Whether some part of a schema that isn't followed may `declare` something.
fn hides(root: &Value, schema: &Value, declares: &dyn Fn(&Value) -> bool) -> bool {
    let any = |value: &Value| match value {
        Value::Object(members) => members.values().any(|value| hides(root, value, declares)),
        Value::Array(items) => items.iter().any(|item| hides(root, item, declares)),
        _ => false,
    };
    let Value::Object(members) = schema else { return false };
    members.iter().any(|(key, value)| match key.as_str() {
        "$ref" => value.as_str().is_none_or(|to| !to.starts_with('#')),
        "properties" | "$defs" | "definitions" | "allOf" | "anyOf" | "oneOf" => any(value),
        "items" if value.is_object() => hides(root, value, declares),
        // What isn't followed may lead back to what is declared elsewhere.
        _ => may_have(value, &|part| declares(part) || refers_to(root, part, declares)),
    })
}

/// Whether a part of a schema refers to another one that may `declare` something, itself or by a further reference.
fn refers_to(root: &Value, part: &Value, declares: &dyn Fn(&Value) -> bool) -> bool {
    let Some(to) = part.get("$ref").and_then(Value::as_str) else { return false };
    let target = to.strip_prefix('#').and_then(|local| root.pointer(local));
    target.is_none_or(|target| may_have(target, &|part| declares(part) || part.get("$ref").is_some()))
}

/// Whether what Kratos is told of a value makes it a login identifier.
fn has_identifier(extension: &Value) -> bool {
    extension.get("credentials").is_some_and(declares_identifiers)
}

/// Whether what Kratos is told of a value makes it lead into an account.
fn is_way_in(extension: &Value) -> bool {
    has_identifier(extension) || ["recovery", "verification"].iter().any(|kind| extension.get(kind).is_some())
}

/// Whether any kind of credential takes the value as what people log in with.
fn declares_identifiers(credentials: &Value) -> bool {
    credentials.as_object().is_some_and(|kinds| kinds.values().any(is_identifier))
}

fn is_identifier(kind: &Value) -> bool {
    kind.get("identifier").and_then(Value::as_bool).unwrap_or(false)
}

/// The login identifiers that traits hold by these schemas (`ory.sh/kratos` → `credentials` → any type →
/// `identifier: true`), as Kratos writes them down, each once: a phone number in one way for each kind that takes it.
pub fn identifiers(shapes: &[Arc<Shape>], traits: &Value) -> Vec<String> {
    let mut found: Vec<_> = identifiers_by_kind(shapes, traits).into_iter().map(|(_, identifier)| identifier).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The same, each with the kind of credential that takes it: Kratos lets no two identities have one of a kind.
pub fn identifiers_by_kind(shapes: &[Arc<Shape>], traits: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for shape in shapes {
        shape.visit(traits, &mut |extension, value| {
            let kinds = extension.get("credentials").and_then(Value::as_object);
            let kinds = kinds.into_iter().flatten().filter(|(_, kind)| is_identifier(kind));
            found.extend(kinds.filter_map(|(name, kind)| {
                let via = kind.get("via").and_then(Value::as_str);
                Some((name.clone(), normalised(value, Taken::Identifier { kind: name, via })?))
            }));
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The addresses that traits hold and that their schema lets be verified (`ory.sh/kratos` → `verification` → `via`),
/// as Kratos finds them there, and how each is reached.
pub fn verifiable_addresses(shape: &Shape, traits: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    shape.visit(traits, &mut |extension, value| {
        if let Some(via) = extension.pointer("/verification/via").and_then(Value::as_str) {
            found.extend(normalised(value, Taken::Address { via }).map(|value| (value, via.to_owned())));
        }
    });
    found
}

/// Where traits break their schema: pointers, and what is wrong there. A key of the manifest that isn't known, and one that is
/// missing, is named by its own pointer; everything else by the schema's keyword, at a place that the manifest or the schema
/// names: other keys may be a person's. Empty if nothing is found, or if the schema can't be compiled without fetching something.
pub fn violations((schema, shape): (&Value, &Shape), traits: &Value, manifest: &Map<String, Value>) -> Vec<String> {
    let Ok(validator) = jsonschema::validator_for(schema) else { return Vec::new() };
    let (document, manifest) = (json!({ "traits": traits }), json!({ "traits": manifest }));
    let mut found: Vec<String> = Vec::new();
    for error in validator.iter_errors(&document) {
        for line in lines(&error, &manifest, shape) {
            if found.len() == MOST {
                return found;
            }
            if !found.contains(&line) {
                found.push(line);
            }
        }
    }
    found
}

/// What is said of one violation.
fn lines(error: &ValidationError<'_>, manifest: &Value, shape: &Shape) -> Vec<String> {
    let place = Some(error.instance_path().as_str()).filter(|place| !place.is_empty()).unwrap_or("/traits");
    let in_manifest = |at: &str| manifest.pointer(at).is_some();
    let nearest = path_redaction::nearest(place, in_manifest, Some(shape));
    let keyword = error.schema_path().as_str().rsplit('/').find(|part| part.parse::<usize>().is_err());
    let keyword = shown(keyword.unwrap_or("schema"), KEYWORD);
    let by_keyword = match wanted(error.kind()) {
        Some(wanted) => format!("{} ({keyword}: {})", shown(&nearest, PLACE), shown(&wanted, KEYWORD)),
        None => format!("{} ({keyword})", shown(&nearest, PLACE)),
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let (theirs, others): (Vec<_>, Vec<_>) =
                unexpected.iter().map(|key| pointer::join(place, key)).partition(|at| in_manifest(at));
            let theirs = theirs.iter().map(|at| format!("{} isn't in the schema", shown(at, PLACE)));
            theirs.chain((!others.is_empty()).then_some(by_keyword)).collect()
        }
        ValidationErrorKind::Required { property: Value::String(key) } if nearest == place => {
            vec![format!("{} is required", shown(&pointer::join(place, key), PLACE))]
        }
        _ => vec![by_keyword],
    }
}

/// What the schema wants at a place, where few words say it.
fn wanted(kind: &ValidationErrorKind) -> Option<String> {
    match kind {
        ValidationErrorKind::Type { kind: TypeKind::Single(wanted) } => Some(wanted.to_string()),
        ValidationErrorKind::Format { format } => Some(format.clone()),
        ValidationErrorKind::MinLength { limit }
        | ValidationErrorKind::MaxLength { limit }
        | ValidationErrorKind::MinItems { limit }
        | ValidationErrorKind::MaxItems { limit } => Some(limit.to_string()),
        ValidationErrorKind::Minimum { limit } | ValidationErrorKind::Maximum { limit } => Some(limit.to_string()),
        _ => None,
    }
}

/// A message for a person about traits that don't fit. `manifest`: those that the manifest has.
pub fn explain(
    schema_id: &str,
    schema: Option<(&Value, &Shape)>,
    traits: &Value,
    manifest: &Map<String, Value>,
) -> String {
    let found = schema.map(|schema| violations(schema, traits, manifest)).unwrap_or_default();
    let schema_id = shown(schema_id, ID);
    if found.is_empty() {
        return format!(
            "Kratos rejects the traits under schema {schema_id}; compare them with the schema, Kratos' log says more"
        );
    }
    let (before, after) = (format!("traits don't fit schema {schema_id}: "), "; correct them in the manifest");
    let room = LONGEST_STATEMENT.saturating_sub(before.chars().count() + after.chars().count());
    format!("{before}{}{after}", listed(&found, room))
}
