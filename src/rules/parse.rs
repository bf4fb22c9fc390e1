//! From text to an expression: the limits, and a stack that is big enough for what they let through. Pure.

use cel::Program;

use super::node::Node;
use super::{Invalid, MAX_BRACKETS, MAX_LENGTH, convert, kind};

/// The parser and the tree that it makes are recursive: a chain of 4096 bytes takes less than half of this, unoptimised.
const STACK: usize = 256 * 1024 * 1024;

/// Parses. Only what passed every limit leaves the thread with the big stack.
pub(super) fn parse(text: &str, variables: &'static [&'static str]) -> Result<Node, Invalid> {
    if text.len() > MAX_LENGTH {
        return Err(Invalid::TooLong);
    }
    if brackets(text) > MAX_BRACKETS {
        return Err(Invalid::TooDeep);
    }
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("rule".into()).stack_size(STACK);
        let parsed = parser.spawn_scoped(scope, || {
            let program = Program::compile(text).map_err(|_| Invalid::Syntax)?;
            let root = convert::convert(program.expression(), variables)?;
            kind::ensure_bool(&root)?;
            Ok(root)
        });
        // A panic of the parser says that it can't read this.
        parsed.map_err(|_| Invalid::Syntax)?.join().unwrap_or(Err(Invalid::Syntax))
    })
}

/// How deep brackets are nested, those in strings included: nobody needs so many of them there.
fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' | b'?' => depth += 1,
            b')' | b']' | b'}' | b':' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
