//! A login session as Kratos' admin API returns it. It may not judge: session rules are elsewhere.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::identity::Identity;
use super::piecewise::whole_or_by_field;
use super::tolerant::{empty_as_none, null_as_default, time};

/// One step of a login.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuthenticationMethod {
    /// `password`, `oidc`, `totp`, `code`, …
    #[serde(default, deserialize_with = "null_as_default")]
    pub method: String,
    /// The assurance level that it gives: `aal1` or `aal2`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub aal: String,
    /// When it was completed.
    #[serde(default, deserialize_with = "time")]
    pub completed_at: Option<Timestamp>,
    /// The OIDC provider, if one was used.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub provider: Option<String>,
}

/// The device where a session was begun. All of it comes from the client, or from a proxy in between.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Kratos' id of the entry.
    #[serde(default, deserialize_with = "null_as_default")]
    pub id: String,
    /// An address, or `address:port`; empty where Kratos dropped a private one.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub ip_address: Option<String>,
    /// The client's own name.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub user_agent: Option<String>,
    /// A place, as a proxy reported it.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub location: Option<String>,
}

impl fmt::Debug for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Device").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A session. If it can't be read as a whole it is read field by field; only the id is required.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(remote = "Self")]
pub struct Session {
    /// Its UUID.
    pub id: String,
    /// Whether Kratos considers it active. Without the identity expanded, the identity's state isn't considered.
    #[serde(default, deserialize_with = "null_as_default")]
    pub active: bool,
    /// When it ends.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
    /// When the last factor was given.
    #[serde(default, deserialize_with = "time")]
    pub authenticated_at: Option<Timestamp>,
    /// When it was issued.
    #[serde(default, deserialize_with = "time")]
    pub issued_at: Option<Timestamp>,
    /// `aal1`, `aal2`; empty where unknown.
    #[serde(default, deserialize_with = "null_as_default")]
    pub authenticator_assurance_level: String,
    /// The steps of the login.
    #[serde(default, deserialize_with = "null_as_default")]
    pub authentication_methods: Vec<AuthenticationMethod>,
    /// Its identity; only where requested by `expand`, and then without `metadata_admin`.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Where it was begun; only where requested by `expand`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub devices: Vec<Device>,
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole_or_by_field(deserializer, |text| Self::deserialize(&mut serde_json::Deserializer::from_str(text)))
    }
}

impl Session {
    /// When it began: the earliest of its times. A later factor moves `authenticated_at`.
    pub fn began(&self) -> Option<Timestamp> {
        let methods = self.authentication_methods.iter().filter_map(|method| method.completed_at);
        methods.chain(self.issued_at).chain(self.authenticated_at).min()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("id", &self.id)
            .field("active", &self.active)
            .field("expires_at", &self.expires_at)
            .field("authenticated_at", &self.authenticated_at)
            .field("aal", &self.authenticator_assurance_level)
            .field("identity", &self.identity.as_ref().map(|identity| &identity.id))
            .field("devices", &self.devices.len())
            .finish_non_exhaustive()
    }
}
