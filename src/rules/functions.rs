//! The functions that expressions may call. Pure.

use std::rc::Rc;

use k8s_openapi::jiff::Timestamp;

use super::budget::Budget;
use super::fault::Problem;
use super::node::Function;
use super::value::Value;

/// Calls a function; the value before the dot is its first argument.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, Problem> {
    if let Ok(text) = arguments.first().ok_or(Problem::Failed)?.text() {
        budget.spend_bytes(text.len())?;
    }
    match (function, arguments) {
        (Function::Size, [of]) => {
            let size = of.text().map_or_else(|_| of.count(), |text| Ok(text.chars().count()))?;
            i64::try_from(size).map(Value::Int).map_err(|_| Problem::Failed)
        }
        (Function::Contains, [of, part]) => {
            let (text, part) = (of.text()?, part.text()?);
            budget.spend_bytes(part.len())?;
            Ok(Value::Bool(text.contains(part)))
        }
        (Function::StartsWith, [of, part]) => Ok(Value::Bool(of.text()?.starts_with(part.text()?))),
        (Function::EndsWith, [of, part]) => Ok(Value::Bool(of.text()?.ends_with(part.text()?))),
        (Function::LowerAscii, [of]) => Ok(made(&of.text()?.to_ascii_lowercase())),
        (Function::UpperAscii, [of]) => Ok(made(&of.text()?.to_ascii_uppercase())),
        (Function::Trim, [of]) => Ok(made(of.text()?.trim())),
        (Function::Split, [of, separator]) => {
            let (text, separator) = (of.text()?, separator.text()?);
            if separator.is_empty() {
                return Err(Problem::Failed);
            }
            budget.spend(text.matches(separator).count())?;
            Ok(Value::List(Rc::new(text.split(separator).map(made).collect())))
        }
        (Function::String, [of]) => match of {
            Value::Text(_) | Value::Made(_) => Ok(of.clone()),
            Value::Bool(value) => Ok(made(&value.to_string())),
            Value::Int(value) => Ok(made(&value.to_string())),
            Value::Float(value) => Ok(made(&value.to_string())),
            _ => Err(Problem::Failed),
        },
        (Function::Int, [of]) => int(of),
        (Function::Double, [of]) => {
            let value = of.text().map_or_else(|_| of.float(), |text| text.parse().ok());
            value.map(Value::Float).ok_or(Problem::Failed)
        }
        (Function::Timestamp, [of]) => timestamp(of),
        (Function::Duration, [of]) => duration(of.text()?),
        _ => Err(Problem::Failed),
    }
}

/// A point in time in seconds since 1970. Expressions calculate with it as CEL does with timestamps, except for the type.
#[allow(clippy::cast_precision_loss, reason = "microseconds stay exact for the next two hundred years")]
pub fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

/// From a text in RFC 3339, or a number of seconds.
fn timestamp<'a>(of: &Value<'_>) -> Result<Value<'a>, Problem> {
    match of.float() {
        Some(seconds) => Ok(Value::Float(seconds)),
        None => of.text()?.parse().map(|at| Value::Float(seconds(at))).map_err(|_| Problem::Failed),
    }
}

/// A Go duration, in seconds.
fn duration<'a>(text: &str) -> Result<Value<'a>, Problem> {
    crate::base::duration::parse(text).map(|duration| Value::Float(duration.as_secs_f64())).ok_or(Problem::Failed)
}

fn made<'a>(text: &str) -> Value<'a> {
    Value::Made(text.into())
}

#[allow(clippy::cast_possible_truncation, reason = "the range is checked, and CEL drops the fraction")]
fn int<'a>(of: &Value<'_>) -> Result<Value<'a>, Problem> {
    const BOUND: f64 = 9_007_199_254_740_992.0;
    match of {
        Value::Int(value) => Ok(Value::Int(*value)),
        Value::Float(value) if value.abs() <= BOUND => Ok(Value::Int(*value as i64)),
        _ => of.text()?.parse().map(Value::Int).map_err(|_| Problem::Failed),
    }
}
