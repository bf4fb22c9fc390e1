//! Evaluates an expression within a budget. Pure.

use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

use super::budget::Budget;
use super::fault::Problem;
use super::functions;
use super::node::{Constant, Loop, Node, Operator};
use super::value::Value;

/// Evaluates an expression with these values of its variables.
pub(super) fn evaluate<'a>(root: &'a Node, values: &'a [Json], budget: &mut Budget) -> Result<Value<'a>, Problem> {
    Evaluation { values, locals: Vec::new(), budget }.node(root)
}

struct Evaluation<'a, 'b> {
    values: &'a [Json],
    locals: Vec<Value<'a>>,
    budget: &'b mut Budget,
}

impl<'a> Evaluation<'a, '_> {
    fn node(&mut self, node: &'a Node) -> Result<Value<'a>, Problem> {
        self.budget.spend(1)?;
        match node {
            Node::Constant(constant) => Ok(match constant {
                Constant::Null => Value::Null,
                Constant::Bool(value) => Value::Bool(*value),
                Constant::Int(value) => Value::Int(*value),
                Constant::Float(value) => Value::Float(*value),
                Constant::Text(text) => Value::Text(text),
            }),
            Node::Variable(at) => self.values.get(*at).map(Value::from).ok_or(Problem::Failed),
            Node::Local(at) => self.locals.get(*at).cloned().ok_or(Problem::Failed),
            Node::Select { of, field } => self.node(of)?.member(field)?.ok_or(Problem::Failed),
            Node::Has { of, field } => Ok(Value::Bool(self.node(of)?.member(field)?.is_some())),
            Node::List(nodes) => {
                let items: Result<Vec<_>, _> = nodes.iter().map(|node| self.node(node)).collect();
                Ok(Value::List(Rc::new(items?)))
            }
            Node::Not(of) => Ok(Value::Bool(!self.node(of)?.bool()?)),
            Node::MayHold(of) => Ok(Value::Bool(self.truth(of)?.unwrap_or(true))),
            Node::Negate(of) => match self.node(of)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Problem::Failed),
                Value::Float(value) => Ok(Value::Float(-value)),
                _ => Err(Problem::Failed),
            },
            Node::And(one, two) => self.either(one, two, false),
            Node::Or(one, two) => self.either(one, two, true),
            Node::If(condition, then, otherwise) => {
                if self.node(condition)?.bool()? {
                    self.node(then)
                } else {
                    self.node(otherwise)
                }
            }
            Node::Binary(operator, one, two) => {
                let (one, two) = (self.node(one)?, self.node(two)?);
                binary(*operator, &one, &two, self.budget)
            }
            Node::Call(function, arguments) => {
                let arguments: Result<Vec<_>, _> = arguments.iter().map(|node| self.node(node)).collect();
                functions::call(*function, &arguments?, self.budget)
            }
            Node::Matches(of, regex) => {
                let text = self.node(of)?;
                let text = text.text()?;
                // Without the regex engine's cache each byte may take as many steps as the expression has states.
                self.budget.spend(text.len() * regex.as_str().len() / 16)?;
                Ok(Value::Bool(regex.is_match(text)))
            }
            Node::Loop(comprehension) => self.comprehension(comprehension),
        }
    }

    /// A boolean, or the problem. An exhausted budget is an outer error: no other operand can make up for it.
    fn truth(&mut self, node: &'a Node) -> Result<Result<bool, Problem>, Problem> {
        match self.node(node).and_then(|value| value.bool()) {
            Err(Problem::Exhausted) => Err(Problem::Exhausted),
            truth => Ok(truth),
        }
    }

    /// `||` and `&&`: if one side decides, a failure of the other side doesn't matter.
    fn either(&mut self, one: &'a Node, two: &'a Node, decisive: bool) -> Result<Value<'a>, Problem> {
        let first = self.truth(one)?;
        if first == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        match (first, self.truth(two)?) {
            (_, Ok(second)) if second == decisive => Ok(Value::Bool(decisive)),
            (Ok(_), Ok(second)) => Ok(Value::Bool(second)),
            (Err(problem), _) | (_, Err(problem)) => Err(problem),
        }
    }

    fn comprehension(&mut self, comprehension: &'a Loop) -> Result<Value<'a>, Problem> {
        let range = self.node(&comprehension.range)?;
        let start = self.node(&comprehension.start)?;
        self.budget.spend(range.count()?)?;
        let depth = self.locals.len();
        self.locals.extend([start, Value::Null]);
        let result = self.turns(comprehension, range.range()?, depth);
        self.locals.truncate(depth);
        result
    }

    fn turns(&mut self, comprehension: &'a Loop, range: Vec<Value<'a>>, depth: usize) -> Result<Value<'a>, Problem> {
        for item in range {
            if !self.node(&comprehension.condition)?.bool()? {
                break;
            }
            self.locals[depth + 1] = item;
            // Stricter than CEL, where a later iteration may make up for one that fails.
            self.locals[depth] = self.node(&comprehension.step)?;
        }
        self.node(&comprehension.result)
    }
}

