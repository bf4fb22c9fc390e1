//! Which identities are within a policy's reach, and which of them the instance's rules don't admit. Pure.

use uuid::Uuid;

/// The identities within reach, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Sorted, without duplicates.
    ids: Vec<Uuid>,
    /// Those that the instance's rules don't admit; sorted.
    outside: Vec<Uuid>,
    /// Those for which the rules couldn't be evaluated; sorted.
    untold: Vec<Uuid>,
}

/// What the instance's rules say of an identity within reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    Admitted,
    /// The policy may not know its traits: no expression reads it.
    NotAdmitted,
    /// It can't be read, or evaluating the rules failed. No expression reads it; rules that have one count as failed.
    Unknown,
}

impl Reachable {
    /// From the identities within reach.
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
