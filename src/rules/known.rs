//! What is known of the variables that an expression is asked about: which fields they can have. A field that none has is a
//! word that was misspelt, and refused beforehand. Pure.

use super::Invalid;
use super::node::{Constant, Loop, Node, Operator};
use crate::api::words::shown;

/// How much of a path is shown, in characters.
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
    /// It is a text, a number or a truth, and has no fields.
    Plain,
    /// It has these fields, if it is there, and no others.
    Fields(&'static [(&'static str, Known)]),
    /// It is a list of such.
    List(&'static Known),
}

/// What a part of an expression gives, and how it is called.
#[derive(Clone)]
struct Seen {
    known: &'static Known,
    path: String,
}

const ANYTHING: &Known = &Known::Any;

/// Refuses an expression that looks at a field which a variable can't have.
pub(super) fn ensure_fields(root: &Node, variables: &'static [Variable]) -> Result<(), Invalid> {
    Looker { variables, locals: Vec::new() }.see(root).map(drop)
}

struct Looker {
    variables: &'static [Variable],
    locals: Vec<Seen>,
}

impl Looker {
    fn see(&mut self, node: &Node) -> Result<Seen, Invalid> {
        Ok(match node {
            Node::Constant(_) => anything(),
            Node::Variable(at) => self
                .variables
                .get(*at)
                .map_or_else(anything, |variable| Seen { known: &variable.known, path: variable.name.to_owned() }),
            Node::Local(at) => self.locals.get(*at).cloned().unwrap_or_else(anything),
            Node::Select { of, field } | Node::Has { of, field } => self.see(of)?.field(field)?,
            Node::Binary(Operator::Index, of, at) => {
                let (of, _) = (self.see(of)?, self.see(at)?);
                match &**at {
                    Node::Constant(Constant::Text(field)) => of.field(field)?,
                    _ => of.item(),
                }
            }
            Node::Not(of) | Node::MayHold(of) | Node::Negate(of) | Node::Matches(of, _) => self.see_all([&**of])?,
            Node::And(one, two) | Node::Or(one, two) | Node::Binary(_, one, two) => self.see_all([&**one, &**two])?,
            Node::If(condition, then, otherwise) => self.see_all([&**condition, &**then, &**otherwise])?,
            Node::List(nodes) | Node::Call(_, nodes) => self.see_all(nodes)?,
            Node::Loop(comprehension) => {
                let Loop { range, start, condition, step, result } = &**comprehension;
                let item = self.see(range)?.item();
                self.see(start)?;
                let depth = self.locals.len();
                self.locals.extend([anything(), item]);
                let seen = self.see_all([condition, step, result]);
                self.locals.truncate(depth);
                seen?
            }
        })
    }

    /// Of what is made of several nothing is known.
    fn see_all<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Node>) -> Result<Seen, Invalid> {
        for node in nodes {
            self.see(node)?;
        }
        Ok(anything())
    }
}

impl Seen {
    fn field(self, field: &str) -> Result<Self, Invalid> {
        let path = format!("{}.{field}", self.path);
        let known = match self.known {
            Known::Any => Some(ANYTHING),
            Known::Fields(fields) => fields.iter().find(|(name, _)| *name == field).map(|(_, known)| known),
            Known::Plain | Known::List(_) => None,
        };
        let known = known.ok_or_else(|| Invalid::UnknownField(shown(&path, PATH)))?;
        Ok(Self { known, path })
    }

    /// What is met in going through it, or at a place of it that is computed.
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
