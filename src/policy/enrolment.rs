//! Whether somebody has a second factor, by what Kratos tells without any secret. Pure.

use serde_json::Value;

use crate::kratos::{CredentialType, Identity};

/// What must be asked for: keys that are public, and with them the mere presence of all other credentials.
pub const ASKED_FOR: CredentialType = CredentialType::Webauthn;

/// Whether an identity, read with [`ASKED_FOR`], has a second factor: TOTP and lookup secrets are there or not; security
/// keys count where they aren't for logging in without a password, which is a first factor.
pub fn is_enrolled(identity: &Identity) -> bool {
    let has = |kind| identity.credential(kind).is_some();
    let keys =
        identity.credential(CredentialType::Webauthn).and_then(|credential| credential.config.get("credentials"));
    let mut keys = keys.and_then(Value::as_array).into_iter().flatten();
    has(CredentialType::Totp)
        || has(CredentialType::LookupSecret)
        || keys.any(|key| key.get("is_passwordless").and_then(Value::as_bool) != Some(true))
}
