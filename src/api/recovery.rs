//! How a person gets into an account that was made for them, as its manifest says. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crd;
use crate::duration::GoDuration;

/// A way into the account, issued by Kratos into a Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Link: whoever opens it is logged in and may set a password. Code: a page, and the code that is entered there.
    #[serde(rename = "type")]
    pub kind: RecoveryType,
    /// How long it works, as a Go duration between 1m and 8760h. Default 1h. What was issued already keeps its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::expiry")]
    pub expires_in: Option<GoDuration>,
    /// Name of the Secret in this namespace that the operator writes, with the keys link, code (type Code alone),
    /// expiresAt and identityID. There must be none of that name that isn't the operator's for this very resource.
    #[schemars(schema_with = "crd::object_name")]
    pub secret_name: String,
}

/// Link | Code.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RecoveryType {
    Link,
    Code,
}

/// The recovery that was issued last.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryStatus {
    /// The Secret that it was written into.
    #[serde(default)]
    pub secret_name: Option<String>,
    /// Until when it works; the Secret is deleted then.
    #[serde(default)]
    pub expires_at: Option<Time>,
}
