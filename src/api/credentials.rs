//! What an identity logs in with, as its manifest says. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crd;
use super::instance::KeyRef;

/// What an identity logs in with.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.absent) || !has(self.password) || !('Password' in self.absent)").message("a password is given and must be absent: remove password, or Password from absent"))]
#[x_kube(validation = Rule::new("!has(self.absent) || !has(self.oidc) || size(self.oidc) == 0 || !('OIDC' in self.absent)").message("OIDC links are given and must be absent: remove oidc, or OIDC from absent"))]
#[x_kube(validation = Rule::new("!has(self.absent) || !has(self.saml) || size(self.saml) == 0 || !('SAML' in self.absent)").message("SAML links are given and must be absent: remove saml, or SAML from absent"))]
pub struct Credentials {
    /// A password out of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,

    /// Links to OIDC providers: added where missing, removed when they leave the manifest. Others are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::links")]
    pub oidc: Vec<Link>,

    /// Links to SAML providers, likewise. Kratos v25.4 and later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::links")]
    pub saml: Vec<Link>,

    /// What must not exist, and is deleted whenever it is seen. WebAuthn speaks of keys that are a second factor.
    /// Password, OIDC and SAML need Kratos v25.4 or later; the last thing to log in with is never deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::absent_credentials")]
    pub absent: Vec<AbsentCredential>,

    /// Whether a link or credential that is removed ends the sessions. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_sessions: Option<bool>,
}

/// A link to a provider that people sign in with. The schema stands in `crd::links`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The provider's id in Kratos' configuration.
    pub provider: String,
    /// Who the person is at the provider.
    pub subject: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("provider", &self.provider).finish_non_exhaustive()
    }
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

/// What must not exist. The schema stands in `crd::absent_credentials`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AbsentCredential {
    #[serde(rename = "TOTP")]
    Totp,
    WebAuthn,
    LookupSecret,
    Password,
    #[serde(rename = "OIDC")]
    Oidc,
    #[serde(rename = "SAML")]
    Saml,
}

/// A kind of second factor. The schema stands in `crd::second_factors`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecondFactor {
    #[serde(rename = "TOTP")]
    Totp,
    WebAuthn,
    LookupSecret,
}
