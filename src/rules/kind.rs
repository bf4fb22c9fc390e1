//! What kind of value a part of an expression gives, as far as that is plain: what can't be true or false is refused where it
//! has to be. Pure.

use super::fault::Invalid;
use super::node::{Constant, Function, Loop, Node, Operator};

/// What a part gives, if it gives anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    /// Certainly something else.
    Other,
    /// It hangs on what the expression is asked about.
    Unknown,
}

/// Refuses an expression that plainly gives something else than true or false, as a whole or where it is asked for a truth.
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
        Node::Select { of, .. } => look_into(&[of], locals, Kind::Unknown)?,
        Node::Has { of, .. } | Node::Matches(of, _) => look_into(&[of], locals, Kind::Bool)?,
        Node::List(nodes) => look_into(&nodes.iter().collect::<Vec<_>>(), locals, Kind::Other)?,
        Node::Negate(of) => look_into(&[of], locals, Kind::Other)?,
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
        Node::Binary(operator, one, two) => look_into(&[one, two], locals, of_operator(*operator))?,
        Node::Call(function, nodes) => look_into(&nodes.iter().collect::<Vec<_>>(), locals, of_function(*function))?,
        Node::Loop(comprehension) => of_loop(comprehension, locals)?,
    })
}

/// The kind that a part has whatever is below, once that has been looked at.
fn look_into(below: &[&Node], locals: &mut Vec<Kind>, is: Kind) -> Result<Kind, Invalid> {
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

/// What is gathered has the kind that it begins with, if each turn leaves it that; of the items nothing is known.
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
