//! Which fields the variables of an expression can have. An expression that reads any other field is misspelt, and refused,
//! unless it checks with `has()` whether the field exists. Pure.

use std::collections::HashSet;

use super::fault::Invalid;
use super::node::{Constant, Loop, Node, Operator};
use crate::api::words::shown;

/// The longest shown form of a path, in characters.
const PATH: usize = 60;

/// A variable of an expression.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    pub known: Known,
}

/// What is known of a value.
#[derive(Debug)]
pub enum Known {
    /// Nothing: people shape it.
    Any,
    /// A text, number or boolean, without fields.
    Plain,
    /// An object with these fields only; it may be absent.
    Fields(&'static [(&'static str, Known)]),
    /// A list of such values.
    List(&'static Known),
}

/// What is known of a part's value, and its path.
#[derive(Clone)]
struct Seen {
    known: &'static Known,
    path: String,
}

const ANYTHING: &Known = &Known::Any;

/// Refuses an expression that reads a field which a variable can't have. `has()` doesn't read a field, and a field that `has()`
/// checks anywhere in the expression may be read.
pub(super) fn ensure_fields(root: &Node, variables: &'static [Variable]) -> Result<(), Invalid> {
    let mut reader = Reader { variables, locals: Vec::new(), asked_for: HashSet::new(), unknown: Vec::new() };
    reader.see(root);
    let Reader { asked_for, unknown, .. } = reader;
    match unknown.into_iter().find(|path| !asked_for.contains(path)) {
        Some(path) => Err(Invalid::UnknownField(shown(&path, PATH))),
        None => Ok(()),
    }
}

struct Reader {
    variables: &'static [Variable],
    locals: Vec<Seen>,
    /// The paths that the expression checks with `has()`.
    asked_for: HashSet<String>,
    /// The paths that it reads and that can't exist, in order.
    unknown: Vec<String>,
}

impl Reader {
    fn see(&mut self, node: &Node) -> Seen {
        match node {
            Node::Constant(_) => anything(),
            Node::Variable(at) => self
                .variables
                .get(*at)
                .map_or_else(anything, |variable| Seen { known: &variable.known, path: variable.name.to_owned() }),
            Node::Local(at) => self.locals.get(*at).cloned().unwrap_or_else(anything),
            Node::Select { of, field } => {
                let of = self.see(of);
                self.field(&of, field)
            }
            Node::Has { of, field } => {
                let asked_for = self.see(of).below(field);
                self.asked_for.insert(asked_for);
                anything()
            }
            Node::Binary(Operator::Index, of, at) => {
                let (of, _) = (self.see(of), self.see(at));
                match &**at {
                    Node::Constant(Constant::Text(field)) => self.field(&of, field),
                    _ => of.item(),
                }
            }
            Node::Not(of) | Node::MayHold(of) | Node::Negate(of) | Node::Matches(of, _) => self.see_all([&**of]),
            Node::And(one, two) | Node::Or(one, two) | Node::Binary(_, one, two) => self.see_all([&**one, &**two]),
            Node::If(condition, then, otherwise) => self.see_all([&**condition, &**then, &**otherwise]),
            Node::List(nodes) | Node::Call(_, nodes) => self.see_all(nodes),
            Node::Loop(comprehension) => {
                let Loop { range, start, condition, step, result } = &**comprehension;
                let item = self.see(range).item();
                self.see(start);
                let depth = self.locals.len();
                self.locals.extend([anything(), item]);
                let seen = self.see_all([condition, step, result]);
                self.locals.truncate(depth);
                seen
            }
        }
    }

    /// Of a value that is computed from several, nothing is known.
    fn see_all<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Node>) -> Seen {
        for node in nodes {
            self.see(node);
        }
        anything()
    }

    /// What is known of a field that is read.
    fn field(&mut self, of: &Seen, field: &str) -> Seen {
        let path = of.below(field);
        let known = match of.known {
            Known::Any => Some(ANYTHING),
            Known::Fields(fields) => fields.iter().find(|(name, _)| *name == field).map(|(_, known)| known),
            Known::Plain | Known::List(_) => None,
        };
        if known.is_none() {
            self.unknown.push(path.clone());
        }
        Seen { known: known.unwrap_or(ANYTHING), path }
    }
}

impl Seen {
    fn below(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    /// What is known of an item, in an iteration or at a computed index.
    fn item(self) -> Self {
        match self.known {
            Known::List(item) => Self { known: item, path: format!("{}[]", self.path) },
            Known::Any | Known::Plain | Known::Fields(_) => anything(),
        }
    }
}

fn anything() -> Seen {
    Seen { known: ANYTHING, path: String::new() }
}
