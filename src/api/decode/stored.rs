//! Secrets and `ConfigMap`s: their data key by key, and the same metadata as of all objects. Field managers are skipped, since
//! whoever may write such an object can nest them to any depth. Pure. Shows no content.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::members::members;
use super::metadata;

/// How keys and values are decoded.
pub trait HasData: Resource<DynamicType = ()> {
    type Value: DeserializeOwned + Clone;
}

impl HasData for Secret {
    type Value = ByteString;
}

impl HasData for ConfigMap {
    type Value = String;
}

/// Why a key has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// There is no such key.
    Key,
    /// The API server's answer isn't in the API's form.
    Readable,
}

impl Lacking {
    /// What is wrong with it, for a condition.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Key => "there is no such key",
            Self::Readable => UNREADABLE,
        }
    }
}

/// The message for an object that can't be decoded.
pub const UNREADABLE: &str = "what the API server answers when it is asked for can't be read";

/// Whether the answer isn't in the API's form: reported like [`UNREADABLE`], not retried silently.
pub const fn is_unreadable(error: &kube::Error) -> bool {
    matches!(error, kube::Error::SerdeError(_) | kube::Error::FromUtf8(_))
}

/// A Secret or `ConfigMap` as the API server sends it.
#[derive(Clone)]
pub struct Stored<K: HasData> {
    pub metadata: ObjectMeta,
    data: Option<BTreeMap<String, K::Value>>,
}

impl<K: HasData> Stored<K> {
    /// The value of a key.
    pub fn value(&self, key: &str) -> Result<&K::Value, Lacking> {
        self.data.as_ref().ok_or(Lacking::Readable)?.get(key).ok_or(Lacking::Key)
    }
}

impl<K: HasData> fmt::Debug for Stored<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Stored")
    }
}

impl<'de, K: HasData> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let [metadata, data] = members(raw.get(), ["metadata", "data"]);
        let data = match data {
            Some(data) => serde_json::from_str::<Option<_>>(data.get()).ok().map(Option::unwrap_or_default),
            // An object without data still has metadata.
            None => metadata.map(|_| BTreeMap::new()),
        };
        Ok(Self { metadata: metadata::decode(metadata), data })
    }
}

impl<K: HasData> Resource for Stored<K> {
    named_as!(K);

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use rstest::rstest;

    use super::*;

    fn secret(members: &str) -> Stored<Secret> {
        serde_json::from_str(&format!("{{{members}}}")).unwrap()
    }

    #[test]
    fn field_managers_of_any_depth_hide_nothing() {
        let deep = r#"{"a":"#.repeat(10_000) + "{}" + &"}".repeat(10_000);
        let metadata = format!(r#""metadata":{{"name":"ada","managedFields":[{{"fieldsV1":{deep}}}]}}"#);
        let found = secret(&format!(r#"{metadata},"data":{{"password":"c2VjcmV0"}},"type":"Opaque""#));
        assert_eq!(found.name_any(), "ada");
        assert_eq!(found.value("password").map(|value| value.0.as_slice()), Ok(&b"secret"[..]));
        assert_eq!(found.value("other"), Err(Lacking::Key));
        assert_eq!(format!("{found:?}"), "Stored");
        let text = format!(r#"{{{metadata},"data":{{"ca.crt":"pem"}}}}"#);
        let found: Stored<ConfigMap> = serde_json::from_str(&text).unwrap();
        assert_eq!(found.value("ca.crt").map(String::as_str), Ok("pem"));
    }

    #[rstest]
    #[case::no_data(r#""metadata":{"name":"ada"}"#, Lacking::Key)]
    #[case::null(r#""metadata":{"name":"ada"},"data":null"#, Lacking::Key)]
    #[case::not_base64(r#""metadata":{"name":"ada"},"data":{"password":"?"}"#, Lacking::Readable)]
    #[case::no_object(r#""metadata":{"name":"ada"},"data":[1]"#, Lacking::Readable)]
    #[case::something_else(r#""kind":"Other""#, Lacking::Readable)]
    fn what_can_not_be_had_says_why(#[case] members: &str, #[case] why: Lacking) {
        assert_eq!(secret(members).value("password"), Err(why));
    }
}
