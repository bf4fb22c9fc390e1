//! How long, deep and wide an expression may be.

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
