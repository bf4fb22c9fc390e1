//! A password from a manifest: how it is imported, and whether it is to be sent. Pure.
//!
//! It is sent at creation, and when the Secret's content changed. It is never sent again otherwise: the user may have chosen
//! another password since. A digest in the mark tells whether the Secret changed.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secrecy::ExposeSecret;

use super::digest_key::DigestKey;
use super::mark::PasswordMark;
use super::secrets::{self, Secrets};
use crate::api::credentials::{Password as Spec, PasswordFormat, PasswordUpdatePolicy};
use crate::api::instance::KeyRef;
use crate::api::{ReadyCondition, Reason};
use crate::kratos::{PasswordImport, Secret};

/// Nobody types more; and no server hashes it gladly.
const LONGEST_PASSWORD: usize = 1024;
/// How the hashes begin that Kratos imports, as its documentation and source have them.
const HASHES: [&str; 29] = [
    "$2$",
    "$2a$",
    "$2b$",
    "$2y$",
    "$2z$",
    "$argon2id$",
    "$argon2i$",
    "$pbkdf2-sha1$",
    "$pbkdf2-sha224$",
    "$pbkdf2-sha256$",
    "$pbkdf2-sha384$",
    "$pbkdf2-sha512$",
    "$scrypt$",
    "$firescrypt$",
    "{SSHA}",
    "{SSHA256}",
    "{SSHA512}",
    "$sha1$",
    "$sha256$",
    "$sha512$",
    "$md5$",
    "$md5-crypt$",
    "$sha256-crypt$",
    "$sha512-crypt$",
    "$hmac-md4$",
    "$hmac-md5$",
    "$hmac-sha1$",
    "$hmac-sha256$",
    "$hmac-sha512$",
];
const FURTHER_HASHES: [&str; 2] = ["$hmac-sha224$", "$hmac-sha384$"];

/// A digest of salt, format and value.
fn digest(key: &DigestKey, salt: &str, import: &PasswordImport) -> String {
    let (format, value) = match import {
        PasswordImport::Cleartext(value) => ("Cleartext", value),
        PasswordImport::Hashed(value) => ("Hashed", value),
        // Nothing of it is secret, and nothing of it is compared.
        PasswordImport::MigrationHook => return String::new(),
    };
    key.sign([salt, format, value.expose()])
}

/// The password that a manifest gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Password {
    pub import: PasswordImport,
    /// One that was sent already stays, however short it is.
    too_short: Option<ReadyCondition>,
    key: Arc<DigestKey>,
    update_policy: PasswordUpdatePolicy,
    revoke_sessions: bool,
}

/// What is to be done about the password of an identity that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// As the mark is to say.
    pub mark: PasswordMark,
    pub is_sent: bool,
    /// Whether the sessions from before it are to end.
    pub ends_sessions: bool,
    /// Why it may not be sent.
    pub refusal: Option<ReadyCondition>,
}

impl Password {
    /// Reads and validates what a manifest says. `InvalidSpec` where it can't be imported, without showing it.
    pub fn parse(spec: &Spec, secrets: &Secrets) -> Result<Self, ReadyCondition> {
        let Spec { secret_key_ref, format, update_policy, revoke_sessions } = spec;
        let format = format.unwrap_or_default();
        let import = match (secret_key_ref, format) {
            (None, PasswordFormat::MigrationHook) => PasswordImport::MigrationHook,
            (Some(secret_key_ref), PasswordFormat::Cleartext | PasswordFormat::Hashed) => {
                import(secret_key_ref, format, secrets)?
            }
            (None, _) => {
                let message = "credentials.password.secretKeyRef is missing: name the Secret that holds the password";
                return Err(ReadyCondition::new(Reason::InvalidSpec, message));
            }
            (Some(_), PasswordFormat::MigrationHook) => {
                let message = "with the format MigrationHook nothing is read from a Secret: remove \
                               credentials.password.secretKeyRef";
                return Err(ReadyCondition::new(Reason::InvalidSpec, message));
            }
        };
        let too_short = secret_key_ref.as_ref().and_then(|reference| too_short(reference, &import, secrets.least()));
        let key = secrets
            .key()
            .ok_or_else(|| ReadyCondition::new(Reason::SecretNotReady, "the operator's key wasn't read"))?;
        Ok(Self {
            import,
            too_short,
            key,
            update_policy: update_policy.unwrap_or_default(),
            revoke_sessions: revoke_sessions.unwrap_or(true),
        })
    }

