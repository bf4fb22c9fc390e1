//! Which fields an expression reads, so that nothing else is fetched. Pure.

use super::node::Node;

/// Whether a node, or one below, may read a variable's field (`None`: the variable at all). A variable that is used as a whole
/// counts as read in all fields.
pub(super) fn looks_at(node: &Node, variable: usize, field: Option<&str>) -> bool {
    let below = |nodes: &[&Node]| nodes.iter().any(|node| looks_at(node, variable, field));
    match node {
        Node::Constant(_) | Node::Local(_) => false,
        Node::Variable(at) => *at == variable,
        Node::Select { of, field: selected } | Node::Has { of, field: selected } => match (&**of, field) {
            (Node::Variable(at), Some(field)) => *at == variable && selected == field,
            (of, _) => looks_at(of, variable, field),
        },
        Node::Not(of) | Node::MayHold(of) | Node::Negate(of) | Node::Matches(of, _) => below(&[of]),
        Node::And(one, two) | Node::Or(one, two) | Node::Binary(_, one, two) => below(&[one, two]),
        Node::If(condition, then, otherwise) => below(&[condition, then, otherwise]),
        Node::List(nodes) | Node::Call(_, nodes) => nodes.iter().any(|node| looks_at(node, variable, field)),
        Node::Loop(comprehension) => {
            let turn = &**comprehension;
            below(&[&turn.range, &turn.start, &turn.condition, &turn.step, &turn.result])
        }
    }
}
