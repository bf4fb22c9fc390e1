//! An object's metadata, field by field: one that can't be read is left out, the others count. Field managers, which are as
//! deep as what they manage, and kubectl's copy of the manifest are skipped unread. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Where kubectl keeps a copy of the whole manifest.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    creation_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    finalizers: Option<&'a RawValue>,
    #[serde(borrow)]
    generation: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_version: Option<&'a RawValue>,
    #[serde(borrow)]
    uid: Option<&'a RawValue>,
}

/// Reads what the operator needs of it.
pub fn decode(json: &str) -> ObjectMeta {
    let raw: Raw<'_> = serde_json::from_str(json).unwrap_or_default();
    let mut metadata = ObjectMeta {
        annotations: read(raw.annotations),
        creation_timestamp: read(raw.creation_timestamp),
        deletion_timestamp: read(raw.deletion_timestamp),
        finalizers: read(raw.finalizers),
        generation: read(raw.generation),
        labels: read(raw.labels),
        name: read(raw.name),
        namespace: read(raw.namespace),
        owner_references: read(raw.owner_references),
        resource_version: read(raw.resource_version),
        uid: read(raw.uid),
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
