//! The values of expressions: JSON by reference, and computed values. Cloning one is cheap. Pure.

use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::budget::Budget;
use super::fault::Problem;

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// A computed text.
    Made(Rc<str>),
    Array(&'a [Json]),
    /// A computed list.
    List(Rc<Vec<Value<'a>>>),
    Object(&'a Map<String, Json>),
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int)
            }
            Json::String(text) => Self::Text(text),
            Json::Array(items) => Self::Array(items),
            Json::Object(members) => Self::Object(members),
        }
    }
}

impl<'a> Value<'a> {
    pub fn bool(&self) -> Result<bool, Problem> {
        if let Self::Bool(value) = self { Ok(*value) } else { Err(Problem::NotBool) }
    }

    pub fn text(&self) -> Result<&str, Problem> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Made(text) => Ok(text),
            _ => Err(Problem::Failed),
        }
    }

    /// The number of a list's items, or of an object's members.
    pub fn count(&self) -> Result<usize, Problem> {
        match self {
            Self::Array(items) => Ok(items.len()),
            Self::List(items) => Ok(items.len()),
            Self::Object(members) => Ok(members.len()),
            _ => Err(Problem::Failed),
        }
    }

    /// An item of a list.
    pub fn item(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Array(items) => items.get(at).map(Self::from),
            Self::List(items) => items.get(at).cloned(),
            _ => None,
        }
    }

    /// What a comprehension iterates over: the items of a list, or the keys of an object.
    pub fn range(&self) -> Result<Vec<Value<'a>>, Problem> {
        match self {
            Self::Array(items) => Ok(items.iter().map(Self::from).collect()),
            Self::List(items) => Ok(items.to_vec()),
            Self::Object(members) => Ok(members.keys().map(|key| Self::Text(key)).collect()),
            _ => Err(Problem::Failed),
        }
    }

    /// A member of an object.
    pub fn member(&self, key: &str) -> Result<Option<Value<'a>>, Problem> {
        match self {
            Self::Object(members) => Ok(members.get(key).map(Self::from)),
            _ => Err(Problem::Failed),
        }
    }

    /// Whether two values are equal; values of different types never are.
    pub fn same(&self, other: &Self, budget: &mut Budget) -> Result<bool, Problem> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::Object(one), Self::Object(two)) => {
                if one.len() != two.len() {
                    return Ok(false);
                }
                for (key, value) in *one {
                    let Some(counterpart) = two.get(key) else { return Ok(false) };
                    budget.spend_bytes(key.len())?;
                    if !Self::from(value).same(&Self::from(counterpart), budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Array(_) | Self::List(_), Self::Array(_) | Self::List(_)) => {
                let count = self.count()?;
                if count != other.count()? {
                    return Ok(false);
                }
                for at in 0..count {
                    if let (Some(one), Some(two)) = (self.item(at), other.item(at))
                        && !one.same(&two, budget)?
                    {
                        return Ok(false);
                    }
                }
                true
            }
            (one, two) => match (one.text(), two.text()) {
                (Ok(one), Ok(two)) => {
                    budget.spend_bytes(one.len().min(two.len()))?;
                    one == two
                }
                _ => one.numbers(two) == Some(Ordering::Equal),
            },
        })
    }

    /// Which of two values comes first.
    pub fn order(&self, other: &Self, budget: &mut Budget) -> Result<Ordering, Problem> {
        if let (Ok(one), Ok(two)) = (self.text(), other.text()) {
            budget.spend_bytes(one.len().min(two.len()))?;
            return Ok(one.cmp(two));
        }
        if let (Self::Bool(one), Self::Bool(two)) = (self, other) {
            return Ok(one.cmp(two));
        }
        self.numbers(other).ok_or(Problem::Failed)
    }

    fn numbers(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(one), Self::Int(two)) => Some(one.cmp(two)),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    /// A number as a float.
    #[allow(clippy::cast_precision_loss, reason = "as CEL compares numbers of different types, but for the largest")]
    pub fn float(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}
