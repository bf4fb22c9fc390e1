//! The type of each part of an expression, as far as it is certain. Refuses parts that can't be boolean where a boolean is
//! required. Pure.

use super::fault::Invalid;
use super::node::{Constant, Function, Loop, Node, Operator};

/// The type of a part's value, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    /// Certainly no boolean.
    Other,
    /// It depends on the input.
    Unknown,
}

/// Refuses an expression that certainly isn't boolean, as a whole or where a boolean is required.
pub(super) fn ensure_bool(root: &Node) -> Result<(), Invalid> {
    truth(root, &mut Vec::new())
}

fn truth(node: &Node, locals: &mut Vec<Kind>) -> Result<(), Invalid> {
    match kind(node, locals)? {
        Kind::Other => Err(Invalid::NotBool),
        Kind::Bool | Kind::Unknown => Ok(()),
    }
}

fn kind(node: &Node, locals: &mut Vec<Kind>) -> Result<Kind, Invalid> {
    Ok(match node {
        Node::Constant(Constant::Bool(_)) => Kind::Bool,
        Node::Constant(_) => Kind::Other,
        Node::Variable(_) => Kind::Unknown,
        Node::Local(at) => locals.get(*at).copied().unwrap_or(Kind::Unknown),
        Node::Select { of, .. } => check_below(&[of], locals, Kind::Unknown)?,
        Node::Has { of, .. } | Node::Matches(of, _) => check_below(&[of], locals, Kind::Bool)?,
        Node::List(nodes) => check_below(&nodes.iter().collect::<Vec<_>>(), locals, Kind::Other)?,
        Node::Negate(of) => check_below(&[of], locals, Kind::Other)?,
        Node::Not(of) | Node::MayHold(of) => {
            truth(of, locals)?;
            Kind::Bool
        }
        Node::And(one, two) | Node::Or(one, two) => {
            truth(one, locals)?;
            truth(two, locals)?;
            Kind::Bool
        }
        Node::If(condition, then, otherwise) => {
            truth(condition, locals)?;
            either(kind(then, locals)?, kind(otherwise, locals)?)
        }
        Node::Binary(operator, one, two) => check_below(&[one, two], locals, of_operator(*operator))?,
        Node::Call(function, nodes) => check_below(&nodes.iter().collect::<Vec<_>>(), locals, of_function(*function))?,
        Node::Loop(comprehension) => of_loop(comprehension, locals)?,
    })
}

/// Checks the parts below; the type of the whole doesn't depend on them.
fn check_below(below: &[&Node], locals: &mut Vec<Kind>, is: Kind) -> Result<Kind, Invalid> {
    for node in below {
        kind(node, locals)?;
    }
    Ok(is)
}

fn either(one: Kind, two: Kind) -> Kind {
    if one == two { one } else { Kind::Unknown }
}

fn of_operator(operator: Operator) -> Kind {
    match operator {
        Operator::Equals
        | Operator::Differs
        | Operator::Less
        | Operator::AtMost
        | Operator::Greater
        | Operator::AtLeast
        | Operator::In => Kind::Bool,
        Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => Kind::Other,
        Operator::Index => Kind::Unknown,
    }
}

fn of_function(function: Function) -> Kind {
    match function {
        Function::Contains | Function::StartsWith | Function::EndsWith => Kind::Bool,
        Function::Size
        | Function::LowerAscii
        | Function::UpperAscii
        | Function::Trim
        | Function::Split
        | Function::String
        | Function::Int
        | Function::Double
        | Function::Timestamp
        | Function::Duration => Kind::Other,
    }
}

/// The accumulator has the type of its start, if each step keeps it; the items' type is unknown.
fn of_loop(comprehension: &Loop, locals: &mut Vec<Kind>) -> Result<Kind, Invalid> {
    let Loop { range, start, condition, step, result } = comprehension;
    kind(range, locals)?;
    let start = kind(start, locals)?;
    let depth = locals.len();
    locals.extend([start, Kind::Unknown]);
    let step = kind(step, locals)?;
    locals[depth] = either(start, step);
    truth(condition, locals)?;
    let result = kind(result, locals);
    locals.truncate(depth);
    result
}
