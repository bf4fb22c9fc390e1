//! The key that digests in marks are made with. Pure. Shows no part of it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretSlice};

/// The operator's key, without which a digest tells nothing about what it was made of.
pub struct DigestKey {
    /// Tells keys apart: under another one a digest can't be compared.
    pub id: String,
    secret: SecretSlice<u8>,
}

impl DigestKey {
    pub fn new(id: impl Into<String>, secret: Vec<u8>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }

    /// HMAC-SHA-256 of these parts, each of its own length.
    pub(super) fn sign<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose_secret());
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        STANDARD_NO_PAD.encode(context.sign())
    }
}

impl PartialEq for DigestKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DigestKey").field("id", &self.id).finish_non_exhaustive()
    }
}
