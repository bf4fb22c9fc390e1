//! The message of Ready after a reconcile that reached its end: Kratos is as the manifest says, or what would be done. Pure.
//!
//! Outside the instance's namespace it reveals nothing of an identity that isn't the resource's own yet.

use super::desired::Desired;
use super::plan::{Observed, Present};
use super::status::Observation;
use super::validity::Phase;
use crate::api::{ReadyCondition, Reason};
use crate::kratos::State;

/// What mode Observe would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedChange {
    Create,
    /// What `spec.adoption` names, if that is there and may be taken.
    Adopt,
    /// This identity, beside the instance.
    TakeOver(String),
    /// That of this resource of the same namespace, if it has one.
    Replace(String),
    /// So many fields.
    Change(usize),
}

impl PlannedChange {
    /// `drift`: how many fields of the identity would change. `replaces`: the resource that this one would replace.
    pub fn of(observed: &Observed, desired: &Desired, replaces: Option<&str>, drift: usize) -> Self {
        match observed {
            Observed::Present(present) if present.is_adoption() => Self::TakeOver(id(present)),
            Observed::Present(_) => Self::Change(drift),
            Observed::Absent if desired.adoption.is_some() => Self::Adopt,
            Observed::Absent => replaces.map_or(Self::Create, |name| Self::Replace(name.to_owned())),
        }
    }

    /// What Ready says of it.
    pub fn condition(&self) -> ReadyCondition {
        let would = match self {
            Self::Create => "the identity would be created".to_owned(),
            Self::Adopt => "an identity would be taken over as spec.adoption says, if that may be".to_owned(),
            Self::TakeOver(id) => format!("identity {id} would be taken over"),
            Self::Replace(name) => {
                format!("the identity of KratosIdentity {name} would be taken over, or one created if it has none")
            }
            Self::Change(0) => "nothing would change".to_owned(),
            Self::Change(count) => format!("{count} field(s) would change, see status.drift"),
        };
        ReadyCondition::new(Reason::Observed, format!("{would}; mode Observe changes nothing"))
    }
}

fn id(present: &Present) -> String {
    present.identity.id.clone()
}

/// What Ready says where the manifest was carried out.
pub fn reconciled(desired: &Desired, seen: &Observation) -> ReadyCondition {
    let is_inactive = matches!(seen, Observation::Present { identity, .. } if desired.state.is_none() && identity.state == State::Inactive);
    let nobodys = || "spec.state is omitted, so the operator leaves the state as it is: Inactive".to_owned();
    let remark = desired.phase.and_then(Phase::message).or_else(|| is_inactive.then(nobodys));
    let remark = remark.map(|remark| format!("; {remark}")).unwrap_or_default();
    ReadyCondition::new(Reason::Reconciled, format!("Kratos holds what the manifest says{remark}"))
}
