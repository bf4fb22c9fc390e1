//! The mark: which resource an identity belongs to, written into its `metadata_admin`. Pure.
//!
//! It is where truth lives; status is a copy for people. Users can't see it, other admin tools can, and may wipe it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::links::Links;
use super::person::IdentifiersMark;
use crate::api::GROUP;
use crate::api::recovery::RecoveryType;
use crate::kratos::{Content, Member, OidcLink, State};

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
    /// Of the login identifiers that the manifest asks for, by which an earlier resource's identity is known to be the same
    /// person's although that person has changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<IdentifiersMark>,
    /// Of the password that was sent last, so that a changed Secret is known from one that is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordMark>,
    /// Links to providers that the manifest gave, each until it is known to be removed.
    #[serde(default, skip_serializing_if = "Links::is_empty")]
    pub links: Links,
    /// Links that the manifest had the first login make, each with the subject that it was sent with, which nobody is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auto_links: Vec<OidcLink>,
    /// What people logged in with is changed or removed, and the sessions from before that are to be ended yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sessions_pending: bool,
    /// The actions that were begun, by their names in the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, ActionMark>,
    /// The recovery that was begun last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryMark>,
    /// When the identity is to be deleted: its resource is gone, and a grace period runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after: Option<Time>,
    /// The state that the identity had before a grace period began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_before: Option<State>,
    /// Whether the identity was there before its resource.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Whether it was inactive then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found_inactive: bool,
    /// Uid of the resource that this one took the identity over from, by `spec.replaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// What a newer version of the operator wrote; kept as it is.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What is noted of a password: nothing that it could be guessed by without the operator's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordMark {
    /// HMAC of salt, format and value.
    pub digest: String,
    /// The operator's key that it was made with.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// Makes equal passwords of two identities differ: the uid of the resource that it was noted for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub salt: String,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
}

impl PasswordMark {
    /// What is noted where the manifest wants no password: one that it gives later is a changed one.
    pub fn of_none() -> Self {
        Self::default()
    }

    /// Whether the manifest wanted no password.
    pub fn is_of_none(&self) -> bool {
        self.digest.is_empty()
    }
}

/// An action that was begun: the intent is written before anything is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionMark {
    pub token: String,
    pub started_at: Time,
    /// Absent: it was begun, and may have been done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

/// A recovery that was begun: the intent is written before anything is issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryMark {
    /// The action's token, if one asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Absent: the mark was restored, and nobody knows.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RecoveryType>,
    /// The Secret that it is written into.
    pub secret_name: String,
    pub started_at: Time,
    /// Absent: it was begun, and may have been issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
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
    /// Reads the mark out of an identity's `metadata_admin`, beside whatever can't be read there.
    pub fn read(metadata_admin: &Content) -> Found {
        if !metadata_admin.is_object() {
            return if metadata_admin.is_null() { Found::Nothing } else { Found::NoObject };
        }
        match metadata_admin.member(GROUP) {
            Member::Absent => Found::Nothing,
            Member::Unreadable => Found::Unreadable,
            Member::Value(value) => Self::parse(value).map_or(Found::Unreadable, |mark| Found::Mark(Box::new(mark))),
        }
    }

    fn parse(value: &Value) -> Result<Self, serde_json::Error> {
        let mut mark = Self::deserialize(value)?;
        // Where it was noted when only a password could bring it about.
        mark.sessions_pending |= value.pointer("/password/sessionsPending") == Some(&Value::Bool(true));
        Ok(mark)
    }

    /// What stands for a mark while an identity is taken over: nothing of it is owned yet, and what was there stays.
    pub fn of_adoption(found_inactive: bool) -> Self {
        Self { adopted: true, found_inactive, ..Self::default() }
    }

    /// Whether this is the mark of an identity that is being taken over: it names no resource yet.
    pub fn is_of_adoption(&self) -> bool {
        self.adopted && self.uid.is_empty()
    }

    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}
