//! The bodies of create, batch and update requests. Absent fields are left out, because servers before v25.4 answer 400 to
//! unknown fields. Serialised they hold secrets, and may not be logged.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::identity::State;
use super::secret::Secret;
use super::tolerant::size;

/// A password to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordImport {
    /// In clear text; the server hashes it, slowly.
    Cleartext(Secret),
    /// In a hash format that Kratos knows.
    Hashed(Secret),
    /// None: at the first login the server calls its migration hook. Erases a stored hash.
    MigrationHook,
}

/// A link to an OIDC or SAML provider; both have the same shape.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OidcLink {
    /// The provider's id in Kratos' configuration.
    pub provider: String,
    /// The person's `sub` at the provider.
    pub subject: String,
}

impl OidcLink {
    /// Its identifier in Kratos: `provider:subject`.
    pub fn identifier(&self) -> String {
        format!("{}:{}", self.provider, self.subject)
    }

    /// As a link that the first login completes.
    pub fn automatic(&self) -> Value {
        json!({"provider": self.provider, "subject": self.subject, "use_auto_link": true})
    }

    /// Parses what [`Self::identifier`] returns.
    pub fn from_identifier(identifier: &str) -> Option<Self> {
        let (provider, subject) = identifier.split_once(':')?;
        Some(Self { provider: provider.to_owned(), subject: subject.to_owned() })
    }
}

impl fmt::Debug for OidcLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OidcLink").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Credentials to import. On update a password replaces the old one, while OIDC links are added (a repeated one is a conflict).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialImport {
    /// The password, if one is given.
    pub password: Option<PasswordImport>,
    /// OIDC links; left out where empty.
    pub oidc: Vec<OidcLink>,
    /// OIDC links that the first login completes: until then each has a subject that nobody has. v25.4 and later; earlier
    /// servers answer 400.
    pub auto_links: Vec<OidcLink>,
    /// SAML links; left out where empty. v25.4 and later: earlier servers refuse them in a create, and ignore them in an
    /// update.
    pub saml: Vec<OidcLink>,
}

impl CredentialImport {
    /// Whether the server has to hash a password, which is slow.
    pub fn is_hashed(&self) -> bool {
        matches!(self.password, Some(PasswordImport::Cleartext(_)))
    }

    /// Whether there is nothing to import.
    pub fn is_empty(&self) -> bool {
        let Self { password, oidc, auto_links, saml } = self;
        password.is_none() && oidc.is_empty() && auto_links.is_empty() && saml.is_empty()
    }
}

impl Serialize for CredentialImport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serde_json::Map::new();
        if let Some(password) = &self.password {
            let config = match password {
                PasswordImport::Cleartext(text) => json!({"password": text}),
                PasswordImport::Hashed(hash) => json!({"hashed_password": hash}),
                PasswordImport::MigrationHook => json!({"use_password_migration_hook": true}),
            };
            body.insert("password".into(), json!({"config": config}));
        }
        let oidc = self.oidc.iter().map(|link| json!(link)).chain(self.auto_links.iter().map(OidcLink::automatic));
        for (kind, links) in
            [("oidc", oidc.collect::<Vec<_>>()), ("saml", self.saml.iter().map(|link| json!(link)).collect())]
        {
            if !links.is_empty() {
                body.insert(kind.into(), json!({"config": {"providers": links}}));
            }
        }
        body.serialize(serializer)
    }
}

/// A verifiable address set at creation. The schema must find it in the traits.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedAddressImport {
    /// The address.
    pub value: String,
    /// `email` or `sms`.
    pub via: String,
    /// Whether it counts as verified.
    pub verified: bool,
    /// `pending`, `sent` or `completed`.
    pub status: String,
}

impl VerifiedAddressImport {
    /// A verified e-mail address.
    pub fn verified_email(value: impl Into<String>) -> Self {
        Self { value: value.into(), via: "email".into(), verified: true, status: "completed".into() }
    }
}

impl fmt::Debug for VerifiedAddressImport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifiedAddressImport")
            .field("via", &self.via)
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

/// A recovery address set at creation.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AddressImport {
    /// The address.
    pub value: String,
    /// `email` or `sms`.
    pub via: String,
}

impl fmt::Debug for AddressImport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AddressImport").field("via", &self.via).finish_non_exhaustive()
    }
}

/// A new identity.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct CreateIdentity {
    /// The schema's id.
    pub schema_id: String,
    /// The traits, an object.
    pub traits: Value,
    /// Absent: active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Metadata that the person can see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_public: Option<Value>,
    /// Metadata for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_admin: Option<Value>,
    /// v25.4 and later; earlier servers answer 400 (see `Error::unknown_field`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// v25.4 and later, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Addresses given as verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verifiable_addresses: Vec<VerifiedAddressImport>,
    /// Recovery addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovery_addresses: Vec<AddressImport>,
    /// Credentials to import.
    #[serde(skip_serializing_if = "CredentialImport::is_empty")]
    pub credentials: CredentialImport,
}

impl fmt::Debug for CreateIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CreateIdentity")
            .field("schema_id", &self.schema_id)
            .field("state", &self.state)
            .field("traits", &size(&self.traits))
            .field("metadata_public", &self.metadata_public.as_ref().map(size))
            .field("metadata_admin", &self.metadata_admin.as_ref().map(size))
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// A whole identity for PUT. What is absent is not kept: metadata becomes null, an `external_id` is cleared. Only `state` and
/// credentials are kept where absent.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct UpdateIdentity {
    /// The schema's id.
    pub schema_id: String,
    /// The traits, an object.
    pub traits: Value,
    /// Absent: kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Always written; `Null` clears it.
    pub metadata_public: Value,
    /// Always written; `Null` clears it.
    pub metadata_admin: Value,
    /// v25.4 and later; earlier servers silently ignore it: check the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Credentials to import; empty: all are kept.
    #[serde(skip_serializing_if = "CredentialImport::is_empty")]
    pub credentials: CredentialImport,
    /// JSON pointers of what this changes, which only the caller knows. Not sent: for the audit.
    #[serde(skip)]
    pub changes: Vec<String>,
}

impl fmt::Debug for UpdateIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UpdateIdentity")
            .field("schema_id", &self.schema_id)
            .field("state", &self.state)
            .field("traits", &size(&self.traits))
            .field("metadata_public", &size(&self.metadata_public))
            .field("metadata_admin", &size(&self.metadata_admin))
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// One creation in a batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchItem {
    /// What is created.
    pub create: CreateIdentity,
    /// A UUID of the caller's choice, which the answer repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_id: Option<String>,
}
