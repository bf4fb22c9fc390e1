//! The events of a plan that is carried out: a reason for each action and for each change that matters to people; for all other
//! changes the paths, never a value. Pure.

use super::actions::ActionName;
use super::plan::{PASSWORD, Plan, Present, STATE, Step};
use crate::api::recorded_event::RecordedEvent;
use crate::api::words::{listed, shown};
use crate::kratos::State;

/// How much of a path is shown, and how much of all of them, in characters.
const PATH: usize = 100;
const PATHS: usize = 400;

/// What an identity that is there differed by from how it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It was gone.
    Gone,
    /// Somebody changed what the manifest owns, in these places.
    Changed(Vec<String>),
}

/// What a plan does to an identity that isn't there.
pub fn of_creation(drift: Option<&Drift>) -> RecordedEvent {
    match drift {
        Some(_) => RecordedEvent::normal(
            "DriftCorrected",
            "Correct",
            "the identity was gone from Kratos; it was created again",
        ),
        None => RecordedEvent::normal("IdentityCreated", "Create", "the identity was created in Kratos"),
    }
}

/// What a plan does to one that is. `taken_from`: the resource whose it was.
pub fn of_change(
    plan: &Plan,
    present: &Present,
    drift: Option<&Drift>,
    taken_from: Option<&str>,
) -> Vec<RecordedEvent> {
    let has = |is: fn(&Step) -> bool| plan.steps.iter().any(is);
    let changes = |path: &str| plan.changes.iter().any(|change| change == path);
    let mut ends_sessions = has(|step| matches!(step, Step::EndSessions { .. }));
    let mut told = Vec::new();
    told.extend(taken_from.map(|name| {
        let note = format!("the identity of KratosIdentity {name} was taken over, as spec.replaces says");
        RecordedEvent::normal("IdentityTakenOver", "Replace", note)
    }));
    let is_adopted = has(|step| matches!(step, Step::ConfirmMark { .. }));
    let is_restored = present.mark.as_ref().is_some_and(|mark| mark.delete_after.is_some());
    let is_deactivated = changes(STATE) && present.identity.state == State::Active;
    if is_restored || is_deactivated {
        // They say so themselves.
        ends_sessions = false;
    }
    if is_adopted {
        let note =
            "an identity that was in Kratos already was taken over; what the manifest doesn't name stays as it was";
        told.push(RecordedEvent::normal("IdentityAdopted", "Adopt", with_sessions(note, &mut ends_sessions)));
    }
    if let Some(Drift::Changed(paths)) = drift {
        let note = format!(
            "{} field(s) had been changed in Kratos, and are as the manifest says again: {}",
            paths.len(),
            listed_paths(paths)
        );
        told.push(RecordedEvent::normal("DriftCorrected", "Correct", with_sessions(&note, &mut ends_sessions)));
    }
    if is_restored {
        let note = "the resource was applied again within its grace period: the identity isn't deleted; its former sessions \
                    are ended";
        told.push(RecordedEvent::normal("IdentityRestored", "Change", note));
    }
    if is_deactivated {
        let note = "the identity was deactivated in Kratos, and its sessions were ended";
        told.push(RecordedEvent::normal("IdentityDeactivated", "Change", note));
    } else if changes(STATE) && !is_restored {
        told.push(RecordedEvent::normal("IdentityActivated", "Change", "the identity was activated in Kratos"));
    }
    let sends = changes(PASSWORD) && has(|step| matches!(step, Step::Update { .. }));
    if sends && !plan.actions.contains(&ActionName::SetPassword) {
        let note =
            with_sessions("the password was changed in Kratos, as spec.credentials.password says", &mut ends_sessions);
        told.push(RecordedEvent::normal("PasswordChanged", "Change", note));
    }
    told.extend(plan.actions.iter().map(|action| of_action(*action, &mut ends_sessions)));
    let rest: Vec<_> = plan.changes.iter().filter(|path| *path != STATE && *path != PASSWORD).cloned().collect();
    if drift.is_none() && !is_adopted && !rest.is_empty() {
        let note = format!("{} field(s) of the identity were changed in Kratos: {}", rest.len(), listed_paths(&rest));
        told.push(RecordedEvent::normal("IdentityChanged", "Change", with_sessions(&note, &mut ends_sessions)));
    }
    if ends_sessions {
        let note = "the identity's sessions were ended, which an earlier attempt had left undone";
        told.push(RecordedEvent::normal("SessionsEnded", "Act", note));
    }
    if told.is_empty() && has(writes) {
        told.push(RecordedEvent::normal(
            "IdentityChanged",
            "Change",
            "the operator's mark in metadata_admin was written; nothing else of the identity changed",
        ));
    }
    told
}

/// What an action has done.
pub fn of_action(action: ActionName, ends_sessions: &mut bool) -> RecordedEvent {
    match action {
        ActionName::RevokeSessions => {
            let note = "the sessions that began before this were ended, as actions.revokeSessions asks";
            RecordedEvent::normal("SessionsEnded", "Act", note)
        }
        ActionName::ResetSecondFactors => {
            *ends_sessions = false;
            let note = "second factors were removed and the sessions ended, as actions.resetSecondFactors asks";
            RecordedEvent::normal("SecondFactorsReset", "Act", note)
        }
        ActionName::SetPassword => {
            let note = "spec.credentials.password was sent to Kratos, as actions.setPassword asks";
            RecordedEvent::normal("PasswordSent", "Act", with_sessions(note, ends_sessions))
        }
        ActionName::Rewrite => {
            let note = "the identity was written again as it is, as actions.rewrite asks";
            RecordedEvent::normal("IdentityRewritten", "Act", note)
        }
    }
}

/// A note that says, too, that the sessions were ended, if that wasn't said yet.
fn with_sessions(note: &str, ends_sessions: &mut bool) -> String {
    if std::mem::take(ends_sessions) { format!("{note}; its sessions were ended") } else { note.to_owned() }
}

/// As many of these places as may be shown.
pub fn listed_paths(paths: &[String]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| shown(path, PATH)).collect();
    listed(&paths, PATHS)
}

fn writes(step: &Step) -> bool {
    matches!(
        step,
        Step::Patch { .. } | Step::Update { .. } | Step::VerifyAddresses { .. } | Step::DeleteCredential { .. }
    )
}
