//! The credentials of an identity's manifest. Shapes only.

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
    /// A password out of a Secret. Kratos doesn't apply its password policy (length, known leaks, likeness to an identifier) to
    /// one that an administrator sets, as this is: see to its strength yourself, or start the operator with
    /// --min-password-length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,

    /// Links to OIDC providers: added where missing, removed when they leave the manifest. Others are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::oidc_links")]
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

/// A link to a provider that people sign in with. The schema stands in `crd::links` and `crd::oidc_links`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The provider's id in Kratos' configuration.
    pub provider: String,
    /// Who the person is at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The first login makes the link. OIDC alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_auto_link: bool,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// A password out of a Secret, or one that another system still knows.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) || (has(self.format) && self.format == 'MigrationHook')").message("secretKeyRef is required: name the Secret, and its key, that holds the password (only the format MigrationHook takes none)"))]
#[x_kube(validation = Rule::new("!has(self.secretKeyRef) || !has(self.format) || self.format != 'MigrationHook'").message("with the format MigrationHook nothing is read from a Secret: remove secretKeyRef"))]
pub struct Password {
    /// The Secret, in this namespace, and its key that holds the password or its hash. Required, except with the format
    /// MigrationHook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// Cleartext (default), or Hashed: in a format that Kratos imports, such as bcrypt, argon2 or PBKDF2. MigrationHook: at
    /// the first login Kratos asks its password migration hook, and keeps the password if that knows it. It erases a stored
    /// hash, so that it is sent when the identity is created, and later by actions.setPassword alone; that a login has
    /// replaced it is no drift.
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

/// Cleartext | Hashed | `MigrationHook`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum PasswordFormat {
    #[default]
    Cleartext,
    Hashed,
    MigrationHook,
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