fn binary<'a>(operator: Operator, one: &Value<'a>, two: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Problem> {
    let ordered = |found: Result<Ordering, Problem>, holds: fn(Ordering) -> bool| Ok(Value::Bool(holds(found?)));
    match operator {
        Operator::Equals => Ok(Value::Bool(one.same(two, budget)?)),
        Operator::Differs => Ok(Value::Bool(!one.same(two, budget)?)),
        Operator::Less => ordered(one.order(two, budget), Ordering::is_lt),
        Operator::AtMost => ordered(one.order(two, budget), Ordering::is_le),
        Operator::Greater => ordered(one.order(two, budget), Ordering::is_gt),
        Operator::AtLeast => ordered(one.order(two, budget), Ordering::is_ge),
        Operator::In => contains(two, one, budget),
        Operator::Index => match (one, two) {
            (Value::Object(_), key) => one.member(key.text()?)?.ok_or(Problem::Failed),
            (_, Value::Int(at)) => usize::try_from(*at).ok().and_then(|at| one.item(at)).ok_or(Problem::Failed),
            _ => Err(Problem::Failed),
        },
        Operator::Add => add(one, two, budget),
        Operator::Subtract => arithmetic(one, two, i64::checked_sub, |one, two| one - two),
        Operator::Multiply => arithmetic(one, two, i64::checked_mul, |one, two| one * two),
        Operator::Divide => arithmetic(one, two, i64::checked_div, |one, two| one / two),
        Operator::Remainder => match (one, two) {
            (Value::Int(one), Value::Int(two)) => one.checked_rem(*two).map(Value::Int).ok_or(Problem::Failed),
            _ => Err(Problem::Failed),
        },
    }
}

fn contains<'a>(list: &Value<'a>, item: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Problem> {
    if let Value::Object(_) = list {
        return Ok(Value::Bool(list.member(item.text()?)?.is_some()));
    }
    for at in 0..list.count()? {
        if let Some(found) = list.item(at)
            && found.same(item, budget)?
        {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn add<'a>(one: &Value<'a>, two: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, Problem> {
    if let (Ok(first), Ok(second)) = (one.text(), two.text()) {
        budget.spend_bytes(first.len() + second.len())?;
        return Ok(Value::Made(format!("{first}{second}").into()));
    }
    if let (Value::Array(_) | Value::List(_), Value::Array(_) | Value::List(_)) = (one, two) {
        budget.spend(one.count()? + two.count()?)?;
        let mut items = one.range()?;
        items.extend(two.range()?);
        return Ok(Value::List(Rc::new(items)));
    }
    arithmetic(one, two, i64::checked_add, |one, two| one + two)
}

fn arithmetic<'a>(
    one: &Value<'a>,
    two: &Value<'a>,
    whole: fn(i64, i64) -> Option<i64>,
    fraction: fn(f64, f64) -> f64,
) -> Result<Value<'a>, Problem> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => whole(*one, *two).map(Value::Int).ok_or(Problem::Failed),
        _ => match (one.float(), two.float()) {
            (Some(one), Some(two)) => Ok(Value::Float(fraction(one, two))),
            _ => Err(Problem::Failed),
        },
    }
}
