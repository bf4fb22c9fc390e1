//! An object that a user shapes, as it is kept of every resource in the watch: as JSON text, a fifth of what maps of values
//! take. Pure.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Members under names of the user's own. Absent and `null` are the empty one. Debug output shows none of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FreeObject(Box<str>);

impl FreeObject {
    /// Its members, read anew each time.
    pub fn members(&self) -> Map<String, Value> {
        // Nothing else than a map was ever written.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Map<String, Value>> for FreeObject {
    fn from(members: Map<String, Value>) -> Self {
        if members.is_empty() { Self::default() } else { Self(Value::Object(members).to_string().into()) }
    }
}

impl std::fmt::Debug for FreeObject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.is_empty() { "{}" } else { "{..}" })
    }
}

impl Serialize for FreeObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FreeObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<Map<String, Value>>::deserialize(deserializer).map(|members| members.unwrap_or_default().into())
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
            assert_eq!(Value::Object(read.members()), value);
            assert_eq!(read.is_empty(), value == json!({}));
        }
        let read = |text| serde_json::from_str::<FreeObject>(text).unwrap();
        assert_eq!(read(r#"{"a": 1, "b": {"d": 2, "c": 3}}"#), read(r#"{"b": {"c": 3, "d": 2}, "a": 1}"#));
        assert_ne!(read(r#"{"a": 1}"#), read(r#"{"a": 2}"#));
        assert_eq!(read("null"), FreeObject::default());
        assert!(serde_json::from_str::<FreeObject>("[]").is_err());
    }

    #[test]
    fn debug_output_shows_no_member() {
        let read: FreeObject = serde_json::from_value(json!({"email": "ada@example.com"})).unwrap();
        assert_eq!(format!("{read:?} {:?}", FreeObject::default()), "{..} {}");
    }
}
