//! Reads answers more tolerantly than they are specified. It may not interpret: it only treats `null`, absence and unreadable
//! values alike.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` becomes the type's default, like absence.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An empty text counts as absent.
pub(super) fn empty_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// A time that can't be read counts as absent, and so does Go's zero time (the year 1), which Kratos writes for "none".
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok())
        .filter(|time| time.as_second() > ZERO_TIME_SECOND))
}

/// 0001-01-01T00:00:00Z in seconds since 1970.
const ZERO_TIME_SECOND: i64 = -62_135_596_800;

/// How many members a value has, for a `Debug` that shows no content.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Object(members) => members.len(),
        Value::Array(elements) => elements.len(),
        _ => 1,
    }
}
