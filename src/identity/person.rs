//! Is an identity that an earlier resource left the same person's? Decides by the login identifiers of the manifest. Pure.
//!
//! People change their own addresses, so an identity's current identifiers prove less than those that its manifest asked for.
//! These are in the mark as a keyed digest. Without the operator's key it reveals nothing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::digest_key::DigestKey;

/// What the mark notes of the login identifiers that a manifest asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentifiersMark {
    /// HMAC of the salt and of all of them, sorted.
    pub digest: String,
    /// The operator's key that it was made with.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// Makes equal identifiers of two identities differ: the uid of the resource that they were noted for.
    pub salt: String,
}

/// Whose an identity is, beside a manifest of the name that its mark has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    Same,
    Another,
    /// The mark was made with a key that this operator doesn't have.
    Unknown,
}

/// The login identifiers that a manifest asks for, as Kratos normalises them. They are people's: never shown.
#[derive(Clone, Default, PartialEq)]
pub struct Identifiers {
    sorted: Vec<String>,
    key: Option<Arc<DigestKey>>,
}

impl Identifiers {
    /// `key`: absent where it can't be read; nothing is noted then.
    pub fn new(mut identifiers: Vec<String>, key: Option<Arc<DigestKey>>) -> Self {
        identifiers.sort_unstable();
        identifiers.dedup();
        Self { sorted: identifiers, key }
    }

    /// What a mark notes that is written anyway. `None`: there is nothing to note.
    pub fn note(&self, before: Option<&IdentifiersMark>, salt: &str) -> Option<IdentifiersMark> {
        let Some((key, digest)) = self.signed(salt) else { return before.cloned() };
        let is_known = before.filter(|before| self.is_of(before) == Some(true));
        Some(is_known.cloned().unwrap_or_else(|| IdentifiersMark {
            digest,
            key_id: key.id.clone(),
            salt: salt.to_owned(),
        }))
    }

    /// Whether the mark notes others than the manifest asks for now, so that it is to be written.
    pub fn have_changed(&self, noted: Option<&IdentifiersMark>) -> bool {
        noted.and_then(|noted| self.is_of(noted)) == Some(false)
    }

    /// Whose the identity of an earlier resource is. `theirs`: its login identifiers as they are now;
    /// `may_have_identifiers`: whether its schema has any, without which there is nothing to tell persons apart by.
    pub fn person(&self, noted: Option<&IdentifiersMark>, theirs: &[String], may_have_identifiers: bool) -> Person {
        let is_shared = theirs.iter().any(|identifier| self.sorted.contains(identifier));
        if !may_have_identifiers || is_shared {
            return Person::Same;
        }
        match noted.map(|noted| self.is_of(noted)) {
            Some(Some(true)) => Person::Same,
            Some(None) if !self.sorted.is_empty() => Person::Unknown,
            Some(_) | None => Person::Another,
        }
    }

    /// Whether a mark notes these. `None`: it was made with another key, or there are none.
    fn is_of(&self, noted: &IdentifiersMark) -> Option<bool> {
        let (key, digest) = self.signed(&noted.salt)?;
        (key.id == noted.key_id).then(|| digest == noted.digest)
    }

    fn signed(&self, salt: &str) -> Option<(&DigestKey, String)> {
        let key = self.key.as_deref().filter(|_| !self.sorted.is_empty())?;
        let parts = [salt, "identifiers"].into_iter().chain(self.sorted.iter().map(String::as_str));
        Some((key, key.sign(parts)))
    }
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identifiers").field("count", &self.sorted.len()).finish_non_exhaustive()
    }
}
