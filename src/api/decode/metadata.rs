//! Decodes an object's metadata field by field: a field that can't be decoded is left out, the others count. Field managers,
//! which are as deep as what they manage, and kubectl's copy of the manifest are skipped. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::members::members;

/// Kubectl's copy of the whole manifest.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Decodes the fields that the operator needs.
pub(super) fn decode(raw: Option<&RawValue>) -> ObjectMeta {
    let names = [
        "annotations",
        "creationTimestamp",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "labels",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "uid",
    ];
    let [
        annotations,
        creation_timestamp,
        deletion_timestamp,
        finalizers,
        generation,
        labels,
        name,
        namespace,
        owner_references,
        resource_version,
        uid,
    ] = members(raw.map(RawValue::get).unwrap_or_default(), names);
    let mut metadata = ObjectMeta {
        annotations: read(annotations),
        creation_timestamp: read(creation_timestamp),
        deletion_timestamp: read(deletion_timestamp),
        finalizers: read(finalizers),
        generation: read(generation),
        labels: read(labels),
        name: read(name),
        namespace: read(namespace),
        owner_references: read(owner_references),
        resource_version: read(resource_version),
        uid: read(uid),
        ..ObjectMeta::default()
    };
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
        if annotations.is_empty() {
            metadata.annotations = None;
        }
    }
    metadata
}

fn read<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}
