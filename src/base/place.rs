//! Where a namespaced resource stands. Pure.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use kube::{Resource, ResourceExt};

/// Namespace and name of a resource; shown as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub namespace: String,
    pub name: String,
}

impl Place {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Where a namespaced object stands.
    pub fn of(object: &impl Resource) -> Self {
        Self::new(object.namespace().unwrap_or_default(), object.name_any())
    }

    /// What stands for it where many are remembered.
    pub fn key(&self) -> PlaceKey {
        PlaceKey::new(&self.namespace, &self.name)
    }
}

/// Stands for a place where many are remembered: eight bytes instead of two texts. Two places might share one, so what is
/// found by it is a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceKey(u64);

/// A set of them.
pub type PlaceKeys = HashSet<PlaceKey>;

/// Stands for a namespace; likewise a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceKey(u64);

/// The bits of a key that stand for the name; those above stand for the namespace.
const NAME_BITS: u32 = 40;

impl NamespaceKey {
    pub fn new(namespace: &str) -> Self {
        Self(hash(namespace) >> NAME_BITS)
    }
}

impl PlaceKey {
    pub fn new(namespace: &str, name: &str) -> Self {
        let NamespaceKey(above) = NamespaceKey::new(namespace);
        Self((above << NAME_BITS) | (hash((namespace, name)) >> (u64::BITS - NAME_BITS)))
    }

    pub fn namespace(self) -> NamespaceKey {
        NamespaceKey(self.0 >> NAME_BITS)
    }

    /// Where a namespaced object stands.
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

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Whether a text can be the name of an object (RFC 1123). What comes from a manifest or a mark goes into the path of a
/// request only if it is: the client doesn't check, and a name with slashes would lead elsewhere.
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
pub struct NotAPlace;

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(NotAPlace),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("identity/default", Ok(Place::new("identity", "default")))]
    #[case("identity", Err(NotAPlace))]
    #[case("", Err(NotAPlace))]
    #[case("/default", Err(NotAPlace))]
    #[case("identity/", Err(NotAPlace))]
    #[case("identity/default/more", Err(NotAPlace))]
    fn a_place_is_a_namespace_and_a_name(#[case] text: &str, #[case] expected: Result<Place, NotAPlace>) {
        assert_eq!(text.parse(), expected);
        if let Ok(place) = expected {
            assert_eq!(place.to_string(), text);
        }
    }

    #[test]
    fn a_key_tells_namespace_and_name_apart() {
        let ada = Place::new("identity", "ada").key();
        assert_eq!(ada, PlaceKey::new("identity", "ada"));
        assert_eq!(ada.namespace(), NamespaceKey::new("identity"));
        let others = [("identity", "grace"), ("team-a", "ada"), ("ada", "identity"), ("identitya", "da")];
        let keys: PlaceKeys = others.iter().map(|(namespace, name)| PlaceKey::new(namespace, name)).collect();
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
