//! The free content of an identity: its traits and metadata. Kratos keeps some content that can't be read here, and people
//! register themselves. It may not guess: unreadable content is opaque, and nobody can take it for empty.

use std::cell::RefCell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::piecewise::members;
use super::tolerant::size;

/// Traits, or metadata.
#[derive(Clone, PartialEq)]
pub enum Content {
    /// As it was written; `Null` where there is none.
    Readable(Value),
    /// Not all of it can be read. Nothing may be merged into it or written over it.
    Opaque(Box<Opaque>),
}

/// Content that can't be read as a whole. Compared by a digest of its text.
#[derive(Clone, PartialEq)]
pub struct Opaque {
    cause: Cause,
    place: Vec<String>,
    text: Box<str>,
    digest: u64,
    is_object: bool,
    members: Map<String, Value>,
    unreadable: Vec<String>,
}

/// Why content can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A number beyond what 64 bits of floating point hold.
    Number,
    /// A text that isn't Unicode.
    Text,
    /// Nested too deeply to be read.
    Depth,
    /// Anything else.
    Other,
}

impl Cause {
    /// What is wrong with it, for a message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "a number beyond the range of a double",
            Self::Text => "a text that is no Unicode",
            Self::Depth => "values nested deeper than 120 levels",
            Self::Other => "something that isn't JSON as it is commonly read",
        }
    }

    /// By the library's message, which quotes no value.
    fn of(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let is = |start: &str| message.starts_with(start);
        if is("number out of range") {
            Self::Number
        } else if is("recursion limit exceeded") {
            Self::Depth
        } else if is("lone leading surrogate") || is("unexpected end of hex escape") || is("invalid unicode code point")
        {
            Self::Text
        } else {
            Self::Other
        }
    }
}

/// A member of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Member<'a> {
    /// There is none, or it is null.
    Absent,
    /// There is one that can't be read.
    Unreadable,
    /// As it was written.
    Value(&'a Value),
}

impl Content {
    /// The content, if all of it can be read.
    pub fn read(&self) -> Result<&Value, &Opaque> {
        match self {
            Self::Readable(value) => Ok(value),
            Self::Opaque(opaque) => Err(opaque),
        }
    }

    /// The opaque content, if it is opaque.
    pub fn opaque(&self) -> Option<&Opaque> {
        self.read().err()
    }

    /// Whether it is null or missing.
    pub fn is_null(&self) -> bool {
        self.read().is_ok_and(Value::is_null)
    }

    /// Whether it is an object, readable or not.
    pub fn is_object(&self) -> bool {
        match self {
            Self::Readable(value) => value.is_object(),
            Self::Opaque(opaque) => opaque.is_object,
        }
    }

    /// One of its own members; works on opaque content, too.
    pub fn member(&self, key: &str) -> Member<'_> {
        let (value, is_unreadable) = match self {
            Self::Readable(value) => (value.get(key), false),
            Self::Opaque(opaque) => {
                (opaque.members.get(key), opaque.unreadable.iter().any(|unreadable| unreadable == key))
            }
        };
        match value.filter(|value| !value.is_null()) {
            _ if is_unreadable => Member::Unreadable,
            Some(value) => Member::Value(value),
            None => Member::Absent,
        }
    }

    /// Its members that can be read. Others may exist.
    pub fn readable_members(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Readable(value) => value.as_object(),
            Self::Opaque(opaque) => Some(&opaque.members),
        }
    }

    /// Parses JSON. Never fails: what can't be read is opaque.
    fn of(text: &str) -> Self {
        match value_of(text) {
            Ok(value) => Self::Readable(value),
            Err((cause, place)) => Self::Opaque(Box::new(Opaque::of(text, cause, place))),
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Readable(Value::Null)
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Self::Readable(value)
    }
}

/// Opaque content equals nothing.
impl PartialEq<Value> for Content {
    fn eq(&self, other: &Value) -> bool {
        self.read() == Ok(other)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self::of(text.get()))
    }
}

/// Opaque content can't be written either.
impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Readable(value) => value.serialize(serializer),
            Self::Opaque(_) => Err(S::Error::custom("what can't be read can't be written")),
        }
    }
}

/// Shows how large it is, and nothing of it.
impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readable(value) => write!(formatter, "{} members", size(value)),
            Self::Opaque(opaque) => opaque.fmt(formatter),
        }
    }
}

impl Opaque {
    fn of(text: &str, cause: Cause, place: Vec<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let digest = hasher.finish();
        let mut opaque = Self {
            cause,
            place,
            text: text.into(),
            digest,
            is_object: false,
            members: Map::new(),
            unreadable: Vec::new(),
        };
        let Some(members) = members(text) else { return opaque };
        opaque.is_object = true;
        for (key, text) in members {
            // A key that can't be read is none that anybody looks up.
            let Ok(key) = serde_json::from_str::<String>(key) else { continue };
            match value_of(text) {
                Ok(value) => drop(opaque.members.insert(key, value)),
                Err(_) => opaque.unreadable.push(key),
            }
        }
        opaque
    }

    /// Why it can't be read.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The keys that lead to the first value that can't be read. People choose keys, so these may not be shown as they are.
    pub fn place(&self) -> &[String] {
        &self.place
    }

    /// All of it, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A digest of its text.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opaque").field("cause", &self.cause).finish_non_exhaustive()
    }
}

/// The value of a JSON text; else why it can't be read, and where the first such value is.
fn value_of(text: &str) -> Result<Value, (Cause, Vec<String>)> {
    let path = RefCell::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = At(&path).deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| {
        let mut place = path.into_inner();
        place.reverse();
        (Cause::of(&error), place)
    })
}

/// Reads a value as `Value` does, except for two things. After a failure it notes the keys that led there, the innermost first.
/// And no key is special: the library would read one of its own keys as raw JSON, and people could write that key.
#[derive(Clone, Copy)]
struct At<'a>(&'a RefCell<Vec<String>>);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            match items.next_element_seed(self) {
                Ok(Some(item)) => array.push(item),
                Ok(None) => return Ok(array.into()),
                Err(error) => {
                    self.0.borrow_mut().push(array.len().to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            match members.next_value_seed(self) {
                Ok(value) => drop(object.insert(key, value)),
                Err(error) => {
                    self.0.borrow_mut().push(key);
                    return Err(error);
                }
            }
        }
        Ok(object.into())
    }
}
