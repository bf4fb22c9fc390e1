//! Parses an expression, within the limits and on a stack that is big enough for them. Pure.

use cel::{ParseErrors, Program};

use super::fault::{Invalid, Position};
use super::known::Variable;
use super::limits::{MAX_BRACKETS, MAX_LENGTH};
use super::node::Node;
use super::{convert, kind, known};

/// The parser and the tree that it makes are recursive: a chain of 4096 bytes takes less than half of this, unoptimised.
const STACK: usize = 256 * 1024 * 1024;

/// Parses. The tree leaves the thread with the big stack only if it is within all limits.
pub(super) fn parse(text: &str, variables: &'static [Variable]) -> Result<Node, Invalid> {
    if text.len() > MAX_LENGTH {
        return Err(Invalid::TooLong);
    }
    if brackets(text) > MAX_BRACKETS {
        return Err(Invalid::TooDeep);
    }
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("rule".into()).stack_size(STACK);
        let parsed = parser.spawn_scoped(scope, || {
            let program = Program::compile(text).map_err(|errors| Invalid::Syntax(position(&errors)))?;
            let root = convert::convert(program.expression(), variables)?;
            known::ensure_fields(&root, variables)?;
            kind::ensure_bool(&root)?;
            Ok(root)
        });
        // A panic of the parser means that it can't parse this.
        let unreadable = Invalid::Syntax(Position::default());
        parsed.map_err(|_| unreadable.clone())?.join().unwrap_or(Err(unreadable))
    })
}

/// Where the parser failed first. Its message quotes the expression, and isn't passed on.
fn position(errors: &ParseErrors) -> Position {
    let found = errors.errors.iter().filter_map(|error| {
        let (line, column) = (usize::try_from(error.pos.0).ok()?, usize::try_from(error.pos.1).ok()?);
        (line > 0 && column > 0).then_some((line, column))
    });
    Position(found.min())
}

/// How deep brackets are nested. Those in strings count too: nobody needs so many there.
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
