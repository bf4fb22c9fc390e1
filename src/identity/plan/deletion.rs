//! The plan for a resource that is being deleted. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::step::{STATE, Step, mark_path};
use crate::api::ReadyCondition;
use crate::api::lifecycle::DeletionPolicy;
use crate::identity::claim::Claimant;
use crate::identity::conflict::unmarkable;
use crate::identity::mark::{Found, Mark};
use crate::kratos::{Identity, PatchOperation, State};

/// How a resource leaves.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    pub claimant: &'a Claimant,
    pub policy: DeletionPolicy,
    /// With Delete: until when the identity can be brought back. `None`: it goes at once.
    pub delete_after: Option<Timestamp>,
    /// The mark that this process saw, should it have been wiped since.
    pub known: Option<&'a Mark>,
}

/// The steps for a resource that is being deleted, for each identity whose mark names it. Refused where a grace period
/// can't be noted.
pub fn plan_deletion(leaving: Leaving<'_>, identities: &[Identity]) -> Result<Vec<Step>, ReadyCondition> {
    let mut steps = Vec::new();
    for identity in identities {
        let id = identity.id.clone();
        match (leaving.policy, leaving.delete_after) {
            (DeletionPolicy::Orphan, _) => {}
            (DeletionPolicy::Delete, None) => steps.push(Step::Delete { id }),
            (DeletionPolicy::Delete, Some(at)) => deactivate(identity, noted(leaving, identity, at)?, &mut steps),
            (DeletionPolicy::Deactivate, _) => deactivate(identity, None, &mut steps),
        }
    }
    Ok(steps)
}

/// The steps that end a grace period of identities that are to stay: as they were before it.
pub fn plan_keeping(identities: &[Identity]) -> Vec<Step> {
    let mut steps = Vec::new();
    for identity in identities {
        let Found::Mark(mark) = Mark::read(&identity.metadata_admin) else { continue };
        if mark.delete_after.is_none() {
            continue;
        }
        let mut operations = Vec::new();
        if let Some(state) = mark.state_before.filter(|state| *state != identity.state) {
            operations.push(PatchOperation::Replace { path: STATE.into(), value: state.as_str().into() });
        }
        let mark = Mark { delete_after: None, state_before: None, ..*mark };
        operations.push(PatchOperation::Replace { path: mark_path(), value: mark.to_value() });
        steps.push(Step::EndSessions { id: identity.id.clone() });
        steps.push(Step::Patch { id: identity.id.clone(), operations });
    }
    steps
}

fn deactivate(identity: &Identity, note: Option<PatchOperation>, steps: &mut Vec<Step>) {
    let id = identity.id.clone();
    let mut operations = Vec::new();
    if identity.state == State::Active {
        operations.push(PatchOperation::Replace { path: STATE.into(), value: State::Inactive.as_str().into() });
    }
    operations.extend(note);
    if !operations.is_empty() {
        steps.push(Step::Patch { id: id.clone(), operations });
    }
    steps.push(Step::EndSessions { id: id.clone() });
    steps.push(Step::ConfirmInactive { id });
}

/// The mark with the end of the grace period in it. `None`: it stands there already, and stays.
fn noted(leaving: Leaving<'_>, identity: &Identity, at: Timestamp) -> Result<Option<PatchOperation>, ReadyCondition> {
    let mark = match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) if mark.delete_after.is_some() => return Ok(None),
        Found::Mark(mark) => *mark,
        Found::NoObject => return Err(unmarkable()),
        Found::Nothing | Found::Unreadable => {
            let owned_paths = leaving.known.map(|mark| mark.owned_paths.clone()).unwrap_or_default();
            leaving.claimant.mark(owned_paths, leaving.known)
        }
    };
    let mark = Mark { delete_after: Some(Time(at)), state_before: Some(identity.state), ..mark };
    Ok(Some(PatchOperation::Replace { path: mark_path(), value: mark.to_value() }))
}
