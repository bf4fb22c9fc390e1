//! How long, deep and wide an expression may be.

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// The most nodes, with macros expanded.
pub const MAX_NODES: usize = 2000;
/// The deepest nesting of nodes, with macros expanded.
pub const MAX_DEPTH: usize = 64;
/// The deepest nesting of brackets.
pub const MAX_BRACKETS: usize = 32;
/// The deepest nesting of comprehensions (`all`, `exists`, `map`, `filter`…).
pub const MAX_LOOPS: usize = 2;
