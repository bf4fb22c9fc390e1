//! `KratosIdentity`: one identity, as its manifest says.
//!
//! Shapes only. A field enters together with the code that makes it work.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::crd;
use super::credentials::Credentials;
use super::free_object::FreeObject;
use super::instance::{KeyRef, Mode};
use super::lifecycle::{ActionStatuses, Actions, Adoption, Deletion, Validity};
use super::recovery::{Recovery, RecoveryStatus};

/// One identity in Kratos.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "kratos-operator.dev",
    version = "v1alpha1",
    kind = "KratosIdentity",
    plural = "kratosidentities",
    shortname = "kid",
    category = "kratos",
    namespaced,
    status = "KratosIdentityStatus",
    derive = "PartialEq",
    doc = "One identity in Kratos: created, kept as the manifest says, and deleted with it.",
    selectable = ".spec.schemaID",
    selectable = ".spec.replaces.name",
    selectable = ".status.identityID"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.verifiedAddresses) || !has(self.adoption) || !has(self.adoption.policy) || self.adoption.policy == 'Never'").message("verifiedAddresses aren't for adopted identities: remove them, or adoption"))]
#[x_kube(validation = Rule::new("!has(self.replaces) || !has(self.adoption) || !has(self.adoption.policy) || self.adoption.policy == 'Never'").message("replaces and adoption both name an identity to take over: remove one of them"))]
#[x_kube(validation = Rule::new("!has(self.actions) || !has(self.actions.recovery) || has(self.recovery)").message("actions.recovery needs recovery, which says what is issued and into which Secret"))]
pub struct KratosIdentitySpec {
    /// The KratosInstance that this identity lives in. Omitted: the operator's default instance, noted in
    /// status.instance once chosen. It may be corrected while Ready is False with InstanceNotReady or NotPermitted and
    /// status.instance is absent: nothing was made yet. After that it can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ref: Option<InstanceRef>,

    /// Id of the identity schema, as Kratos' configuration names it.
    #[serde(rename = "schemaID")]
    #[schemars(length(min = 1, max = 255))]
    pub schema_id: String,

    /// Active, or Inactive: can't log in, and the sessions are ended, even where the rest of the manifest can't be carried out.
    /// Omitted: created active, and the state is left as it is from then on. So taking Inactive out activates nobody: write
    /// Active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<IdentityState>,

    /// The identity's traits, as its schema shapes them. What traitsPolicy says is kept as written here.
    /// At most 64 levels deep.
    #[serde(default, skip_serializing_if = "FreeObject::is_empty")]
    #[schemars(schema_with = "crd::free_object")]
    pub traits: FreeObject,

    /// Traits whose values come from Secrets of this namespace, so that personal data stays out of Git.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::traits_from")]
    pub traits_from: Vec<TraitFrom>,

    /// Merge (default) enforces the keys named in traits, leaves others to the user, and removes a key that leaves the
    /// manifest. Exact makes the traits equal the manifest. CreateOnly gives them at creation; they are the user's after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits_policy: Option<TraitsPolicy>,

    /// Keys of metadata_public, which the user can see. Always merged: other keys are left alone. At most 64 levels deep.
    #[serde(default, skip_serializing_if = "FreeObject::is_empty")]
    #[schemars(schema_with = "crd::free_object")]
    pub metadata_public: FreeObject,

    /// Keys of metadata_admin, which only admins can see. Always merged: other keys are left alone. The key
    /// kratos-operator.dev is the operator's own and is refused. At most 64 levels deep.
    #[serde(default, skip_serializing_if = "FreeObject::is_empty")]
    #[schemars(schema_with = "crd::free_object")]
    pub metadata_admin: FreeObject,

    /// The identity's id in another system, which no other identity has; at most 64 characters. Kratos v25.4 and later.
    #[serde(rename = "externalID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub external_id: Option<String>,

    /// The organization that the identity belongs to, a UUID. Kratos v25.4 and later.
    #[serde(rename = "organizationID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))]
    pub organization_id: Option<String>,

    /// Addresses among the traits that are marked as verified, at creation and later. Not for adopted identities. Nothing
    /// else here verifies an address: a recovery that the operator issues doesn't. No mail is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::addresses")]
    pub verified_addresses: Vec<String>,

    /// What the identity logs in with, as far as the manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,

    /// A link or code by which a person gets into the account, for an invitation: issued once, when the identity is active, into a
    /// Secret that is deleted when it has expired. Refused for adopted identities outside the instance's namespace (see adoption).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,

