//! Tests of the evaluator: its results, what it refuses, and that it always ends.

mod answers;
mod fields;
mod grammar;
mod limits;

use serde_json::{Value, json};

use super::{Budget, Expression, Invalid, Known, Problem, Variable};

const VARIABLES: &[Variable] =
    &[Variable { name: "identity", known: Known::Any }, Variable { name: "identifiers", known: Known::Any }];

fn parse(text: &str) -> Result<Expression, Invalid> {
    Expression::parse(text, VARIABLES)
}

fn ask(text: &str) -> Result<bool, Problem> {
    let identity = json!({
        "state": "active", "traits": {"email": "Ada@Example.com", "age": 36, "ratio": 0.5, "größe": "ß", "nothing": null},
        "groups": ["ops", "dev"], "addresses": [{"verified": true}, {"verified": false}],
    });
    ask_about(text, identity, json!(["ada@team-a.example.com", "ada"]))
}

fn ask_about(text: &str, identity: Value, identifiers: Value) -> Result<bool, Problem> {
    let expression = parse(text).unwrap_or_else(|invalid| panic!("{text} {invalid}"));
    expression.holds(&[identity, identifiers], &mut Budget::new(1_000_000))
}
