//! The lifecycle part of an identity's manifest: validity, adoption, deletion, actions. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crd;
use super::credentials::SecondFactor;
use crate::base::duration::GoDuration;

/// When an identity may log in. It owns the state, together with spec.state.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.notBefore) || has(self.notAfter)").message("name notBefore, notAfter or both"))]
#[x_kube(validation = Rule::new("!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter").message("notBefore must lie before notAfter"))]
pub struct Validity {
    /// Inactive before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::time")]
    pub not_before: Option<Time>,
    /// Inactive from this time on; the sessions end with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::time")]
    pub not_after: Option<Time>,
}

/// Whether an identity that is there already is taken over.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.policy) || self.policy != 'IfUnowned' || [has(self.identifier), has(self.identityID), has(self.externalID)].exists_one(given, given)").message("IfUnowned needs one of identifier, identityID and externalID"))]
#[x_kube(validation = Rule::new("!has(self.acceptUnverified) || !self.acceptUnverified || has(self.identifier)").message("acceptUnverified goes with identifier: remove it"))]
pub struct Adoption {
    /// Never (default), or IfUnowned: the identity named here is taken over if it is nobody's. What the manifest doesn't
    /// name stays as it is, and deletion.policy is Orphan unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<AdoptionPolicy>,
    /// A login identifier of the identity: a verified address, or with acceptUnverified a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 400))]
    pub identifier: Option<String>,
    /// The identity's id in Kratos.
    #[serde(rename = "identityID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))]
    pub identity_id: Option<String>,
    /// The id that the identity has in another system, as Kratos holds it. Kratos v25.4 and later.
    #[serde(rename = "externalID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub external_id: Option<String>,
    /// True: identifier may be a name that nobody can verify, such as a user name. Only beside the KratosInstance. Whoever
    /// registered it first keeps their way into the account, so make sure that it is the person meant. An address must be
    /// verified all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_unverified: bool,
}

/// Never | `IfUnowned`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum AdoptionPolicy {
    #[default]
    Never,
    IfUnowned,
}

/// What happens to the identity when its resource is deleted.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.gracePeriod) || !has(self.policy) || self.policy != 'Deactivate'").message("gracePeriod goes with the policy Delete: what is deactivated isn't deleted"))]
pub struct Deletion {
    /// Delete (default; with adoption Orphan) deletes the identity. Orphan leaves it as it is. Deactivate makes it
    /// inactive and ends its sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<DeletionPolicy>,
    /// With Delete: how long the identity stays, inactive and without sessions, before it is deleted, as a Go duration.
    /// The same manifest applied again before that brings it back. Default: what spec.defaults of the KratosInstance says, else
    /// 0s: deleted at once. Outside of the instance's namespace a shorter one than its spec.protection.minimumGracePeriod is
    /// raised to that. The policy Orphan leaves it out of account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::period")]
    pub grace_period: Option<GoDuration>,
}

/// Delete | Orphan | Deactivate.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Orphan,
    Deactivate,
}

/// Things that are done once, each time their token changes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actions {
    /// Ends every session that began before the operator saw the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_sessions: Option<Action>,
    /// Deletes second factors, as for somebody who lost their phone, and ends the sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_second_factors: Option<ResetSecondFactors>,
    /// Sends the password although nothing changed: the Secret's, or the mark of the format MigrationHook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_password: Option<Action>,
    /// Issues another recovery into the Secret that spec.recovery names. Earlier ones can be used, once each, until they
    /// expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Action>,
    /// Writes the identity again as it is, so that Kratos makes its login identifiers, addresses and credentials anew: after
    /// its schema gained one of these, identities from before have them only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Action>,
}

/// Something that is done once per token.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Any text; a new one asks for the action once more.
    #[schemars(length(min = 1, max = 128))]
    pub token: String,
}

/// Deletes second factors, once per token.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetSecondFactors {
    /// Any text; a new one asks for the action once more.
    #[schemars(length(min = 1, max = 128))]
    pub token: String,
    /// Which ones. Default: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::second_factors")]
    pub types: Vec<SecondFactor>,
}

/// The actions that were done.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatuses {
    /// How revokeSessions stands.
    #[serde(default)]
    pub revoke_sessions: Option<ActionStatus>,
    /// How resetSecondFactors stands.
    #[serde(default)]
    pub reset_second_factors: Option<ActionStatus>,
    /// How setPassword stands.
    #[serde(default)]
    pub set_password: Option<ActionStatus>,
    /// How recovery stands.
    #[serde(default)]
    pub recovery: Option<ActionStatus>,
    /// How rewrite stands.
    #[serde(default)]
    pub rewrite: Option<ActionStatus>,
}

/// How one action stands.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    /// The token that it was asked for by.
    #[serde(default)]
    pub token: Option<String>,
    /// When it was done.
    #[serde(default)]
    pub completed_at: Option<Time>,
    /// What came of it.
    #[serde(default)]
    pub message: Option<String>,
}
