//! What an evaluation may cost. Pure.

use super::fault::Problem;

/// How much work is left: each step of the evaluation costs one, and so does reading or copying sixteen bytes.
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
