//! The plan for a resource that is being deleted. Pure.

use super::{STATE, Step};
use crate::api::lifecycle::DeletionPolicy;
use crate::kratos::{Identity, PatchOperation, State};

/// The steps for a resource that is being deleted, for each identity whose mark names it.
pub fn plan_deletion(policy: DeletionPolicy, identities: &[Identity]) -> Vec<Step> {
    let steps = identities.iter().map(|identity| {
        let id = identity.id.clone();
        match policy {
            DeletionPolicy::Orphan => Vec::new(),
            DeletionPolicy::Delete => vec![Step::Delete { id }],
            DeletionPolicy::Deactivate => {
                let mut steps = Vec::new();
                if identity.state == State::Active {
                    let value = State::Inactive.as_str().into();
                    let operation = PatchOperation::Replace { path: STATE.into(), value };
                    steps.push(Step::Patch { id: id.clone(), operations: vec![operation] });
                }
                steps.push(Step::EndSessions { id: id.clone() });
                steps.push(Step::ConfirmInactive { id });
                steps
            }
        }
    });
    steps.flatten().collect()
}
