//! Converts the parser's tree to ours. Refuses what is unknown, unsupported or too large. Pure.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};
use regex::{Regex, RegexBuilder};

use super::fault::{Invalid, Position};
use super::known::Variable;
use super::limits::{MAX_DEPTH, MAX_LOOPS, MAX_NODES};
use super::node::{Constant, Function, Loop, Node, Operator};
use crate::api::words::shown;

/// The largest compiled regular expression, in bytes. In the worst case a match costs the text's length times this.
const MAX_REGEX: usize = 32 * 1024;

/// The longest shown form of an unknown name, in characters.
const NAME: usize = 40;

/// Converts a parsed expression.
pub(super) fn convert(expression: &IdedExpr, variables: &[Variable]) -> Result<Node, Invalid> {
    Converter { variables, locals: Vec::new(), nodes: 0, depth: 0, loops: 0 }.node(expression)
}

struct Converter<'a> {
    variables: &'a [Variable],
    locals: Vec<&'a str>,
    nodes: usize,
    depth: usize,
    loops: usize,
}

impl<'a> Converter<'a> {
    fn node(&mut self, expression: &'a IdedExpr) -> Result<Node, Invalid> {
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > MAX_NODES {
            return Err(Invalid::TooManyNodes);
        }
        if self.depth > MAX_DEPTH {
            return Err(Invalid::TooDeep);
        }
        let node = match &expression.expr {
            Expr::Literal(literal) => Node::Constant(constant(literal)?),
            Expr::Ident(name) => self.name(name)?,
            Expr::Select(select) => {
                let (of, field) = (self.boxed(&select.operand)?, select.field.clone());
                if select.test { Node::Has { of, field } } else { Node::Select { of, field } }
            }
            Expr::List(list) if list.optional_indices.is_empty() => Node::List(self.nodes(&list.elements)?),
            Expr::Call(call) => self.call(call)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
            Expr::List(_) => return Err(Invalid::Unsupported("an optional element")),
            Expr::Map(_) => return Err(Invalid::Unsupported("a map literal")),
            Expr::Struct(_) => return Err(Invalid::Unsupported("a message literal")),
            Expr::Unspecified => return Err(Invalid::Syntax(Position::default())),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn boxed(&mut self, expression: &'a IdedExpr) -> Result<Box<Node>, Invalid> {
        self.node(expression).map(Box::new)
    }

    fn nodes(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Vec<Node>, Invalid> {
        expressions.into_iter().map(|expression| self.node(expression)).collect()
    }

    fn name(&self, name: &str) -> Result<Node, Invalid> {
        if let Some(local) = self.locals.iter().rposition(|local| *local == name) {
            return Ok(Node::Local(local));
        }
        let variable = self.variables.iter().position(|variable| variable.name == name);
        variable.map(Node::Variable).ok_or_else(|| Invalid::UnknownVariable(shown(name, NAME)))
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Result<Node, Invalid> {
        if comprehension.iter_var2.is_some() {
            return Err(Invalid::Unsupported("a comprehension over two variables"));
        }
        let range = self.node(&comprehension.iter_range)?;
        let start = self.node(&comprehension.accu_init)?;
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(Invalid::TooManyLoops);
        }
        self.locals.extend([comprehension.accu_var.as_str(), comprehension.iter_var.as_str()]);
        let condition = self.node(&comprehension.loop_cond)?;
        let step = self.node(&comprehension.loop_step)?;
        let result = self.node(&comprehension.result)?;
        self.locals.truncate(self.locals.len() - 2);
        self.loops -= 1;
        Ok(Node::Loop(Box::new(Loop { range, start, condition, step, result })))
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Node, Invalid> {
        let name = call.func_name.as_str();
        let arguments: Vec<_> = call.target.as_deref().into_iter().chain(&call.args).collect();
        if let [one, two] = arguments[..]
            && let Some(operator) = operator(name)
        {
            return Ok(Node::Binary(operator, self.boxed(one)?, self.boxed(two)?));
        }
        let unknown = || Err(Invalid::UnknownFunction(shown(name, NAME), call.args.len()));
        match (name, &arguments[..]) {
            (operators::LOGICAL_AND, [one, two]) => Ok(Node::And(self.boxed(one)?, self.boxed(two)?)),
            (operators::LOGICAL_OR, [one, two]) => Ok(Node::Or(self.boxed(one)?, self.boxed(two)?)),
            (operators::LOGICAL_NOT, [one]) => Ok(Node::Not(self.boxed(one)?)),
            (operators::NEGATE, [one]) => Ok(Node::Negate(self.boxed(one)?)),
            (operators::NOT_STRICTLY_FALSE, [one]) => Ok(Node::MayHold(self.boxed(one)?)),
            (operators::CONDITIONAL, [one, two, three]) => {
                Ok(Node::If(self.boxed(one)?, self.boxed(two)?, self.boxed(three)?))
            }
            (operators::OPT_INDEX | operators::OPT_SELECT, _) => Err(Invalid::Unsupported("optional selection")),
            ("matches", [text, pattern]) => Ok(Node::Matches(self.boxed(text)?, Box::new(regex(pattern)?))),
            (_, arguments) => match function(name, call.target.is_some()) {
                Some((function, count)) if count == arguments.len() => {
                    Ok(Node::Call(function, self.nodes(arguments.iter().copied())?))
                }
                _ => unknown(),
            },
        }
    }
}

fn constant(literal: &LiteralValue) -> Result<Constant, Invalid> {
    Ok(match literal {
        LiteralValue::Null => Constant::Null,
        LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
        LiteralValue::Int(value) => Constant::Int(*value.inner()),
        LiteralValue::UInt(value) => {
            Constant::Int(i64::try_from(*value.inner()).map_err(|_| Invalid::Unsupported("a number of this size"))?)
        }
        LiteralValue::Double(value) => Constant::Float(*value.inner()),
        LiteralValue::String(value) => Constant::Text(value.inner().to_owned()),
        LiteralValue::Bytes(_) => return Err(Invalid::Unsupported("a bytes literal")),
    })
}

/// A regular expression; matching is linear in the text. Only literal ones can be checked beforehand.
fn regex(pattern: &IdedExpr) -> Result<Regex, Invalid> {
    let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
        return Err(Invalid::Unsupported("a regular expression that is no string literal"));
    };
    let mut builder = RegexBuilder::new(pattern.inner());
    builder.size_limit(MAX_REGEX).dfa_size_limit(8 * MAX_REGEX).nest_limit(32);
    builder.build().map_err(|_| Invalid::Regex)
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        operators::EQUALS => Operator::Equals,
        operators::NOT_EQUALS => Operator::Differs,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::AtMost,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::AtLeast,
        operators::IN => Operator::In,
        operators::INDEX => Operator::Index,
        _ => return None,
    })
}

/// A function, and the number of its arguments, including the one before the dot.
fn function(name: &str, is_method: bool) -> Option<(Function, usize)> {
    let is_either = matches!(name, "size");
    let is_plain = matches!(name, "string" | "int" | "double" | "timestamp" | "duration");
    if !is_either && is_plain == is_method {
        return None;
    }
    Some(match name {
        "size" => (Function::Size, 1),
        "contains" => (Function::Contains, 2),
        "startsWith" => (Function::StartsWith, 2),
        "endsWith" => (Function::EndsWith, 2),
        "lowerAscii" => (Function::LowerAscii, 1),
        "upperAscii" => (Function::UpperAscii, 1),
        "trim" => (Function::Trim, 1),
        "split" => (Function::Split, 2),
        "string" => (Function::String, 1),
        "int" => (Function::Int, 1),
        "double" => (Function::Double, 1),
        "timestamp" => (Function::Timestamp, 1),
        "duration" => (Function::Duration, 1),
        _ => return None,
    })
}
