//! JSON compared by meaning, three-way merging, and the JSON Patch from one document to another. Pure.
//!
//! Objects are descended into; arrays and scalars are leaves. `test`, `move` and `copy` don't appear in the patches:
//! Kratos refuses them.
//!
//! `json-patch` has a `diff` of its own, which Kratos won't do with: it goes into arrays, takes `1.0` and `1` for different, and
//! sets members by `replace`. It knows nothing of who owns what. The tests apply our patches with it.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value};

use super::pointer;
use crate::kratos::PatchOperation;

/// What a null in the manifest stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// A value like any other (traits).
    Value,
    /// The key must not be there (metadata).
    Absent,
}

/// Whether two documents mean the same: key order doesn't count, and numbers are equal if they are equal as the
/// doubles that Kratos makes of them (so that neither `1.0` nor an integer beyond 2^53 is taken for drift).
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

/// Feeds a document into a hash by meaning: documents that are [`same`] hash alike.
pub fn digest(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        // -0 and 0 are the same number.
        Value::Number(value) => (2_u8, (value.as_f64().unwrap_or_default() + 0.0).to_bits()).hash(hasher),
        Value::String(value) => (3_u8, value).hash(hasher),
        Value::Array(values) => {
            (4_u8, values.len()).hash(hasher);
            for value in values {
                digest(value, hasher);
            }
        }
        Value::Object(members) => digest_members(members, hasher),
    }
}

/// The same for an object's members.
pub fn digest_members(members: &Map<String, Value>, hasher: &mut impl Hasher) {
    (5_u8, members.len()).hash(hasher);
    let mut keys: Vec<_> = members.keys().collect();
    keys.sort_unstable();
    for key in keys {
        key.hash(hasher);
        digest(&members[key], hasher);
    }
}

/// The pointers of the leaves of `desired` below `root`: what a manifest owns.
pub fn leaves(root: &str, desired: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    collect_leaves(root, desired, &mut found);
    found
}

fn collect_leaves(root: &str, desired: &Map<String, Value>, found: &mut Vec<String>) {
    for (key, value) in desired {
        let path = pointer::join(root, key);
        match value {
            Value::Object(members) if !members.is_empty() => collect_leaves(&path, members, found),
            _ => found.push(path),
        }
    }
}

/// `observed` (an object or null) with every leaf of `desired` in it, and without the leaves of `owned_before` that
/// the manifest no longer has. Everything else stays. `owned_before` are pointers that start with `root`.
pub fn merge(root: &str, observed: &Value, desired: &Map<String, Value>, owned_before: &[String], null: Null) -> Value {
    let mut merged = observed.as_object().cloned().unwrap_or_default();
    let owned_now: HashSet<String> = leaves(root, desired).into_iter().collect();
    let gone = owned_before.iter().filter(|old| pointer::is_within(old, root) && !owned_now.contains(*old));
    for path in gone {
        remove(&mut merged, &pointer::split(&path[root.len()..]));
    }
    overlay(&mut merged, desired, null);
    Value::Object(merged)
}

/// Removes one leaf, and the objects that become empty by it.
fn remove(members: &mut Map<String, Value>, keys: &[String]) {
    match keys {
        [] => {}
        // A leaf is never an object with members: if one stands there now, what is in it is somebody else's.
        [last] if is_filled(members.get(last)) => {}
        [last] => {
            members.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Object(inner)) = members.get_mut(first) {
                let was_empty = inner.is_empty();
                remove(inner, rest);
                if inner.is_empty() && !was_empty {
                    members.remove(first);
                }
            }
        }
    }
}

fn is_filled(value: Option<&Value>) -> bool {
    value.and_then(Value::as_object).is_some_and(|members| !members.is_empty())
}

fn overlay(members: &mut Map<String, Value>, desired: &Map<String, Value>, null: Null) {
    for (key, wanted) in desired {
        match (wanted, members.get_mut(key)) {
            (Value::Null, _) if null == Null::Absent => {
                members.remove(key);
            }
            (Value::Object(wanted), Some(Value::Object(there))) => overlay(there, wanted, null),
            (Value::Object(wanted), _) => {
                let mut fresh = Map::new();
                overlay(&mut fresh, wanted, null);
                members.insert(key.clone(), Value::Object(fresh));
            }
            (wanted, Some(there)) if same(wanted, there) => {}
            (wanted, _) => {
                members.insert(key.clone(), wanted.clone());
            }
        }
    }
}

/// Appends the operations that turn `before` into `after`, both standing at `path`.
///
/// Members are set by `add`, never by `replace`: on an object it does the same, and Kratos takes a `replace` at a key
/// of digits for an array's index.
pub fn diff(path: &str, before: &Value, after: &Value, operations: &mut Vec<PatchOperation>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if !same(before, after) {
            operations.push(PatchOperation::Add { path: path.to_owned(), value: after.clone() });
        }
        return;
    };
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        operations.push(PatchOperation::Remove { path: pointer::join(path, key) });
    }
    for (key, value) in new {
        let path = pointer::join(path, key);
        match old.get(key) {
            Some(there) => diff(&path, there, value, operations),
            None => operations.push(PatchOperation::Add { path, value: value.clone() }),
        }
    }
}
