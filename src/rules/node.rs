//! An expression as it is evaluated: names resolved, regular expressions compiled. Pure.

use regex::Regex;

#[derive(Debug)]
pub(super) enum Node {
    Constant(Constant),
    /// By its index among the variables.
    Variable(usize),
    /// By its index among the locals of the comprehensions around it.
    Local(usize),
    Select {
        of: Box<Node>,
        field: String,
    },
    Has {
        of: Box<Node>,
        field: String,
    },
    List(Vec<Node>),
    Not(Box<Node>),
    /// Not certainly false: the condition on which a comprehension continues.
    MayHold(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Box<Regex>),
    Loop(Box<Loop>),
}

#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equals,
    Differs,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Split,
    String,
    Int,
    Double,
    Timestamp,
    Duration,
}

/// A comprehension. Its accumulator and its item are the next two locals.
#[derive(Debug)]
pub(super) struct Loop {
    pub range: Node,
    pub start: Node,
    pub condition: Node,
    pub step: Node,
    pub result: Node,
}
