//! `KratosSessionPolicy`: rules that end or extend sessions.
//!
//! Shapes only. A field enters together with the code that makes it work.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::InstanceRef;
use super::instance::Mode;
use super::{crd, lists, session_schemas};
use crate::base::duration::GoDuration;

/// Sessions end, or go on, by declared rules.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "kratos-operator.dev",
    version = "v1alpha1",
    kind = "KratosSessionPolicy",
    plural = "kratossessionpolicies",
    shortname = "ksp",
    category = "kratos",
    namespaced,
    status = "KratosSessionPolicyStatus",
    derive = "PartialEq",
    doc = "Sessions in Kratos end, or go on, by declared rules. Beside its KratosInstance a policy reaches every session; anywhere else only those of identities that KratosIdentity resources of its own namespace manage."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.rules) && size(self.rules) > 0) || has(self.actions)").message("name at least one rule, or an action"))]
pub struct KratosSessionPolicySpec {
    /// The KratosInstance whose sessions this is about. Omitted: the operator's default instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ref: Option<InstanceRef>,

    /// Whose sessions this is about. All that is named here must hold.
    pub identities: PolicyIdentities,

    /// The rules: each names sessions, and says what happens to them. A session that any rule revokes isn't extended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub rules: Vec<SessionRule>,

    /// How often sessions are looked at, as a Go duration of at least 1s, varied by up to a tenth. Default 5m. Outside of the
    /// KratosInstance's namespace one shorter than 30s counts as 30s, and the condition IntervalLimited says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "session_schemas::interval")]
    pub interval: Option<GoDuration>,

    /// Enforce (default), or Observe: nothing is changed. Ready says how many sessions would be ended, status.identities whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,

    /// While true sessions are neither looked at nor changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// What keeps a mistaken rule from ending everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<RevocationLimit>,

    /// Things that are done once, each time their token changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<PolicyActions>,
}

/// Whose sessions a policy is about.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.all) && self.all) || has(self.selector) || has(self.namespaceSelector) || has(self.schemaIDs) || has(self.expression)").message("name the identities, or say all: true"))]
#[x_kube(validation = Rule::new("!has(self.selector) || (has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)").message("an empty selector would select everything: name labels, or say all: true"))]
#[x_kube(validation = Rule::new("!has(self.namespaceSelector) || (has(self.namespaceSelector.matchLabels) && size(self.namespaceSelector.matchLabels) > 0) || (has(self.namespaceSelector.matchExpressions) && size(self.namespaceSelector.matchExpressions) > 0)").message("an empty namespaceSelector would select everything: name labels, or say all: true"))]
pub struct PolicyIdentities {
    /// True: all identities within reach, as far as nothing else here says otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Labels of KratosIdentity resources: only identities that those manage. Whoever may write such resources sets
    /// their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::label_selector")]
    pub selector: Option<LabelSelector>,
    /// Labels of namespaces: only identities that resources of those manage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Ids of identity schemas: only identities that have one of them.
    #[serde(rename = "schemaIDs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "session_schemas::schema_ids")]
    pub schema_ids: Vec<String>,
    /// True or false, in CEL over identity (id, schema_id, state, traits, metadata_public) and now, for example
    /// identity.state == 'inactive'. Where it fails, the session is counted as failed and left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
}

/// Names sessions and says what happens to them.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.maxAge) || has(self.maxConcurrent) || has(self.minimumAssurance) || has(self.allowedNetworks) || has(self.expression) || has(self.expiresWithin)").message("a rule needs a condition: without one it would name every session"))]
#[x_kube(validation = Rule::new("self.action != 'Extend' || (has(self.expiresWithin) && has(self.maxAge))").message("Extend needs expiresWithin and maxAge"))]
#[x_kube(validation = Rule::new("self.action != 'Extend' || !(has(self.maxConcurrent) || has(self.minimumAssurance) || has(self.allowedNetworks))").message("Extend goes with expiresWithin, maxAge and expression only"))]
#[x_kube(validation = Rule::new("self.action == 'Extend' || !has(self.expiresWithin)").message("expiresWithin goes with Extend only"))]
#[x_kube(validation = Rule::new("has(self.minimumAssurance) || !(has(self.gracePeriod) || has(self.unenrolled))").message("gracePeriod and unenrolled go with minimumAssurance only"))]
pub struct SessionRule {
    /// Names the rule in the status and in events.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What happens to a session for which all conditions hold. Revoke ends it. Extend has it go on for Kratos'
    /// session lifespan from now; only live ones, and only in policies beside the instance.
    pub action: RuleAction,
    /// With Revoke: sessions that began longer ago than this Go duration. With Extend: only sessions that didn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration")]
    pub max_age: Option<GoDuration>,
    /// How many sessions each identity keeps, the newest ones: the rule names the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("format" = "int32"))]
    pub max_concurrent: Option<u32>,
    /// Sessions below this assurance level: AAL2 means that a second factor was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_assurance: Option<Assurance>,
    /// With minimumAssurance: how long after the login a session may be below it, as a Go duration. Default 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::period")]
    pub grace_period: Option<GoDuration>,
    /// With minimumAssurance: what of people who have no second factor (TOTP, lookup secrets, a security key). Ignore
    /// (default) leaves their sessions alone, Revoke ends them too. A code by mail or SMS isn't seen as a factor that
    /// somebody has, only once it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unenrolled: Option<Unenrolled>,
    /// Sessions that were begun outside of these networks (IPv4 or IPv6, as in 203.0.113.0/24). Needs
    /// trustClientAddress of the KratosInstance. Where the address isn't known, the session is counted as failed and
    /// left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "session_schemas::networks")]
    pub allowed_networks: Vec<String>,
    /// True or false, in CEL over session, identity and now, for example now - timestamp(session.issued_at) >
    /// duration('1h'): times are texts, which timestamp makes comparable. Where it fails, the session is counted as failed and
    /// left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
    /// With Extend: sessions that would end within this Go duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::duration")]
    pub expires_within: Option<GoDuration>,
}

