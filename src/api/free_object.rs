//! An object that a user shapes, as the watch keeps it for every resource: as JSON text, which takes a fifth of the memory of
//! maps. Pure.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::depth::{self, MAX_DEPTH};

/// Members with names of the user's choice. Absent and `null` mean empty. Debug output shows none of them.
///
/// An object that is nested too deeply isn't kept, only that fact: the rest of the resource (that it is being deleted, that its
/// identity is to be inactive) still counts. Only `serde_json` can deserialise this type.
#[derive(Clone, PartialEq, Eq)]
pub struct FreeObject(Option<Box<str>>);

/// It has more than [`MAX_DEPTH`] levels, and its members weren't kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nested deeper than {MAX_DEPTH} levels")]
pub struct TooDeep;

impl FreeObject {
    /// Its members, parsed at each call.
    pub fn members(&self) -> Result<Map<String, Value>, TooDeep> {
        // Only a map was ever written into it.
        self.0.as_deref().map(|text| serde_json::from_str(text).unwrap_or_default()).ok_or(TooDeep)
    }

    pub fn is_empty(&self) -> bool {
        self.0.as_deref() == Some("")
    }
}

impl Default for FreeObject {
    fn default() -> Self {
        Self(Some(Box::default()))
    }
}

impl From<Map<String, Value>> for FreeObject {
    fn from(members: Map<String, Value>) -> Self {
        if members.is_empty() { Self::default() } else { Self(Some(Value::Object(members).to_string().into())) }
    }
}

impl std::fmt::Debug for FreeObject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.is_empty() { "{}" } else { "{..}" })
    }
}

impl Serialize for FreeObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FreeObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if depth::of(raw.get()) > MAX_DEPTH {
            return Ok(Self(None));
        }
        let members: Option<Map<String, Value>> = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        Ok(members.unwrap_or_default().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_what_is_written_and_its_order_is_no_difference() {
        for value in [json!({}), json!({"a": {"b": [1, 1.5, null, "x"]}, "": false, "email": "ada@example.com"})] {
            let read: FreeObject = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), value);
            assert_eq!(read.members().map(Value::Object), Ok(value.clone()));
            assert_eq!(read.is_empty(), value == json!({}));
        }
        let read = |text| serde_json::from_str::<FreeObject>(text).unwrap();
        assert_eq!(read(r#"{"a": 1, "b": {"d": 2, "c": 3}}"#), read(r#"{"b": {"c": 3, "d": 2}, "a": 1}"#));
        assert_ne!(read(r#"{"a": 1}"#), read(r#"{"a": 2}"#));
        assert_eq!(read("null"), FreeObject::default());
        assert!(serde_json::from_str::<FreeObject>("[]").is_err());
    }

    #[test]
    fn one_level_too_many_is_never_taken_for_nothing() {
        let nested = |levels: usize| {
            let text = r#"{"a":"#.repeat(levels - 1) + "{}" + &"}".repeat(levels - 1);
            serde_json::from_str::<FreeObject>(&text).unwrap()
        };
        assert!(nested(MAX_DEPTH).members().is_ok_and(|members| !members.is_empty()));
        for levels in [MAX_DEPTH + 1, 129, 10_000, 1_000_000] {
            let read = nested(levels);
            assert_eq!(read.members(), Err(TooDeep));
            assert!(!read.is_empty());
            assert!(serde_json::to_string(&read).is_err());
            assert_eq!(format!("{read:?}"), "{..}");
        }
    }

    #[test]
    fn debug_output_shows_no_member() {
        let read: FreeObject = serde_json::from_value(json!({"email": "ada@example.com"})).unwrap();
        assert_eq!(format!("{read:?} {:?}", FreeObject::default()), "{..} {}");
    }
}
