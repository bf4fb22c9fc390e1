//! The protection part of a `KratosInstance`: against mass deletion, and against recreating identities in the wrong Kratos.
//! Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{crd, lists};
use crate::base::duration::GoDuration;

/// How many identities may go before somebody is asked. What is left out has its default: protection is always on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.maxDeletionsTotal) || self.maxDeletionsTotal >= (has(self.maxDeletions) ? self.maxDeletions : 20)").message("maxDeletionsTotal can't be less than maxDeletions (20 where it is left out)"))]
pub struct Protection {
    /// How many identities of one namespace (by its name) may be deleted or deactivated within the window because their
    /// resources were deleted. Each deletion waits two seconds for others: where more come together than may go, none of them
    /// goes. Those, and all further ones of that namespace, are held until the annotation kratos-operator.dev/release gets a new
    /// value: any, or NAMESPACE=anything to have that namespace's deletions carried out alone. A new value of
    /// kratos-operator.dev/keep, of either form, lets the resources go and keeps the identities instead. Default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub max_deletions: Option<u32>,
    /// How many of all namespaces together. Where more would go than that, those namespaces are held that use more than a
    /// quarter of maxDeletions within the window; the others go on. Default five times maxDeletions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5_000_000), extend("format" = "int32"))]
    pub max_deletions_total: Option<u32>,
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
    /// How long the identity of a resource of another namespace stays at least, inactive and without sessions, before it is
    /// deleted with its resource, as a Go duration: a shorter deletion.gracePeriod, or none, is raised to it. The policies Orphan
    /// and Deactivate stay possible, and resources beside the instance have what they say. Default 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::period")]
    pub minimum_grace_period: Option<GoDuration>,
}

/// What manifests that say nothing mean.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// What happens when a resource is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionDefaults>,
}

/// What happens when a resource is deleted whose manifest doesn't say it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionDefaults {
    /// The deletion.gracePeriod of a KratosIdentity that has none, as a Go duration. It goes with the policy Delete, as there.
    /// Default 0s: deleted at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::period")]
    pub grace_period: Option<GoDuration>,
}

/// How an instance's protection stands: what people act on. What is counted and granted is in the ConfigMap
/// kratosinstance-UID beside the instance, which alone counts. Only while the instance's namespace is being deleted, and where an
/// earlier version wrote it and nothing was counted since, it is here.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProtectionStatus {
    /// How many resources that are being deleted are held. All further ones of their namespaces are, until they are released.
    #[serde(default)]
    #[schemars(extend("format" = "int32"))]
    pub held: u32,
    /// The namespaces whose deletions are held. None while held is above zero: those of every namespace are.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub holding: Vec<Held>,
    /// Above zero: so many identities are gone from Kratos, and nothing is made or deleted there.
    #[serde(default)]
    #[schemars(extend("format" = "int32"))]
    pub missing: u32,
    /// Of the identities that were gone when that was released, how many are still to be made again.
    #[serde(default)]
    #[schemars(extend("format" = "int32"))]
    pub recreating: u32,
    /// The value of the release annotation that was served last, or that was there when something was held.
    #[serde(default)]
    pub last_release: Option<LastRelease>,
    /// The same of the annotation kratos-operator.dev/keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_keep: Option<LastRelease>,
    /// As a rule in the ConfigMap: the deletions that count within the window.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(schema_with = "crd::reservations")]
    pub reserved: Vec<Reservation>,
    /// As a rule in the ConfigMap: uids of resources whose deletion was counted, and may be under way.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(schema_with = "crd::uids")]
    pub granted: Vec<String>,
    /// As a rule in the ConfigMap: namespaces whose deletions were released, for as long as those are under way.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub released: Vec<Released>,
    /// As a rule in the ConfigMap: namespaces whose held deletions were let go without touching their identities, for as long as
    /// those are under way.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub kept: Vec<Released>,
}

/// Deletions that were counted at the same time.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Reservation {
    pub at: Time,
    pub count: u32,
    /// Whose they are. `None`: of several, or not noted by an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Of several namespaces: how many are any one's at most. `None`: all of them may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
}

/// A namespace whose deletions are held.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct Held {
    /// The name of the namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// How many of its resources are held.
    #[schemars(extend("format" = "int32"))]
    pub count: u32,
}

/// A namespace whose deletions were released, or let go.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct Released {
    /// The name of the namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// It is about its resources that were deleted by then.
    pub at: Time,
}

/// What was released, or let go, last.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRelease {
    /// The annotation's value; its first 256 characters, which values are told apart by.
    #[serde(default)]
    pub token: Option<String>,
    /// As a rule in the ConfigMap: the values that were served before, the last one first. They do nothing any more, should they
    /// come back.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 15), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub earlier: Vec<String>,
    /// It is about resources that were deleted by then.
    #[serde(default)]
    pub at: Option<Time>,
}