/// Revoke | Extend.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RuleAction {
    Revoke,
    Extend,
}

/// AAL1 | AAL2.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Assurance {
    #[serde(rename = "AAL1")]
    Aal1,
    #[serde(rename = "AAL2")]
    Aal2,
}

/// Ignore | Revoke.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Unenrolled {
    #[default]
    Ignore,
    Revoke,
}

/// What keeps a mistaken rule from ending everything.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocationLimit {
    /// How many sessions one run may revoke by rules. Where they name more, none is revoked, and the policy is Stalled
    /// with RevocationsHeld until this is raised or the rules are changed. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("format" = "int32"))]
    pub max_revocations: Option<u32>,
}

/// Things that are done once, each time their token changes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.revokeAll)").message("name the action"))]
pub struct PolicyActions {
    /// Ends every session of the identities that this policy is about which began before the operator saw the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_all: Option<RevokeAll>,
}

/// Ends every session, once per token.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeAll {
    /// Any text; a new one asks for the action once more. limit doesn't bind it; mode and suspend do.
    #[schemars(length(min = 1, max = 128))]
    pub token: String,
    /// Why, for those who read the event. Nothing personal belongs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// How a policy stands.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KratosSessionPolicyStatus {
    /// The generation that this status speaks of; -1 before the first look.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// The request annotation's value that was served last.
    #[serde(default)]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready; Reconciling, Stalled, Suspended and IntervalLimited where true.
    #[serde(default)]
    #[schemars(schema_with = "crd::conditions")]
    pub conditions: Vec<Condition>,
    /// What the last run came to; only of sessions within this policy's reach.
    #[serde(default)]
    pub last_run: Option<LastRun>,
    /// How many sessions each rule named in the last run.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<RuleStatus>,
    /// In mode Observe: identities whose sessions rules with Revoke named in the last run, by their ids in Kratos. At most
    /// 20: those with the most such sessions, or some of them where neither selector nor rules look at identities. Outside
    /// of the KratosInstance's namespace only identities that KratosIdentity resources of this namespace manage.
    #[serde(default, serialize_with = "lists::serialize", deserialize_with = "lists::deserialize")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub identities: Vec<IdentitySessions>,
    /// How many sessions the policy has ended since it was made. No run counts what another has; one whose status couldn't be
    /// written, because the operator ended meanwhile, is missing. So the audit log shows at least as many.
    #[serde(default)]
    pub revoked_total: Option<i64>,
    /// The actions that were begun or done, each by its token.
    #[serde(default)]
    pub actions: Option<PolicyActionStatuses>,
}

/// What a run came to.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// When it began.
    #[serde(default)]
    pub started_at: Option<Time>,
    /// How many sessions it looked at: those of the identities that the policy is about.
    pub sessions: i64,
    /// How many of them a rule named.
    pub matched: i64,
    /// How many it ended, by rules and by revokeAll.
    pub revoked: i64,
    /// How many end later than before.
    pub extended: i64,
    /// How many couldn't be judged, revoked or extended.
    pub failed: i64,
}

/// How many sessions a rule named.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// The rule's name.
    pub name: String,
    /// How many sessions it named in the last run.
    pub matched: i64,
    /// Of how many sessions nobody could tell whether it names them; they were left alone. Absent: of none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub failed: i64,
}

/// How many sessions of an identity rules named.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentitySessions {
    /// The identity's id in Kratos.
    #[schemars(length(max = 64))]
    pub id: String,
    /// How many of its sessions rules with Revoke named.
    pub sessions: i64,
}

/// The actions that were begun or done.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyActionStatuses {
    /// How revokeAll stands.
    #[serde(default)]
    pub revoke_all: Option<RevokeAllStatus>,
}

/// How revokeAll stands. That it was begun is written before anything is done.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeAllStatus {
    /// The token that it was asked for by.
    #[serde(default)]
    pub token: Option<String>,
    /// When it was begun, by the operator's clock: sessions that began later stay.
    #[serde(default)]
    pub started_at: Option<MicroTime>,
    /// When it was done.
    #[serde(default)]
    pub completed_at: Option<Time>,
    /// What came of it.
    #[serde(default)]
    pub message: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &i64) -> bool {
    *count == 0
}
