//! What an evaluation may cost. Pure.

use super::fault::Problem;

/// Work that may be done: a step of the evaluation, or sixteen bytes that are looked at or copied, take one of it.
#[derive(Debug)]
pub struct Budget(usize);

impl Budget {
    pub const fn new(steps: usize) -> Self {
        Self(steps)
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Problem> {
        let rest = self.0.checked_sub(steps);
        self.0 = rest.unwrap_or_default();
        rest.map(|_| ()).ok_or(Problem::Exhausted)
    }

    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Problem> {
        self.spend(bytes / 16)
    }
}
