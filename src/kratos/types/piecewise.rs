//! Reads answers in pieces, so that one odd item doesn't fail its page, nor one odd field its item. It may not interpret them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The items of a page, each read by itself. `null` is an empty page.
#[derive(Debug)]
pub struct Items<T> {
    /// Those that can be read, at least in part.
    pub read: Vec<T>,
    /// How many others there are, of which not even the id can be read.
    pub unreadable: usize,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for Reader<T> {
            type Value = Items<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Items { read: Vec::new(), unreadable: 0 })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut found = Items { read: Vec::new(), unreadable: 0 };
                while let Some(text) = items.next_element::<&RawValue>()? {
                    match serde_json::from_str(text.get()) {
                        Ok(item) => found.read.push(item),
                        Err(_) if text.get().starts_with('{') => found.unreadable += 1,
                        Err(_) => return Err(A::Error::custom("an item that is no object")),
                    }
                }
                if found.read.is_empty() && found.unreadable > 0 {
                    // Kratos gives each item an id: this list isn't Kratos'.
                    return Err(A::Error::custom("no item with an id"));
                }
                Ok(found)
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// The members of an object, keys and values as texts. `None`: it isn't an object.
pub fn members(object: &str) -> Option<Vec<(&str, &str)>> {
    serde_json::from_str::<Members>(object).ok().map(|Members(members)| members)
}

struct Members<'a>(Vec<(&'a str, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    members.push((key.get(), value.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Reads an object as a whole; if that fails, each of its fields that can be read, the `id` among them. The other fields count
/// as absent: a field that must not has a type of its own.
pub(super) fn whole_or_by_field<'de, T, D>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Box::<RawValue>::deserialize(deserializer)?;
    let parsed = parse(text.get()).or_else(|error| by_field(text.get(), &parse).unwrap_or(Err(error)));
    parsed.map_err(|_| D::Error::custom("an object without a readable id"))
}

fn by_field<T>(
    text: &str,
    parse: &impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Option<Result<T, serde_json::Error>> {
    const ID: &str = "\"id\"";
    let members = members(text)?;
    let id = members.iter().find(|(key, _)| *key == ID)?;
    let mut kept = vec![id];
    kept.extend(members.iter().filter(|member| member.0 != ID && parse(&object(&[id, *member])).is_ok()));
    Some(parse(&object(&kept)))
}

/// Puts an object together from its members.
fn object(members: &[&(&str, &str)]) -> String {
    let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}
