//! What the tests are built from. Every name differs from every other, so that a swap fails.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::identity::claim::Claimant;
use crate::identity::desired::{self, Desired};
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{Observed, Present};
use crate::identity::schema::shape::Shape;
use crate::identity::secrets::Secrets;
use crate::kratos::{Content, Identity, PatchOperation};

pub const GROUP: &str = "kratos-operator.dev";

/// The time at which tests plan.
pub fn now() -> Timestamp {
    "2026-12-24T18:00:00Z".parse().expect("a time")
}

pub fn claimant() -> Claimant {
    Claimant {
        owner: "production".into(),
        cluster: "uid-of-cluster".into(),
        namespace: "team-a".into(),
        namespace_uid: "uid-of-team-a".into(),
        name: "ada".into(),
        uid: "uid-of-ada".into(),
        reclaim_from: vec!["uid-of-burnt-cluster".into()],
        reclaim_namespaces: vec!["uid-of-lost-team-a".into()],
        beside_instance: false,
    }
}

/// The mark of [`claimant`], spelt out, with `changes` merged in.
pub fn mark_json(changes: &Value) -> Value {
    let mut mark = json!({
        "owner": "production", "cluster": "uid-of-cluster", "namespace": "team-a", "namespaceUID": "uid-of-team-a",
        "name": "ada", "uid": "uid-of-ada", "ownedPaths": [],
    });
    json_patch::merge(&mut mark, changes);
    mark
}

pub fn mark(changes: &Value) -> Mark {
    match Mark::read(&json!({GROUP: mark_json(changes)}).into()) {
        Found::Mark(mark) => *mark,
        other => panic!("no mark: {other:?}"),
    }
}

/// An identity of Kratos, with `changes` merged in.
pub fn identity(changes: &Value) -> Identity {
    let mut identity = json!({"id": "id-of-ada", "schema_id": "customer", "state": "active", "traits": {}});
    json_patch::merge(&mut identity, changes);
    serde_json::from_value(identity).expect("an identity")
}

/// Its metadata for administrators, to be changed.
pub fn admin(identity: &mut Identity) -> &mut Value {
    editable(&mut identity.metadata_admin)
}

/// Content that can be read, to be changed.
pub fn editable(content: &mut Content) -> &mut Value {
    match content {
        Content::Readable(value) => value,
        Content::Opaque(_) => panic!("it can't be read"),
    }
}

/// An identity that carries the mark of [`claimant`], owning `owned`.
pub fn marked(changes: &Value, owned: &[&str]) -> Identity {
    let mut identity = identity(changes);
    admin(&mut identity)[GROUP] = mark_json(&json!({ "ownedPaths": owned }));
    identity
}

/// What a reconcile shows: the identity with the mark that stands in it.
pub fn present(identity: Identity) -> Observed {
    let mark = match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) => Some(*mark),
        _ => None,
    };
    Observed::Present(Box::new(Present::new(identity, mark)))
}

/// What a manifest of schema `customer` wants, with these fields (nulls within them stay).
pub fn desired(spec: &Value) -> Desired {
    let mut whole = object(json!({"schemaID": "customer"}));
    whole.extend(object(spec.clone()));
    let spec = serde_json::from_value(whole.into()).expect("a spec");
    desired::parse(&spec, &Secrets::default(), now()).expect("a spec without contradictions")
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("no object: {other}"),
    }
}

/// A schema whose traits have one login identifier.
pub fn shapes(identifier: &str) -> Vec<Arc<Shape>> {
    let login = json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}});
    vec![Arc::new(Shape::of(&json!({"properties": {"traits": {"properties": {identifier: login}}}})))]
}

pub fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A document after a patch, as RFC 6902 has it; `replace` makes a missing member, and its object, as Kratos does.
pub fn patched(document: &Value, operations: &[PatchOperation]) -> Value {
    let mut document = document.clone();
    for operation in operations {
        let mut operation = serde_json::to_value(operation).expect("an operation");
        if operation["op"] == "replace" {
            operation["op"] = json!("add");
            let (parent, _) = operation["path"].as_str().expect("a path").rsplit_once('/').expect("a member");
            if let Some(parent) = document.pointer_mut(parent).filter(|parent| parent.is_null()) {
                *parent = json!({});
            }
        }
        let patch: json_patch::Patch = serde_json::from_value(json!([operation])).expect("a patch");
        json_patch::patch(&mut document, &patch).unwrap_or_else(|error| panic!("{operation}: {error}"));
    }
    document
}
