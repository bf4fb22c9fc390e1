//! Credentials that must not exist, and what shows only in the contents of an identity's credentials. Pure.
//!
//! That Kratos names a credential proves little: it creates empty ones for what the schema declares. Second factors and links
//! have identifiers. A password has a hash. Security keys are a second factor only if they aren't passwordless.

use serde_json::Value;

use crate::api::credentials::{AbsentCredential, Credentials};
use crate::api::{ReadyCondition, Reason};
use crate::kratos::{Credential, CredentialType, Identity, Member};

/// What was seen in an identity's credentials: nothing of them themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// A password that logs in.
    pub password: bool,
    /// Security keys that are a second factor.
    pub second_factor_key: bool,
    /// Anything else that logs in by itself, but for links: passwordless security keys, passkeys; and codes, where the
    /// server keeps the last thing to log in with on its own, for only it knows whether codes are one.
    pub other_first_factor: bool,
}

impl Contents {
    /// What an identity shows that was read with contents of `password`, `webauthn` and `passkey`, or of some of them.
    pub fn of(identity: &Identity, server_keeps_the_last: bool) -> Self {
        let member = |kind, key| match identity.credential(kind).map(|credential| credential.config.member(key)) {
            Some(Member::Value(value)) => value,
            _ => &Value::Null,
        };
        let keys = |kind| member(kind, "credentials").as_array().map_or(&[][..], Vec::as_slice);
        let is_passwordless = |key: &Value| key["is_passwordless"] == Value::Bool(true);
        let password = identity.credential(CredentialType::Password);
        let is_migrated = *member(CredentialType::Password, "use_password_migration_hook") == Value::Bool(true);
        Self {
            password: password.is_some_and(Credential::has_password_hash) || is_migrated,
            second_factor_key: keys(CredentialType::Webauthn).iter().any(|key| !is_passwordless(key)),
            other_first_factor: keys(CredentialType::Webauthn).iter().any(is_passwordless)
                || !keys(CredentialType::Passkey).is_empty()
                || (server_keeps_the_last && has_identifiers(identity, CredentialType::Code)),
        }
    }
}

/// The kinds that a manifest wants absent. `InvalidSpec` where it gives them too.
pub fn parse(credentials: &Credentials) -> Result<Vec<CredentialType>, ReadyCondition> {
    let Credentials { password, oidc, saml, absent, revoke_sessions: _ } = credentials;
    let given = |kind: AbsentCredential| match kind {
        AbsentCredential::Password => password.is_some().then_some("password"),
        AbsentCredential::Oidc => (!oidc.is_empty()).then_some("oidc"),
        AbsentCredential::Saml => (!saml.is_empty()).then_some("saml"),
        AbsentCredential::Totp | AbsentCredential::WebAuthn | AbsentCredential::LookupSecret => None,
    };
    if let Some(field) = absent.iter().find_map(|kind| given(*kind)) {
        let message = format!("spec.credentials gives {field} and wants it absent: remove one of the two");
        return Err(ReadyCondition::new(Reason::InvalidSpec, message));
    }
    let mut kinds: Vec<_> = absent.iter().map(|kind| to_kratos(*kind)).collect();
    kinds.sort_unstable_by_key(|kind| kind.as_str());
    kinds.dedup();
    Ok(kinds)
}

fn to_kratos(kind: AbsentCredential) -> CredentialType {
    match kind {
        AbsentCredential::Totp => CredentialType::Totp,
        AbsentCredential::WebAuthn => CredentialType::Webauthn,
        AbsentCredential::LookupSecret => CredentialType::LookupSecret,
        AbsentCredential::Password => CredentialType::Password,
        AbsentCredential::Oidc => CredentialType::Oidc,
        AbsentCredential::Saml => CredentialType::Saml,
    }
}

/// Whether a kind is something to log in with by itself.
pub fn is_first_factor(kind: CredentialType) -> bool {
    matches!(kind, CredentialType::Password | CredentialType::Oidc | CredentialType::Saml)
}

/// Whether an identity has a credential of a kind that is to be absent. `contents`: as far as they were asked for.
pub fn is_there(identity: &Identity, kind: CredentialType, contents: Contents) -> bool {
    match kind {
        CredentialType::Webauthn => contents.second_factor_key,
        CredentialType::Password => contents.password,
        _ => has_identifiers(identity, kind),
    }
}

/// Where a kind stands, for people.
pub fn path(kind: CredentialType) -> String {
    format!("/credentials/{}", kind.as_str())
}

fn has_identifiers(identity: &Identity, kind: CredentialType) -> bool {
    identity.credential(kind).is_some_and(|credential| !credential.identifiers.is_empty())
}
