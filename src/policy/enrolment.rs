//! Whether somebody has a second factor, by what Kratos tells without any secret. Pure.

use serde_json::Value;

use crate::kratos::{CredentialType, Identity, Member};

/// What must be asked for: keys that are public, and with them the mere presence of all other credentials.
pub const ASKED_FOR: CredentialType = CredentialType::Webauthn;

/// Whether an identity, read with [`ASKED_FOR`], has a second factor: TOTP and lookup secrets are there or not; security
/// keys count where they aren't for logging in without a password, which is a first factor. `None`: nobody can tell, since
/// they can't be read.
pub fn is_enrolled(identity: &Identity) -> Option<bool> {
    let has = |kind| identity.credential(kind).is_some();
    if has(CredentialType::Totp) || has(CredentialType::LookupSecret) {
        return Some(true);
    }
    let Some(keys) = identity.credential(CredentialType::Webauthn) else { return Some(false) };
    match keys.config.member("credentials") {
        Member::Absent => Some(false),
        Member::Unreadable => None,
        Member::Value(keys) => {
            let mut keys = keys.as_array().into_iter().flatten();
            Some(keys.any(|key| key.get("is_passwordless").and_then(Value::as_bool) != Some(true)))
        }
    }
}