    /// Whether Kratos is to ask its migration hook.
    fn is_by_hook(&self) -> bool {
        self.import == PasswordImport::MigrationHook
    }

    /// What the mark says of a password that is sent at this time. `salt`: anything that no other identity has.
    pub fn sent(&self, salt: &str, at: &Time) -> PasswordMark {
        let mark = self.mark(salt);
        if mark.is_of_none() { mark } else { PasswordMark { sent_at: Some(at.clone()), ..mark } }
    }

    fn mark(&self, salt: &str) -> PasswordMark {
        if self.is_by_hook() {
            // One that the manifest gives later is another one.
            return PasswordMark::of_none();
        }
        PasswordMark {
            digest: digest(&self.key, salt, &self.import),
            key_id: self.key.id.clone(),
            salt: salt.to_owned(),
            sent_at: None,
        }
    }

    /// Why it may not be sent, where it may not: it is shorter than the operator was told to let through.
    pub fn refusal(&self) -> Option<&ReadyCondition> {
        self.too_short.as_ref()
    }

    /// It is sent, whatever the mark says.
    pub fn send(&self, salt: &str, at: &Time) -> Decision {
        let mark = self.sent(salt, at);
        Decision { mark, is_sent: true, ends_sessions: self.revoke_sessions, refusal: self.too_short.clone() }
    }

    /// Whether it is to be sent to an identity whose mark says `before`. Without a digest of this key nobody knows
    /// whether it changed: it is noted, and the identity keeps the password that it has. A hook isn't sent to an identity
    /// that is there: it would erase the password that a login has put in its place.
    pub fn decide(&self, before: Option<&PasswordMark>, salt: &str, at: &Time) -> Decision {
        let kept = |mark| Decision { mark, is_sent: false, ends_sessions: false, refusal: None };
        if self.is_by_hook() {
            return kept(before.cloned().unwrap_or_else(PasswordMark::of_none));
        }
        match before.filter(|before| before.key_id == self.key.id || before.is_of_none()) {
            Some(before) if before.digest == digest(&self.key, &before.salt, &self.import) => kept(before.clone()),
            Some(_) if self.update_policy == PasswordUpdatePolicy::OnSecretChange => self.send(salt, at),
            Some(_) | None => {
                let sent_at = before.and_then(|before| before.sent_at.clone());
                kept(PasswordMark { sent_at, ..self.mark(salt) })
            }
        }
    }
}

/// The condition for a password in clear text that is shorter than `least` characters. Of a hash nobody can tell.
fn too_short(secret_key_ref: &KeyRef, import: &PasswordImport, least: usize) -> Option<ReadyCondition> {
    let PasswordImport::Cleartext(value) = import else { return None };
    let is_short = value.expose().chars().take(least).count() < least;
    let what = format!("is shorter than the {least} characters that the operator asks for (--min-password-length)");
    is_short.then(|| secrets::invalid(secret_key_ref, &what))
}

/// What is imported of a Secret's value. `InvalidSpec` where it can't be, without showing it.
fn import(
    secret_key_ref: &KeyRef,
    format: PasswordFormat,
    secrets: &Secrets,
) -> Result<PasswordImport, ReadyCondition> {
    let text = secrets.text(secret_key_ref)?.expose_secret();
    Ok(match format {
        PasswordFormat::Cleartext if text.len() > LONGEST_PASSWORD => {
            return Err(secrets::invalid(secret_key_ref, "is longer than 1024 bytes, too long for a password"));
        }
        PasswordFormat::Cleartext => PasswordImport::Cleartext(Secret::new(text)),
        PasswordFormat::Hashed if !is_known_hash(text) => {
            let what = "is no password hash of a format that Kratos imports (see spec.credentials.password.format)";
            return Err(secrets::invalid(secret_key_ref, what));
        }
        PasswordFormat::Hashed => PasswordImport::Hashed(Secret::new(text)),
        PasswordFormat::MigrationHook => PasswordImport::MigrationHook,
    })
}

/// Whether Kratos takes a text for a password hash.
fn is_known_hash(text: &str) -> bool {
    HASHES.iter().chain(&FURTHER_HASHES).any(|beginning| text.starts_with(beginning))
        && !text.contains(char::is_whitespace)
}