    /// When the identity may log in: active within this time, inactive outside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,

    /// Whether an identity that is there already, and nobody's, is taken over. Outside the instance's namespace the manifest
    /// gets no way into its account, then or later: credentials, recovery, verifiedAddresses, resetSecondFactors, another
    /// schemaID, externalID or organizationID, the state Active where it was found inactive, and changes of what people log
    /// in with or are reached by are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,

    /// The KratosIdentity of this namespace whose identity this one takes over, with password, sessions and factors: a rename
    /// keeps the person. Apply this resource and delete the other one, in any order or at once. It counts only until this
    /// resource has an identity: it may stay in the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaces>,

    /// What happens to the identity when this resource is deleted. Of one that another resource replaces nothing is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,

    /// Enforce (default), or Observe: what would change is reported in status.drift, and nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,

    /// While true the identity is neither looked at nor changed, and a deleted resource lets it go untouched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,

    /// Things that are done once, each time their token changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Actions>,
}

/// One trait whose value comes from a Secret. The schema stands in `crd::traits_from`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TraitFrom {
    /// JSON pointer of the trait, within the traits.
    pub path: String,
    pub secret_key_ref: KeyRef,
}

/// A `KratosIdentity` of the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replaces {
    /// Name of the KratosIdentity.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A `KratosInstance` by name.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRef {
    /// Name of the KratosInstance.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Omitted: the namespace of the resource that refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Active | Inactive.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum IdentityState {
    Active,
    Inactive,
}

/// Merge | Exact | `CreateOnly`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum TraitsPolicy {
    #[default]
    Merge,
    Exact,
    CreateOnly,
}

/// How an identity stands. A copy for people: the truth is the mark in the identity's admin metadata.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KratosIdentityStatus {
    /// The generation that this status speaks of; -1 before the first look.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// The request annotation's value that was served last.
    #[serde(default)]
    pub last_handled_reconcile_at: Option<String>,
    /// Id of the identity in Kratos.
    #[serde(default, rename = "identityID")]
    pub identity_id: Option<String>,
    /// The instance that was chosen. Absent before that, and while spec.instanceRef may still be corrected.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// The instance that the resource refers to, as namespace/name.
    #[serde(default)]
    pub instance_namespaced_name: Option<String>,
    /// The identity schema that the identity has.
    #[serde(default, rename = "schemaID")]
    pub schema_id: Option<String>,
    /// The state that the identity has.
    #[serde(default)]
    pub state: Option<IdentityState>,
    /// True: the identity was there before this resource, which took it over.
    #[serde(default)]
    pub adopted: Option<bool>,
    /// Ready; Reconciling, Stalled, Drifted and Suspended where true; RecoveryIssued where spec.recovery is.
    #[serde(default)]
    #[schemars(schema_with = "crd::conditions")]
    pub conditions: Vec<Condition>,
    /// JSON pointers of the fields that the manifest owns; paths, never values. For show: at most 256.
    #[serde(default, serialize_with = "null_where_empty")]
    #[schemars(schema_with = "crd::paths")]
    pub owned_paths: Vec<String>,
    /// In mode Observe: JSON pointers of what would change; at most 256. A key that neither manifest nor schema names may be
    /// a person's: the place above it stands for it.
    #[serde(default, serialize_with = "null_where_empty")]
    #[schemars(schema_with = "crd::paths")]
    pub drift: Vec<String>,
    /// In mode Observe: how many fields would change. Absent as soon as the manifest was carried out in mode Enforce.
    #[serde(default)]
    pub drift_count: Option<i32>,
    /// When the operator last sent the password that the manifest gives. Kept in the mark, so that it outlives a crash.
    #[serde(default)]
    pub password_sent_at: Option<Time>,
    /// When the operator last changed the identity because the manifest or a Secret changed. That drift was put right isn't noted
    /// here: an event tells of it.
    #[serde(default)]
    pub last_changed_at: Option<Time>,
    /// The recovery that was issued last, unless it left the manifest. What it is stands in the Secret alone.
    #[serde(default)]
    pub recovery: Option<RecoveryStatus>,
    /// The actions that were done, each by its token.
    #[serde(default)]
    pub actions: Option<ActionStatuses>,
}

/// Serialises an empty list as null: in a merge patch that removes the former value.
fn null_where_empty<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
}
