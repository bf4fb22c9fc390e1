//! Which identities are within a policy's reach, and which of them the instance's rules don't admit (any more). Pure.

use uuid::Uuid;

/// Identities by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Sorted, each once.
    ids: Vec<Uuid>,
    /// Those among them that the instance's rules don't admit; sorted.
    outside: Vec<Uuid>,
    /// Those among them that the rules couldn't be asked about; sorted.
    untold: Vec<Uuid>,
}

/// How an identity within reach stands to the instance's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    Admitted,
    /// Its traits are none of the policy's business: no expression looks at it.
    NotAdmitted,
    /// It can't be read, or asking the rules failed: nor does one, and what would have to counts as failed.
    Unknown,
}

impl Reachable {
    /// Of what is within reach.
    pub fn new(each: impl IntoIterator<Item = (Uuid, Reachability)>) -> Self {
        let (mut ids, mut outside, mut untold) = (Vec::new(), Vec::new(), Vec::new());
        for (id, reachability) in each {
            ids.push(id);
            match reachability {
                Reachability::Admitted => {}
                Reachability::NotAdmitted => outside.push(id),
                Reachability::Unknown => untold.push(id),
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
    pub fn reachability(&self, identity: Uuid) -> Option<Reachability> {
        self.ids.binary_search(&identity).ok()?;
        Some(if self.untold.binary_search(&identity).is_ok() {
            Reachability::Unknown
        } else if self.outside.binary_search(&identity).is_ok() {
            Reachability::NotAdmitted
        } else {
            Reachability::Admitted
        })
    }
}
