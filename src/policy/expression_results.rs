//! Which expressions of a policy give a boolean, and which something else. Pure.
//!
//! An expression that never gives a boolean is a mistake in the policy. One that fails only for some identities isn't: people
//! change their traits, and may not change a policy's condition by that.

use super::desired::Desired;
use crate::rules::Problem;

/// An expression of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that selects identities.
    Selection,
    /// A rule's, by its index.
    Rule(usize),
}

/// The results of expressions so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpressionResults {
    /// Those that gave a boolean.
    told: u32,
    /// Those that gave something else.
    odd: u32,
}

impl Which {
    fn bit(self) -> u32 {
        let key = match self {
            Self::Selection => Some(0),
            Self::Rule(at) => u32::try_from(at).ok().and_then(|at| at.checked_add(1)),
        };
        key.and_then(|key| 1_u32.checked_shl(key)).unwrap_or_default()
    }
}

impl ExpressionResults {
    /// Adds the result of an expression.
    pub fn note(&mut self, which: Which, gave: Result<bool, Problem>) {
        match gave {
            Ok(_) => self.told |= which.bit(),
            Err(Problem::NotBool) => self.odd |= which.bit(),
            Err(Problem::Failed | Problem::Exhausted) => {}
        }
    }

    /// Adds results that were gathered elsewhere.
    pub fn add(&mut self, other: Self) {
        self.told |= other.told;
        self.odd |= other.odd;
    }

    /// The expressions that gave something else, and never a boolean; named for a message.
    pub fn never_boolean(self, desired: &Desired) -> Vec<String> {
        let never = |which: Which| self.odd & !self.told & which.bit() != 0;
        let selection = never(Which::Selection).then(|| "spec.identities.expression".to_owned());
        let rules = desired.rules.iter().enumerate().filter(|(at, _)| never(Which::Rule(*at)));
        selection.into_iter().chain(rules.map(|(_, rule)| format!("the expression of rule {}", rule.name))).collect()
    }
}
