//! An identity as Kratos' admin API returns it. It may not judge: drift and ownership are decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::content::{Content, Member, Opaque};
use super::piecewise::whole_or_by_field;
use super::tolerant::{empty_as_none, null_as_default, time};

/// Whether an identity may log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Login and sessions work.
    #[default]
    Active,
    /// Login is refused, and sessions don't count meanwhile (they come back to life afterwards).
    Inactive,
}

/// To Kratos every state but `active` is inactive, and one odd identity must not fail its page.
impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text == "active" { Self::Active } else { Self::Inactive })
    }
}

impl State {
    /// As Kratos writes it: `active` or `inactive`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// A kind of credential, named as in the `…/credentials/{type}` path and the `include_credential` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialType {
    /// A password; deleting it needs v25.4 or later.
    Password,
    /// Links to OIDC providers; deleted one by one, by `provider:subject`.
    Oidc,
    /// Links to SAML providers; v25.4 or later.
    Saml,
    /// A time-based one-time password (second factor).
    Totp,
    /// Recovery codes used as a second factor.
    LookupSecret,
    /// Security keys; deletion covers the second-factor ones only.
    Webauthn,
    /// Codes sent by mail or SMS.
    Code,
    /// Passkeys.
    Passkey,
}

impl CredentialType {
    /// As Kratos writes it, for example `lookup_secret`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::Saml => "saml",
            Self::Totp => "totp",
            Self::LookupSecret => "lookup_secret",
            Self::Webauthn => "webauthn",
            Self::Code => "code",
            Self::Passkey => "passkey",
        }
    }
}

/// One credential of an identity. Its presence alone proves nothing: Kratos makes empty ones for what the schema declares.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// What logs in with it: normalised identifiers, or `provider:subject` for OIDC.
    #[serde(default, deserialize_with = "null_as_default")]
    pub identifiers: Vec<String>,
    /// The content, `Null` unless requested with `include_credential`. It holds hashes, seeds or decrypted tokens: never shown,
    /// never serialised.
    #[serde(default, skip_serializing)]
    pub config: Content,
    /// The version of the content's format.
    #[serde(default, deserialize_with = "null_as_default")]
    pub version: i64,
    /// When it was written; older servers rewrite it with every change of the identity.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// See `created_at`.
    #[serde(default, deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
}

impl Credential {
    /// Whether the content has a password hash, which is known only where `password` was requested.
    pub fn has_password_hash(&self) -> bool {
        matches!(self.config.member("hashed_password"), Member::Value(Value::String(hash)) if !hash.is_empty())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("identifiers", &self.identifiers.len())
            .field("config", &!self.config.is_null())
            .finish_non_exhaustive()
    }
}

/// An address that can be verified. Kratos lower-cases and trims its value.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifiableAddress {
    /// Kratos' id of the address.
    #[serde(default, deserialize_with = "null_as_default")]
    pub id: String,
    /// The address.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
    /// Whether it counts as verified.
    #[serde(default, deserialize_with = "null_as_default")]
    pub verified: bool,
    /// `email` or `sms`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub via: String,
    /// `pending`, `sent` or `completed`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: String,
    /// When it was verified.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
}

impl fmt::Debug for VerifiableAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifiableAddress")
            .field("id", &self.id)
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

/// An address that recovery messages go to.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoveryAddress {
    /// Kratos' id of the address.
    #[serde(default, deserialize_with = "null_as_default")]
    pub id: String,
    /// The address.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
    /// `email` or `sms`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub via: String,
}

impl fmt::Debug for RecoveryAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecoveryAddress").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An identity. Serialised, it has Kratos' own field names, without the content of credentials. If it can't be read as a whole
/// it is read field by field; only the id is required.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Identity {
    /// Its UUID, made by Kratos.
    pub id: String,
    /// The schema of its traits.
    #[serde(default, deserialize_with = "null_as_default")]
    pub schema_id: String,
    /// Whether it may log in.
    #[serde(default, deserialize_with = "null_as_default")]
    pub state: State,
    /// Its traits, as they were written (not normalised).
    #[serde(default)]
    pub traits: Content,
    /// Metadata that the person can see; `Null` where there is none.
    #[serde(default)]
    pub metadata_public: Content,
    /// Metadata for administrators; `Null` where there is none, and always in a session's identity.
    #[serde(default)]
    pub metadata_admin: Content,
    /// An id from another system; v25.4 and later.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub external_id: Option<String>,
    /// The organization it belongs to.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub organization_id: Option<String>,
    /// Credentials by Kratos' name of the type. In a list empty unless requested: there, absence proves nothing.
    #[serde(default, deserialize_with = "null_as_default")]
    pub credentials: BTreeMap<String, Credential>,
    /// Addresses that can be verified.
    #[serde(default, deserialize_with = "null_as_default")]
    pub verifiable_addresses: Vec<VerifiableAddress>,
    /// Addresses that recovery messages go to.
    #[serde(default, deserialize_with = "null_as_default")]
    pub recovery_addresses: Vec<RecoveryAddress>,
    /// When it was created.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// When its row was last written; older servers do not move it on updates.
    #[serde(default, deserialize_with = "time")]
    pub updated_at: Option<Timestamp>,
    /// When its state last changed.
    #[serde(default, deserialize_with = "time")]
    pub state_changed_at: Option<Timestamp>,
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole_or_by_field(deserializer, |text| Self::deserialize(&mut serde_json::Deserializer::from_str(text)))
    }
}

/// An identity's free content, where all of it can be read.
#[derive(Clone, Copy, Debug)]
pub struct Readable<'a> {
    /// Its traits.
    pub traits: &'a Value,
    /// Metadata that the person can see.
    pub metadata_public: &'a Value,
    /// Metadata for administrators.
    pub metadata_admin: &'a Value,
}

impl Identity {
    /// Its free content; else the part that can't be read, and its pointer: `/traits`, `/metadata_public` or `/metadata_admin`.
    pub fn readable(&self) -> Result<Readable<'_>, (&'static str, &Opaque)> {
        let at = |root| move |opaque| (root, opaque);
        Ok(Readable {
            traits: self.traits.read().map_err(at("/traits"))?,
            metadata_public: self.metadata_public.read().map_err(at("/metadata_public"))?,
            metadata_admin: self.metadata_admin.read().map_err(at("/metadata_admin"))?,
        })
    }

    /// The credential of a type, if the answer has one.
    pub fn credential(&self, kind: CredentialType) -> Option<&Credential> {
        self.credentials.get(kind.as_str())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("id", &self.id)
            .field("schema_id", &self.schema_id)
            .field("state", &self.state)
            .field("traits", &self.traits)
            .field("metadata_public", &self.metadata_public)
            .field("metadata_admin", &self.metadata_admin)
            .field("credentials", &self.credentials.len())
            .field("verifiable_addresses", &self.verifiable_addresses.len())
            .field("recovery_addresses", &self.recovery_addresses.len())
            .finish_non_exhaustive()
    }
}
