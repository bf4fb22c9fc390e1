//! Whether an identity has a second factor, by what Kratos shows without secrets. Pure.

use serde_json::Value;

use crate::kratos::{CredentialType, Identity, Member};

/// The credential to include in reads: its keys are public, and all other credentials are listed along with it.
pub const ASKED_FOR: CredentialType = CredentialType::Webauthn;

/// Whether an identity, read with [`ASKED_FOR`], has a second factor: TOTP, lookup secrets, or security keys that aren't
/// passwordless (those are a first factor). `None`: unknown, because the keys can't be read.
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
