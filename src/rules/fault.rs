//! Why an expression is invalid, or gave no result. Quotes no value.

use std::fmt;

use super::limits::{MAX_BRACKETS, MAX_DEPTH, MAX_LENGTH, MAX_LOOPS, MAX_NODES};

/// Why an expression is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("is nested too deeply (at most {MAX_BRACKETS} brackets, and {MAX_DEPTH} levels in all)")]
    TooDeep,
    #[error("has more than {MAX_NODES} parts")]
    TooManyNodes,
    #[error("nests more than {MAX_LOOPS} comprehensions")]
    TooManyLoops,
    #[error("isn't valid CEL{0}")]
    Syntax(Position),
    #[error("names the variable {0:?}, which doesn't exist")]
    UnknownVariable(String),
    #[error("looks at {0}, a field that doesn't exist")]
    UnknownField(String),
    #[error("calls {0:?} with {1} argument(s), a function that doesn't exist")]
    UnknownFunction(String, usize),
    #[error("uses {0}, which isn't supported")]
    Unsupported(&'static str),
    #[error("has a regular expression that isn't valid, or too big")]
    Regex,
    #[error("gives something else than true or false")]
    NotBool,
}

/// Where an expression becomes invalid: line and column, from one; `None` where the parser doesn't say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position(pub(super) Option<(usize, usize)>);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some((1, column)) => write!(formatter, " at column {column}"),
            Some((line, column)) => write!(formatter, " at line {line}, column {column}"),
        }
    }
}

/// Why an expression gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("fails: a field that isn't there, a value of another type, or the like")]
    Failed,
    #[error("takes more work than a rule may")]
    Exhausted,
    #[error("gives something else than true or false")]
    NotBool,
}
