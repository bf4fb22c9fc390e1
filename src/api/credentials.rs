//! What an identity logs in with, as its manifest says. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crd;
use super::instance::KeyRef;

/// What an identity logs in with.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.password) && has(self.absent) && 'Password' in self.absent)").message("a password that is absent can't be set: remove one of the two"))]
#[x_kube(validation = Rule::new("!(has(self.oidc) && size(self.oidc) > 0 && has(self.absent) && 'OIDC' in self.absent)").message("OIDC links that are absent can't be made: remove one of the two"))]
pub struct Credentials {
    /// A password out of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// Links to accounts at OIDC providers. Added where missing, removed when they leave the manifest; others are left
    /// alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::provider_links")]
    pub oidc: Vec<ProviderLink>,
    /// Links to accounts at SAML providers, as oidc. Kratos v25.4 and later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::provider_links")]
    pub saml: Vec<ProviderLink>,
    /// Kinds of credentials that must not exist: deleted whenever seen, and the sessions ended. Password and OIDC need
    /// Kratos v25.4 or later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::credential_kinds")]
    pub absent: Vec<CredentialKind>,
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

/// A link to an account at a provider. The schema stands in `crd::provider_links`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct ProviderLink {
    /// The provider's id in Kratos' configuration.
    pub provider: String,
    /// The account's id at the provider.
    pub subject: String,
}

/// A kind of credential. The schema stands in `crd::credential_kinds` and `crd::second_factors`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKind {
    #[serde(rename = "TOTP")]
    Totp,
    WebAuthn,
    LookupSecret,
    Password,
    #[serde(rename = "OIDC")]
    Oidc,
}
