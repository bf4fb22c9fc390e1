//! `KratosInstance`: where a Kratos is, who may use it, and how to call it.
//!
//! Shapes only. A field enters together with the code that makes it work.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::connection::{
    Auth, BearerToken, CertificateAuthority, ClientCertificate, Header, KeyRef, RateLimit, SecretRef, Tls,
};
use super::protection::{Defaults, Protection, ProtectionStatus};
use super::{crd, lists};
use crate::base::duration::GoDuration;

/// Where a Kratos is, who may use it, and how it is to be called. The admin API of Kratos has no authorization of its own: whoever
/// may point an instance at it owns every identity. So an instance counts only in the namespaces that the operator was started
/// with (--instance-namespaces).
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "kratos-operator.dev",
    version = "v1alpha1",
    kind = "KratosInstance",
    plural = "kratosinstances",
    shortname = "kinst",
    category = "kratos",
    namespaced,
    status = "KratosInstanceStatus",
    derive = "PartialEq",
    doc = "Where a Kratos is, who may use it, and how it is to be called. It counts only in the namespaces that the operator was started with (--instance-namespaces)."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.fullScanInterval) || !has(self.resyncInterval) || ![self.fullScanInterval, self.resyncInterval].all(each, each.matches('^(0*([0-9]{1,5}([.][0-9]+)?h|[0-9]{1,7}([.][0-9]+)?m|[0-9]{1,9}([.][0-9]+)?s|[0-9]{1,12}([.][0-9]+)?ms))+$')) || duration(self.fullScanInterval) >= duration(self.resyncInterval)").message("fullScanInterval can't be shorter than resyncInterval"))]
pub struct KratosInstanceSpec {
    /// Base URL of Kratos' admin API, for example http://kratos-admin.identity.svc:4434.
    #[serde(rename = "adminURL")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub admin_url: String,

    /// Base URL of Kratos' public API; identity schemas are read there. Without it the redirects of the admin port are
    /// followed, for schemas alone and without the token.
    #[serde(rename = "publicURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub public_url: Option<String>,

    /// How the operator authenticates. Needed for a hosted Kratos; absent for the open source one, which asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// Whom to trust when the URLs are https, and who the operator is there. Without it the system's certificate
    /// authorities are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// What a gateway before Kratos wants to see with each request, beside the token. Sent to adminURL's origin alone:
    /// never to publicURL, and never along a redirect to another origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a.name.lowerAscii() == b.name.lowerAscii()))").message("a header is named once, whatever its case"))]
    pub headers: Vec<Header>,

    /// The proxy by which adminURL and publicURL are reached: http, https, socks5 or socks5h (which leaves it to the proxy
    /// to look up names), without a user or password. Absent: they are called directly. A proxy that the operator's
    /// environment names is never used for them. Where adminURL is http the proxy reads along: a token, or a header out of
    /// a Secret, is refused then.
    #[serde(rename = "proxyURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^(https?|socks5h?)://[^\s/?#@]+/?$"))]
    pub proxy_url: Option<String>,

    /// How long one request may take, as a Go duration. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration")]
    pub request_timeout: Option<GoDuration>,

    /// How many requests per second the operator may send to this instance. Absent: no limit of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,

    /// How often the operator looks for drift of what is its own, as a Go duration. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration")]
    pub resync_interval: Option<GoDuration>,

    /// How often the whole instance is listed at least, as a Go duration. Default 24h. In between only what is the
    /// operator's own is read, by ids, where that takes fewer requests; then identities that are nobody's, or have lost
    /// their resource, are counted this often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration")]
    pub full_scan_interval: Option<GoDuration>,

    /// Enforce (default) makes Kratos agree with the manifests. Observe reports what would change and changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,

    /// True: nothing at all is sent to Kratos, for as long as it is moved or mended. What is to be done there waits,
    /// deletions and session policies too; whoever was Ready stays so. Once it is false again, or left out, all of it is
    /// done, and drift is looked for at once. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// Written into the mark of every identity that is managed through this instance, and never changed: it keeps two
    /// operators over one Kratos apart. Use another name for each cluster or environment.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("ownerName can't be changed: it stands in the mark of every identity; make a new KratosInstance instead"))]
    pub owner_name: String,

    /// Ids of clusters that are gone for good (uids of their kube-system namespaces). Identities that carry this
    /// ownerName and one of these ids are taken back by resources of the same namespace and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::cluster_ids")]
    pub reclaim_from: Vec<String>,

    /// Uids of namespaces that are gone for good (status.formerNamespaces names them). Identities whose marks carry one of these
    /// uids are taken back by resources of the same namespace and name in this cluster: a namespace that was deleted and
    /// restored from a backup gets its identities back. The first namespace that takes one back by an entry has that entry for
    /// itself (status.reclaimedNamespaces).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::cluster_ids")]
    pub reclaim_namespaces: Vec<String>,

    /// Which namespaces may refer to this instance. Default: only its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,

    /// Whether rules of a KratosSessionPolicy may look at the addresses that sessions were begun from. Kratos believes
    /// what a client's headers say of them: true only where a proxy before Kratos overwrites X-Forwarded-For and its
    /// like. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_client_address: bool,

    /// What must hold, all of it, for resources outside the instance's namespace: for the identity as it is found, and
    /// as it would be left, before anything is written. A rule that fails refuses. What only takes away from an identity
    /// that is a resource's own (deactivation, the end of sessions) needs no rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::rules")]
    pub rules: Vec<AdmissionRule>,

