//! Which identities are within a policy's reach, and which of them the instance's rules don't admit (any more). Pure.

use uuid::Uuid;

/// Identities by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// Sorted, each once.
    ids: Vec<Uuid>,
    /// Those among them that the instance's rules don't admit; sorted.
    outside: Vec<Uuid>,
}

/// How an identity within reach stands to the instance's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Admitted,
    /// Its traits are none of the policy's business: no expression looks at it.
    Outside,
}

impl Within {
    pub fn new(admitted: Vec<Uuid>, mut outside: Vec<Uuid>) -> Self {
        let mut ids = admitted;
        ids.extend_from_slice(&outside);
        for sorted in [&mut ids, &mut outside] {
            sorted.sort_unstable();
            sorted.dedup();
        }
        Self { ids, outside }
    }

    pub fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    pub fn has_outside(&self) -> bool {
        !self.outside.is_empty()
    }

    /// `None`: it isn't within reach.
    pub fn standing(&self, identity: Uuid) -> Option<Standing> {
        self.ids.binary_search(&identity).ok()?;
        let is_outside = self.outside.binary_search(&identity).is_ok();
        Some(if is_outside { Standing::Outside } else { Standing::Admitted })
    }
}
