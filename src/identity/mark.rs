//! The mark: which resource an identity belongs to, written into its `metadata_admin`. Pure.
//!
//! It is where truth lives; status is a copy for people. Users can't see it, other admin tools can, and may wipe it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::GROUP;

/// The mark, `metadata_admin["kratos-operator.dev"]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The instance's `ownerName`.
    pub owner: String,
    /// Uid of the cluster's kube-system namespace.
    pub cluster: String,
    pub namespace: String,
    #[serde(rename = "namespaceUID")]
    pub namespace_uid: String,
    pub name: String,
    /// Uid of the resource.
    pub uid: String,
    /// JSON pointers of what the manifest owns, so that a key that leaves the manifest can be removed.
    #[serde(default)]
    pub owned_paths: Vec<String>,
    /// What a newer version of the operator wrote; kept as it is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What stands where the mark belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Mark(Box<Mark>),
    /// `metadata_admin` is null or an object without a mark.
    Nothing,
    /// There is something under the mark's key that no version of ours writes.
    Unreadable,
    /// `metadata_admin` is neither null nor an object: no mark fits in.
    NoObject,
}

impl Mark {
    /// Reads the mark out of an identity's `metadata_admin`.
    pub fn read(metadata_admin: &Value) -> Found {
        let members = match metadata_admin {
            Value::Null => return Found::Nothing,
            Value::Object(members) => members,
            _ => return Found::NoObject,
        };
        match members.get(GROUP) {
            None | Some(Value::Null) => Found::Nothing,
            Some(mark) => Self::deserialize(mark).map_or(Found::Unreadable, |mark| Found::Mark(Box::new(mark))),
        }
    }

    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}
