//! Namespace and name of a resource (`types.NamespacedName` in Go), and short hashes of them. Pure.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use kube::{Resource, ResourceExt};

/// Namespace and name of a resource; shown as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespacedName {
    pub namespace: String,
    pub name: String,
}

impl NamespacedName {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a namespaced object.
    pub fn of(object: &impl Resource) -> Self {
        Self::new(object.namespace().unwrap_or_default(), object.name_any())
    }

    /// A short hash, for where many keys are remembered.
    pub fn key_hash(&self) -> KeyHash {
        KeyHash::new(&self.namespace, &self.name)
    }
}

/// Stands for a key where many are remembered: eight bytes instead of two texts. Two keys may have the same hash, so a match is
/// only a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(u64);

/// A set of them.
pub type KeyHashes = HashSet<KeyHash>;

/// Stands for a namespace; likewise only a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceHash(u64);

/// The bits of a hash that stand for the name; those above stand for the namespace.
const NAME_BITS: u32 = 40;

impl NamespaceHash {
    pub fn new(namespace: &str) -> Self {
        Self(hash(namespace) >> NAME_BITS)
    }
}

impl KeyHash {
    pub fn new(namespace: &str, name: &str) -> Self {
        let NamespaceHash(above) = NamespaceHash::new(namespace);
        Self((above << NAME_BITS) | (hash((namespace, name)) >> (u64::BITS - NAME_BITS)))
    }

    pub fn namespace(self) -> NamespaceHash {
        NamespaceHash(self.0 >> NAME_BITS)
    }

    /// The key of a namespaced object.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Whether a text can be the name of an object (RFC 1123). Names from a manifest or a mark must pass before they go into the
/// path of a request: the client doesn't check, and a name with slashes would change the path.
pub fn is_name(text: &str) -> bool {
    let is_alphanumeric = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    text.len() <= 253
        && text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.chars().all(|character| is_alphanumeric(character) || "-.".contains(character))
        && !text.contains("..")
}

/// Why a text is no `namespace/name`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected NAMESPACE/NAME")]
pub struct NotANamespacedName;

impl FromStr for NamespacedName {
    type Err = NotANamespacedName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(NotANamespacedName),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("identity/default", Ok(NamespacedName::new("identity", "default")))]
    #[case("identity", Err(NotANamespacedName))]
    #[case("", Err(NotANamespacedName))]
    #[case("/default", Err(NotANamespacedName))]
    #[case("identity/", Err(NotANamespacedName))]
    #[case("identity/default/more", Err(NotANamespacedName))]
    fn a_place_is_a_namespace_and_a_name(
        #[case] text: &str,
        #[case] expected: Result<NamespacedName, NotANamespacedName>,
    ) {
        assert_eq!(text.parse(), expected);
        if let Ok(key) = expected {
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn a_key_tells_namespace_and_name_apart() {
        let ada = NamespacedName::new("identity", "ada").key_hash();
        assert_eq!(ada, KeyHash::new("identity", "ada"));
        assert_eq!(ada.namespace(), NamespaceHash::new("identity"));
        let others = [("identity", "grace"), ("team-a", "ada"), ("ada", "identity"), ("identitya", "da")];
        let keys: KeyHashes = others.iter().map(|(namespace, name)| KeyHash::new(namespace, name)).collect();
        assert!(keys.len() == others.len() && !keys.contains(&ada));
    }

    #[rstest]
    #[case("ada", true)]
    #[case("ada.v2-x", true)]
    #[case("", false)]
    #[case("..", false)]
    #[case("../identity/ada", false)]
    #[case("identity/ada", false)]
    #[case("a..b", false)]
    #[case("-ada", false)]
    #[case("ada?watch=true", false)]
    #[case("ada%2f", false)]
    #[case("Ada", false)]
    fn a_name_leads_nowhere_else(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_name(text), expected);
    }
}
