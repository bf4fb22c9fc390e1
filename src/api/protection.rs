//! Protection of an instance's identities from deletion at a rate that nobody asked for, and from being made again in
//! the wrong place. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crd;
use crate::duration::GoDuration;

/// How many identities may go before somebody is asked. What is left out has its default: protection is always on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Protection {
    /// How many identities may be deleted or deactivated within the window because their resources were deleted; all
    /// further ones are held until the annotation kratos-operator.dev/release gets a new value. Default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub max_deletions: Option<u32>,
    /// How long each of them counts, as a Go duration. Default 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration")]
    pub window: Option<GoDuration>,
    /// How many identities (or a tenth of them all, if that is more) may be gone from Kratos and are made again; if more
    /// are gone it may be the wrong Kratos, and nothing is made or deleted there until the annotation
    /// kratos-operator.dev/release gets a new value, or they are back. Default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub max_missing: Option<u32>,
}

/// How an instance's protection stands.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProtectionStatus {
    /// How many resources that are being deleted are held. Above zero all further ones are, until they are released.
    #[serde(default)]
    #[schemars(extend("format" = "int32"))]
    pub held: u32,
    /// Above zero: so many identities are gone from Kratos, and nothing is made or deleted there.
    #[serde(default)]
    #[schemars(extend("format" = "int32"))]
    pub missing: u32,
    /// Of the identities that were gone when that was released, how many are still to be made again.
    #[serde(default)]
    #[schemars(extend("format" = "int32"))]
    pub recreating: u32,
    /// The deletions that count within the window.
    #[serde(default)]
    #[schemars(schema_with = "crd::reservations")]
    pub reserved: Vec<Reservation>,
    /// Uids of resources whose deletion was counted, and may be under way.
    #[serde(default)]
    #[schemars(schema_with = "crd::uids")]
    pub granted: Vec<String>,
    /// The value of the release annotation that was served last, or that was there when something was held.
    #[serde(default)]
    pub last_release: Option<LastRelease>,
}

/// Deletions that were counted at the same time.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Reservation {
    pub at: Time,
    pub count: u32,
}

/// What was released last.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRelease {
    /// The annotation's value.
    #[serde(default)]
    pub token: Option<String>,
    /// Resources that were deleted by then are released.
    #[serde(default)]
    pub at: Option<Time>,
}
