//! Rules in CEL: an expression is parsed once, and evaluated on JSON. Pure and bounded: whatever the expression or its input
//! is, parsing and evaluating end soon, and neither panics nor overflows a stack.
//!
//! The `cel` crate parses. Evaluation is ours (the crate's has no cost limit, copies what it selects from, answers `false` for
//! a selection on a value that isn't an object, and panics on message literals): each step is paid out of a [`Budget`]. Errors
//! never quote a value.

mod budget;
mod convert;
mod evaluate;
mod fault;
mod functions;
mod kind;
mod known;
mod limits;
mod node;
mod parse;
mod uses;
mod value;

#[cfg(test)]
mod tests;

use serde_json::Value as Json;

pub use budget::Budget;
pub use fault::{Invalid, Position, Problem};
pub use functions::seconds;
pub use known::{Known, Variable};
pub use limits::{MAX_BRACKETS, MAX_DEPTH, MAX_LENGTH, MAX_LOOPS, MAX_NODES};

/// A parsed expression.
#[derive(Debug)]
pub struct Expression {
    root: node::Node,
}

impl Expression {
    /// Parses an expression over these variables. Blocks for some milliseconds.
    pub fn parse(text: &str, variables: &'static [Variable]) -> Result<Self, Invalid> {
        parse::parse(text, variables).map(|root| Self { root })
    }

    /// Whether it may read a field of the variable with this index. `None`: the variable at all.
    pub fn looks_at(&self, variable: usize, field: Option<&str>) -> bool {
        uses::looks_at(&self.root, variable, field)
    }

    /// Evaluates it. `values` are those of the variables, in the same order.
    pub fn holds(&self, values: &[Json], budget: &mut Budget) -> Result<bool, Problem> {
        match evaluate::evaluate(&self.root, values, budget)? {
            value::Value::Bool(holds) => Ok(holds),
            _ => Err(Problem::NotBool),
        }
    }
}
