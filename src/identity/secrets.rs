//! The values that a spec takes from Secrets, and the message if they are missing. Pure; `read_secrets` fills it.
//!
//! No content may show: neither in a message nor in `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::digest_key::DigestKey;
use crate::api::instance::KeyRef;
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};

/// A longer value is refused.
const LONGEST: usize = 64 * 1024;

/// What stands under one key of a Secret.
pub enum Entry {
    /// Not there yet, or not to be read: what is the matter, and what is waited for.
    NotReady(&'static str),
    Value(Vec<u8>),
}

/// The values that a spec refers to, by Secret and key.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<KeyRef, Result<SecretString, ReadyCondition>>,
    key: Option<Arc<DigestKey>>,
    /// How many characters a password has at least that is sent.
    least: usize,
}

impl Secrets {
    /// Takes in what was read for a reference.
    pub fn insert(&mut self, reference: &KeyRef, entry: Entry) {
        let text = match entry {
            Entry::NotReady(why) => Err(not_ready(reference, why)),
            Entry::Value(bytes) => text(reference, bytes),
        };
        self.values.insert(reference.clone(), text);
    }

    /// Takes in the operator's key, which digests are made with.
    #[must_use]
    pub fn with_key(self, key: Arc<DigestKey>) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Takes in how long a password must be.
    #[must_use]
    pub fn with_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// How many characters a password must have; none where nobody asks for any.
    pub fn least(&self) -> usize {
        self.least
    }

    pub fn key(&self) -> Option<Arc<DigestKey>> {
        self.key.clone()
    }

    /// The text under a reference, without the one line break at its end that editors and `echo` leave.
    /// `SecretNotReady` where it is to be waited for, `InvalidSpec` where it is of no use.
    pub fn text(&self, reference: &KeyRef) -> Result<&SecretString, ReadyCondition> {
        match self.values.get(reference) {
            Some(found) => found.as_ref().map_err(Clone::clone),
            None => Err(not_ready(reference, "wasn't read")),
        }
    }
}

/// Shows which keys there are.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

fn text(reference: &KeyRef, bytes: Vec<u8>) -> Result<SecretString, ReadyCondition> {
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(invalid(reference, "isn't UTF-8 text"));
    };
    let text = SecretString::from(text);
    let stripped = without_line_break(&text);
    match stripped.len() {
        0 => Err(invalid(reference, "is empty")),
        length if length > LONGEST => Err(invalid(reference, "is longer than 64 KiB")),
        _ => Ok(SecretString::from(stripped.to_owned())),
    }
}

fn without_line_break(text: &SecretString) -> &str {
    let text = text.expose_secret();
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn not_ready(KeyRef { name, key }: &KeyRef, what: &str) -> ReadyCondition {
    let (name, key) = (shown(name, NAME), shown(key, NAME));
    ReadyCondition::new(Reason::SecretNotReady, format!("Secret {name}, key {key}: {what}; the operator waits for it"))
}

/// The condition for a value that is there and of no use.
pub fn invalid(KeyRef { name, key }: &KeyRef, what: &str) -> ReadyCondition {
    let (name, key) = (shown(name, NAME), shown(key, NAME));
    let message = format!("Secret {name}, key {key}: the value {what}; correct the Secret");
    ReadyCondition::new(Reason::InvalidSpec, message)
}
