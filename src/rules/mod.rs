//! Rules in CEL: one expression, parsed once, asked about JSON. Pure, and bounded: whatever an expression or its input
//! is, parsing and evaluating it end soon, and neither panics nor overflows a stack.
//!
//! The `cel` crate parses. Evaluation is ours (its own has no cost limit, copies what it selects from, answers `false`
//! where something is selected from what is no object, and panics on message literals): each step is paid for out of
//! a [`Budget`]. Errors never quote a value.

mod convert;
mod evaluate;
mod functions;
mod kind;
mod known;
mod node;
mod parse;
mod uses;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value as Json;

pub use evaluate::Budget;
pub use functions::seconds;
pub use known::{Known, Variable};

/// Bytes of one expression.
pub const MAX_LENGTH: usize = 4096;
/// Nodes of one expression, with macros written out.
pub const MAX_NODES: usize = 2000;
/// How deep an expression is nested, with macros written out.
pub const MAX_DEPTH: usize = 64;
/// Brackets within brackets.
pub const MAX_BRACKETS: usize = 32;
/// Comprehensions (`all`, `exists`, `map`, `filter`…) within comprehensions.
pub const MAX_LOOPS: usize = 2;

/// An expression that can be asked.
#[derive(Debug)]
pub struct Expression {
    root: node::Node,
}

/// Why an expression can't be asked.
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

/// Where an expression stops being one, as editors count, from one on; where the parser says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position(Option<(usize, usize)>);

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some((1, column)) => write!(formatter, " at column {column}"),
            Some((line, column)) => write!(formatter, " at line {line}, column {column}"),
        }
    }
}

/// Why an expression gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("fails: a field that isn't there, a value of another type, or the like")]
    Failed,
    #[error("takes more work than a rule may")]
    Exhausted,
    #[error("gives something else than true or false")]
    NotBool,
}

impl Expression {
    /// Parses an expression over these variables. Blocks for some milliseconds.
    pub fn parse(text: &str, variables: &'static [Variable]) -> Result<Self, Invalid> {
        parse::parse(text, variables).map(|root| Self { root })
    }

    /// Whether it may look at a field of a variable, given by its place among them. `None`: at the variable at all.
    pub fn looks_at(&self, variable: usize, field: Option<&str>) -> bool {
        uses::looks_at(&self.root, variable, field)
    }

    /// Asks it. `values` are those of the variables, in the same order.
    pub fn holds(&self, values: &[Json], budget: &mut Budget) -> Result<bool, Problem> {
        match evaluate::evaluate(&self.root, values, budget)? {
            value::Value::Bool(holds) => Ok(holds),
            _ => Err(Problem::NotBool),
        }
    }
}
