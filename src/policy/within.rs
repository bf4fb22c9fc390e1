//! Which identities are within a policy's reach, and which of them the instance's rules don't admit (any more). Pure.

use uuid::Uuid;

/// Identities by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// Sorted, each once.
    ids: Vec<Uuid>,
    /// Those among them that the instance's rules don't admit; sorted.
    outside: Vec<Uuid>,
    /// Those among them that the rules couldn't be asked about; sorted.
    untold: Vec<Uuid>,
}

/// How an identity within reach stands to the instance's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Admitted,
    /// Its traits are none of the policy's business: no expression looks at it.
    Outside,
    /// It can't be read, or asking the rules failed: nor does one, and what would have to counts as failed.
    Untold,
}

impl Within {
    /// Of what is within reach.
    pub fn new(each: impl IntoIterator<Item = (Uuid, Standing)>) -> Self {
        let (mut ids, mut outside, mut untold) = (Vec::new(), Vec::new(), Vec::new());
        for (id, standing) in each {
            ids.push(id);
            match standing {
                Standing::Admitted => {}
                Standing::Outside => outside.push(id),
                Standing::Untold => untold.push(id),
            }
        }
        for sorted in [&mut ids, &mut outside, &mut untold] {
            sorted.sort_unstable();
            sorted.dedup();
        }
        Self { ids, outside, untold }
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
        Some(if self.untold.binary_search(&identity).is_ok() {
            Standing::Untold
        } else if self.outside.binary_search(&identity).is_ok() {
            Standing::Outside
        } else {
            Standing::Admitted
        })
    }
}
