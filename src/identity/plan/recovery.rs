//! The plan for the recovery of an existing identity, after everything else was done. Pure.

use k8s_openapi::jiff::Timestamp;

use super::step::{Plan, RECOVERY, Step, mark_path};
use crate::identity::claim::Claimant;
use crate::identity::mark::Mark;
use crate::identity::recovery::{self, Issue, OwnSecret, Recovery, SecretObservation};
use crate::kratos::{Identity, PatchOperation, State};

/// Issues what is due, and takes away what may not stand any more: expired, of an inactive identity, not wanted (in that
/// Secret) any more. `seen`: what stands under the name that the manifest gives.
pub fn plan_recovery(
    claimant: &Claimant,
    wanted: Option<&Recovery>,
    (identity, mark): (&Identity, &Mark),
    seen: &SecretObservation,
    now: Timestamp,
) -> Plan {
    let id = identity.id.clone();
    let noted = mark.recovery.as_ref();
    let mut plan = Plan { owned_paths: mark.owned_paths.clone(), ..Plan::default() };
    let write = |mark: &Mark| {
        let operation = PatchOperation::Replace { path: mark_path(), value: mark.to_value() };
        Step::Patch { id: id.clone(), operations: vec![operation] }
    };
    // Its name is in the mark until it is gone.
    let former = noted.filter(|noted| wanted.is_none_or(|wanted| wanted.secret_name != noted.secret_name));
    let former = former.map(|former| Step::DeleteSecret(OwnSecret::of(claimant, &former.secret_name)));
    let Some(wanted) = wanted else {
        if let Some(former) = former {
            plan.steps = vec![former, write(&Mark { recovery: None, ..mark.clone() })];
            plan.changes.push(RECOVERY.to_owned());
        }
        return plan;
    };
    let secret = OwnSecret::of(claimant, &wanted.secret_name);
    if identity.state == State::Inactive {
        plan.steps.extend(former);
        plan.steps.extend(matches!(seen, SecretObservation::Ours(_)).then_some(Step::DeleteSecret(secret)));
        return plan;
    }
    if !wanted.is_due(noted) {
        let is_expired = noted.is_some_and(|noted| recovery::expired(noted, now).is_some());
        let is_there = matches!(seen, SecretObservation::Ours(_));
        plan.steps.extend((is_expired && is_there).then_some(Step::DeleteSecret(secret)));
        return plan;
    }
    let is_over = noted.is_some_and(|noted| recovery::expired(noted, now).is_some());
    let replaces = match seen {
        // Whatever comes of the new one: the old one isn't to stay.
        SecretObservation::Ours(_) if is_over => {
            plan.steps.push(Step::DeleteSecret(secret.clone()));
            None
        }
        SecretObservation::Ours(version) => Some(version.clone()),
        SecretObservation::Absent => None,
        SecretObservation::Foreign | SecretObservation::Hidden => return plan,
    };
    plan.steps.extend(former);
    let begun = Mark { recovery: Some(wanted.intent(noted, now)), ..mark.clone() };
    if begun.recovery.as_ref() != noted {
        plan.steps.push(write(&begun));
    }
    let Recovery { method, expires_in, secret_name: _, token: _ } = wanted;
    let issue =
        Issue { id: id.clone(), method: method.clone(), expires_in: *expires_in, secret, replaces, mark: begun };
    plan.steps.push(Step::IssueRecovery(Box::new(issue)));
    plan.changes.push(RECOVERY.to_owned());
    plan
}

/// The note that a recovery was issued.
pub fn note(issue: &Issue, expires_at: Timestamp, now: Timestamp) -> PatchOperation {
    PatchOperation::Replace { path: mark_path(), value: issue.noted(expires_at, now).to_value() }
}
