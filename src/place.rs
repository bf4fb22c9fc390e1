//! Where a namespaced resource stands. Pure.

use std::fmt;
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
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
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
}