    /// Which of them may take over identities that are there and nobody's (spec.adoption of a KratosIdentity). Same
    /// (default): the instance's own namespace alone; a namespace's former resources may be followed by its own all the
    /// same. Allowed: every namespace that may refer to this instance. Identities that exist belong to whoever is
    /// allowed first: trust those namespaces with all that are unmanaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption_from: Option<AdoptionFrom>,

    /// What is held until somebody says that it is meant: deletions of many, and identities that are gone from Kratos. It
    /// is on where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,

    /// What a KratosIdentity means that doesn't say it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,
}

/// A condition that an identity must meet.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRule {
    /// True or false, in CEL.
    pub expression: String,
    /// What is said to whom it refuses. The definition requires it; rules of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Whether differences are corrected or only reported.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Mode {
    #[default]
    Enforce,
    Observe,
}

/// Same | Allowed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum AdoptionFrom {
    #[default]
    Same,
    Allowed,
}

/// Which namespaces may refer to an instance.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)").message("a selector goes with from: Selector, and only with it"))]
pub struct AllowedNamespaces {
    /// Same: the instance's own namespace. All: every namespace. Selector: those whose labels match the selector.
    pub from: NamespacesFrom,
    /// Labels that a namespace must have, with from: Selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::label_selector")]
    pub selector: Option<LabelSelector>,
}

/// Same | All | Selector.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum NamespacesFrom {
    Same,
    All,
    Selector,
}

/// How an instance stands.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KratosInstanceStatus {
    /// The generation that this status speaks of; -1 before the first look.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// The request annotation's value that was served last.
    #[serde(default)]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready, and Reconciling, Stalled or Suspended where true. PermissionsMissing where true: the operator's account lacks rights in
    /// Kubernetes, which the message names; what takes them waits, all else goes on.
    #[serde(default)]
    #[schemars(schema_with = "crd::conditions")]
    pub conditions: Vec<Condition>,
    /// Uid of this cluster's kube-system namespace, as written into the marks; needed for reclaimFrom of a later cluster.
    #[serde(default, rename = "clusterID")]
    pub cluster_id: Option<String>,
    /// Ids of the identity schemas that Kratos serves.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(schema_with = "crd::names")]
    pub schemas: Vec<String>,
    /// How many identities there are of which sort.
    #[serde(default)]
    pub identities: Option<IdentityCounts>,
    /// The identities whose grace period runs: inactive, without a resource, and deleted when it is over.
    #[serde(default)]
    pub pending_deletions: Option<PendingDeletions>,
    /// Other clusters whose marks carry this ownerName: those with the most identities, at most 32.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub foreign_clusters: Vec<ForeignCluster>,
    /// Namespaces of this cluster that are gone, or were made anew under their name, and have left identities: those with the
    /// most, at most 32. What spec.reclaimNamespaces takes.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["uid"]))]
    pub former_namespaces: Vec<FormerNamespace>,
    /// Which namespace took identities back by which entry of spec.reclaimNamespaces. Left out of a write it stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["from"]))]
    pub reclaimed_namespaces: Vec<ReclaimedNamespace>,
    /// The resync that the counts come from. Later ones that found the same are written once a day.
    #[serde(default)]
    pub last_resync: Option<LastResync>,
    /// How its protection stands: what people act on. What is counted and granted is in the ConfigMap kratosinstance-UID beside it.
    /// Left out of a write it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionStatus>,
}

/// How many identities there are of which sort.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityCounts {
    /// Resources KratosIdentity of this instance that have an identity, as the operator's watch shows them at asOf. The other
    /// counts are those of lastResync.
    #[schemars(extend("format" = "int64"))]
    pub managed: u64,
    /// Identities that differ from their manifests in mode Observe, and those that differed and were corrected since the
    /// resync before.
    #[schemars(extend("format" = "int64"))]
    pub drifted: u64,
    /// Identities whose mark names a KratosIdentity of this cluster that is gone, but for those whose grace period runs.
    #[schemars(extend("format" = "int64"))]
    pub orphaned: u64,
    /// Identities without a mark of this ownerName.
    #[schemars(extend("format" = "int64"))]
    pub unmanaged: u64,
    /// How old managed and pendingDeletions are; the other counts are those of lastResync. What changed since is written once nothing
    /// has changed for ten to twenty seconds, and with the next resync at the latest.
    #[serde(default)]
    pub as_of: Option<Time>,
}

/// Identities whose grace period runs.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingDeletions {
    /// How many there are, as far as the operator has seen.
    #[schemars(extend("format" = "int64"))]
    pub count: u64,
    /// When the first of them is deleted.
    #[serde(default)]
    pub next: Option<Time>,
}

/// A cluster whose marks carry our ownerName.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignCluster {
    /// Uid of its kube-system namespace, as reclaimFrom names it.
    #[schemars(length(max = 64))]
    pub id: String,
    /// How many identities carry its marks.
    #[schemars(extend("format" = "int64"))]
    pub identities: u64,
}

/// A namespace that is gone, or was made anew under its name.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormerNamespace {
    /// The name that it has in the marks.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its uid, as reclaimNamespaces names it.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// How many identities carry its marks.
    #[schemars(extend("format" = "int64"))]
    pub identities: u64,
}

/// A namespace that took identities back.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReclaimedNamespace {
    /// Uid of the namespace that is gone.
    #[schemars(length(max = 64))]
    pub from: String,
    /// Uid of the namespace that took them back.
    #[schemars(length(max = 64))]
    pub to: String,
}

/// A look at all that is the operator's own.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastResync {
    /// When it began.
    pub started_at: Time,
    /// How many requests to Kratos it took.
    #[schemars(extend("format" = "int64"))]
    pub requests: u64,
}
