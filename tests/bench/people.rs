//! The identities of the benchmark: as manifests, and as what the operator sends to Kratos for them.

use kratos_operator::kratos::CreateIdentity;
use serde_json::{Value, json};

pub const NAMESPACE: &str = "bench";

pub fn name(prefix: &str, number: usize) -> String {
    format!("{prefix}-{number:06}")
}

/// Which of so many operators a manifest is for.
pub fn shard(number: usize, shards: usize) -> usize {
    number % shards
}

fn traits(prefix: &str, number: usize) -> Value {
    json!({"email": format!("{}@bench.example", name(prefix, number)), "name": {"first": "Ada", "last": "Lovelace"}})
}

pub fn manifest(prefix: &str, number: usize, namespace: &str) -> Value {
    json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": name(prefix, number), "namespace": namespace},
        "spec": {
            "instanceRef": {"name": "default", "namespace": NAMESPACE},
            "schemaID": "customer", "traits": traits(prefix, number), "metadataPublic": {"plan": "gold"},
        },
    })
}

/// With metadata of the size of the operator's mark.
pub fn identity(prefix: &str, number: usize) -> CreateIdentity {
    let mark = json!({
        "owner": "bench", "cluster": "6aa2b011-e151-4bae-bb39-52550883dbee", "namespace": NAMESPACE,
        "namespaceUID": "6aa2b011-e151-4bae-bb39-52550883dbef", "name": name(prefix, number),
        "uid": "6aa2b011-e151-4bae-bb39-52550883dbed",
        "ownedPaths": ["/metadata_public/plan", "/traits/email", "/traits/name/first", "/traits/name/last"],
    });
    CreateIdentity {
        schema_id: "customer".to_owned(),
        traits: traits(prefix, number),
        metadata_public: Some(json!({"plan": "gold"})),
        metadata_admin: Some(json!({"kratos-operator.dev": mark})),
        ..CreateIdentity::default()
    }
}

/// A status of the size of the operator's own.
pub fn status(generation: i64) -> Value {
    let at = "2026-01-01T00:00:00Z";
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Reconciled", "message": "Kratos holds what the manifest says",
        "lastTransitionTime": at, "observedGeneration": generation,
    });
    json!({"status": {
        "observedGeneration": generation, "identityID": "6aa2b011-e151-4bae-bb39-52550883dbee",
        "instance": {"name": "default", "namespace": NAMESPACE}, "schemaID": "customer", "state": "Active",
        "conditions": [ready],
        "ownedPaths": ["/metadata_public/plan", "/traits/email", "/traits/name/first", "/traits/name/last"],
    }})
}
