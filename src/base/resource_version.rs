//! Resource versions, which tell older objects from newer ones. Pure.
//!
//! Since Kubernetes 1.35 the versions of one kind can be compared (KEP-5504): they are positive whole numbers without leading
//! zeros. Those of two kinds can't, which the type enforces. Anything else counts as no version: callers decide what is safe
//! then.

use std::cmp::Ordering;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::Resource;

/// The version of an object, or of a list, of this kind.
pub struct ResourceVersion<K>(u128, PhantomData<fn() -> K>);

impl<K> ResourceVersion<K> {
    /// The version of a list: of the whole kind at that time, however few objects the list shows.
    pub fn of_list(list: &ListMeta) -> Option<Self> {
        list.resource_version.as_deref().and_then(Self::parse)
    }

    /// The version of an object of this kind, by its metadata.
    pub fn of_metadata(metadata: &ObjectMeta) -> Option<Self> {
        metadata.resource_version.as_deref().and_then(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        if is_number { text.parse().ok().map(|number| Self(number, PhantomData)) } else { None }
    }
}

impl<K: Resource> ResourceVersion<K> {
    /// The version of an object.
    pub fn of(object: &K) -> Option<Self> {
        Self::of_metadata(object.meta())
    }
}

// Written out, because derived code would demand the same traits of `K`.
impl<K> Clone for ResourceVersion<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for ResourceVersion<K> {}

impl<K> PartialEq for ResourceVersion<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for ResourceVersion<K> {}

impl<K> PartialOrd for ResourceVersion<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for ResourceVersion<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> std::fmt::Debug for ResourceVersion<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use rstest::rstest;

    use super::*;

    fn of(version: &str) -> Option<ResourceVersion<ConfigMap>> {
        let list = ListMeta { resource_version: Some(version.to_owned()), ..ListMeta::default() };
        let mut object = ConfigMap::default();
        object.metadata.resource_version = Some(version.to_owned());
        assert_eq!(ResourceVersion::of(&object), ResourceVersion::of_list(&list), "{version}");
        ResourceVersion::of(&object)
    }

    #[rstest]
    #[case("9", "10")]
    #[case("99", "100")]
    #[case("18446744073709551615", "18446744073709551616")]
    fn they_are_compared_as_numbers(#[case] older: &str, #[case] newer: &str) {
        assert!(of(older).unwrap() < of(newer).unwrap());
        assert!(of(older).unwrap() == of(older).unwrap());
    }

    #[rstest]
    #[case("")]
    #[case("0")]
    #[case("007")]
    #[case("+7")]
    #[case("-7")]
    #[case("7.0")]
    #[case("0x7")]
    #[case("7 ")]
    #[case("opaque")]
    #[case("\u{663}")]
    #[case("1000000000000000000000000000000000000000")]
    fn what_is_no_positive_number_is_no_version(#[case] text: &str) {
        assert_eq!(of(text), None);
    }

    #[test]
    fn what_has_none_has_none() {
        assert_eq!(ResourceVersion::of(&ConfigMap::default()), None);
        assert_eq!(ResourceVersion::<ConfigMap>::of_list(&ListMeta::default()), None);
    }
}
