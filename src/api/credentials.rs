//! What an identity logs in with, as its manifest says. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance::KeyRef;

/// What an identity logs in with.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A password out of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// A password out of a Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Password {
    /// The Secret, in this namespace, and its key that holds the password or its hash.
    pub secret_key_ref: KeyRef,
    /// Cleartext (default), or Hashed: in a format that Kratos imports, such as bcrypt, argon2 or PBKDF2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<PasswordFormat>,
    /// OnSecretChange (default) sends the password when the Secret's content changed. CreateOnly sends it at creation;
    /// it is the user's after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<PasswordUpdatePolicy>,
    /// Whether a changed password ends the sessions. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_sessions: Option<bool>,
}

/// Cleartext | Hashed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum PasswordFormat {
    #[default]
    Cleartext,
    Hashed,
}

/// `OnSecretChange` | `CreateOnly`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum PasswordUpdatePolicy {
    #[default]
    OnSecretChange,
    CreateOnly,
}

/// A kind of second factor. The schema stands in `crd::second_factors`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecondFactor {
    #[serde(rename = "TOTP")]
    Totp,
    WebAuthn,
    LookupSecret,
}
