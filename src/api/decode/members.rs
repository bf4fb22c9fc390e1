//! Finds members of a JSON object without parsing their values; skips all others. Pure.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members with these names, in this order; none where the text isn't an object. The last one of a repeated name counts.
/// Values are never descended into, so depth takes no stack.
pub(super) fn members<'a, const N: usize>(json: &'a str, names: [&str; N]) -> [Option<&'a RawValue>; N] {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_map(Pick(names)).unwrap_or([None; N])
}

struct Pick<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(position) = map.next_key_seed(Position(&self.0))? {
            match position.and_then(|position| found.get_mut(position)) {
                Some(member) => *member = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// Finds the index of a key among the names.
struct Position<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // As bytes: a key may not be valid text.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name.as_bytes() == key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        self.visit_bytes(key.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<const N: usize>(json: &str, names: [&str; N]) -> [Option<String>; N] {
        members(json, names).map(|member| member.map(|raw| raw.get().to_owned()))
    }

    #[test]
    fn what_is_asked_for_is_found_wherever_it_stands() {
        let json = r#" {"b": {"a": 1}, "c": [], "\u0061": "x", "a b": 7}"#;
        assert_eq!(texts(json, ["a", "b", "d"]), [Some("\"x\"".into()), Some(r#"{"a": 1}"#.into()), None]);
        assert_eq!(texts(r#"{"a": 1, "a": 2}"#, ["a"]), [Some("2".into())]);
    }

    #[test]
    fn depth_and_oddity_of_a_member_are_nothing_to_the_others() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let json = format!(r#"{{"x": {deep}, "\ud800": 1e400, "y": {deep}, "z": 1}}"#);
        assert_eq!(texts(&json, ["z", "y"]), [Some("1".into()), Some(deep)]);
    }

    #[test]
    fn what_is_no_object_has_none() {
        for json in ["[1]", "7", "\"a\"", "null", "", "{\"a\": 1"] {
            assert_eq!(texts(json, ["a"]), [None], "{json}");
        }
    }
}
