//! Actions, each done once per token: which are pending, and what mark and status say of them. Pure.
//!
//! The intent is written into the mark before the action, and its end after it. The mark alone decides. A process that dies in
//! between leaves the intent, and the next one continues with it. The mark keeps the token after it left the manifest, so the
//! same token, brought back, doesn't repeat the action.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::mark::{ActionMark, Mark};
use crate::api::credentials::SecondFactor;
use crate::api::lifecycle::{ActionStatus, ActionStatuses, Actions, ResetSecondFactors};
use crate::kratos::CredentialType;

/// The actions, in the order in which they are done: what was logged in with goes before the sessions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionName {
    ResetSecondFactors,
    SetPassword,
    Rewrite,
    RevokeSessions,
}

impl ActionName {
    /// As the manifest and the mark name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetSecondFactors => "resetSecondFactors",
            Self::SetPassword => "setPassword",
            Self::Rewrite => "rewrite",
            Self::RevokeSessions => "revokeSessions",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionSpec {
    /// Deletes these second factors, then ends all sessions.
    ResetSecondFactors(Vec<CredentialType>),
    /// Sends the password although nothing changed.
    SetPassword,
    /// Writes the identity again as it is.
    Rewrite,
    /// Ends the sessions that began before the action did.
    RevokeSessions,
}

impl ActionSpec {
    pub const fn name(&self) -> ActionName {
        match self {
            Self::ResetSecondFactors(_) => ActionName::ResetSecondFactors,
            Self::SetPassword => ActionName::SetPassword,
            Self::Rewrite => ActionName::Rewrite,
            Self::RevokeSessions => ActionName::RevokeSessions,
        }
    }
}

/// An action that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub doing: ActionSpec,
    pub token: String,
}

/// An action that isn't done yet: not begun, or begun and perhaps done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending<'a> {
    pub wanted: &'a Wanted,
    /// When it was begun, by the clock of the process that did.
    pub started_at: Timestamp,
}

/// The actions that a manifest names, in the order in which they are done.
pub fn wanted(actions: &Actions) -> Vec<Wanted> {
    // A recovery has a life of its own: see `recovery`.
    let Actions { revoke_sessions, reset_second_factors, set_password, recovery: _, rewrite } = actions;
    let reset = reset_second_factors.as_ref().map(|reset| Wanted {
        doing: ActionSpec::ResetSecondFactors(second_factors(reset)),
        token: reset.token.clone(),
    });
    let revoke = revoke_sessions
        .as_ref()
        .map(|revoke| Wanted { doing: ActionSpec::RevokeSessions, token: revoke.token.clone() });
    let set = set_password.as_ref().map(|set| Wanted { doing: ActionSpec::SetPassword, token: set.token.clone() });
    let rewrite = rewrite.as_ref().map(|rewrite| Wanted { doing: ActionSpec::Rewrite, token: rewrite.token.clone() });
    reset.into_iter().chain(set).chain(rewrite).chain(revoke).collect()
}

fn second_factors(reset: &ResetSecondFactors) -> Vec<CredentialType> {
    const ALL: [SecondFactor; 3] = [SecondFactor::Totp, SecondFactor::LookupSecret, SecondFactor::WebAuthn];
    let kinds = if reset.types.is_empty() { &ALL[..] } else { &reset.types };
    let second_factor = |kind: &SecondFactor| match kind {
        SecondFactor::Totp => CredentialType::Totp,
        SecondFactor::LookupSecret => CredentialType::LookupSecret,
        SecondFactor::WebAuthn => CredentialType::Webauthn,
    };
    kinds.iter().map(second_factor).collect()
}

/// Those that aren't done yet. One that was begun keeps the time at which it was.
pub fn pending<'a>(wanted: &'a [Wanted], mark: Option<&Mark>, now: Timestamp) -> Vec<Pending<'a>> {
    let pending = wanted.iter().filter_map(|wanted| {
        let noted = mark.and_then(|mark| mark.actions.get(wanted.doing.name().as_str()));
        match noted.filter(|noted| noted.token == wanted.token) {
            Some(ActionMark { completed_at: Some(_), .. }) => None,
            Some(begun) => Some(Pending { wanted, started_at: begun.started_at.0 }),
            None => Some(Pending { wanted, started_at: whole_second(now) }),
        }
    });
    pending.collect()
}

/// Notes in the mark that an action is begun; one that is begun already stays as it is.
pub fn begin(mark: &mut Mark, pending: &Pending<'_>) {
    let begun =
        ActionMark { token: pending.wanted.token.clone(), started_at: Time(pending.started_at), completed_at: None };
    mark.actions.insert(pending.wanted.doing.name().as_str().to_owned(), begun);
}

/// Notes in the mark that an action was done.
pub fn complete(mark: &mut Mark, name: ActionName, now: Timestamp) {
    if let Some(begun) = mark.actions.get_mut(name.as_str()) {
        begun.completed_at = Some(Time(whole_second(now)));
    }
}

/// The marks of a new identity: there is nothing to be done on it, whatever tokens its manifest names.
pub fn at_creation(wanted: &[Wanted], now: Timestamp) -> BTreeMap<String, ActionMark> {
    let at = Time(whole_second(now));
    let done = wanted.iter().map(|wanted| {
        let mark = ActionMark { token: wanted.token.clone(), started_at: at.clone(), completed_at: Some(at.clone()) };
        (wanted.doing.name().as_str().to_owned(), mark)
    });
    done.collect()
}

/// What a status says was done, as marks: where a mark is restored, so that its actions aren't done again.
pub fn from_status(statuses: &ActionStatuses) -> BTreeMap<String, ActionMark> {
    let ActionStatuses { revoke_sessions, reset_second_factors, set_password, recovery: _, rewrite } = statuses;
    let all = [
        (ActionName::RevokeSessions, revoke_sessions),
        (ActionName::ResetSecondFactors, reset_second_factors),
        (ActionName::SetPassword, set_password),
        (ActionName::Rewrite, rewrite),
    ];
    let done = all.into_iter().filter_map(|(name, status)| {
        let ActionStatus { token, completed_at, message: _ } = status.as_ref()?;
        let completed_at = completed_at.clone()?;
        let mark =
            ActionMark { token: token.clone()?, started_at: completed_at.clone(), completed_at: Some(completed_at) };
        Some((name.as_str().to_owned(), mark))
    });
    done.collect()
}

/// What a status shows of the marks, and of the recovery.
pub fn statuses(marks: &BTreeMap<String, ActionMark>, recovery: Option<ActionStatus>) -> Option<ActionStatuses> {
    let status = |name: ActionName| {
        marks.get(name.as_str()).map(|mark| ActionStatus {
            token: Some(mark.token.clone()),
            completed_at: mark.completed_at.clone(),
            message: Some(message(name, mark)),
        })
    };
    let statuses = ActionStatuses {
        revoke_sessions: status(ActionName::RevokeSessions),
        reset_second_factors: status(ActionName::ResetSecondFactors),
        set_password: status(ActionName::SetPassword),
        recovery,
        rewrite: status(ActionName::Rewrite),
    };
    (statuses != ActionStatuses::default()).then_some(statuses)
}

/// True of a new identity too, on which nothing had to be done.
fn message(name: ActionName, mark: &ActionMark) -> String {
    let started_at = mark.started_at.0;
    if mark.completed_at.is_none() {
        return format!("begun at {started_at}, not known to be done; the operator goes on with it");
    }
    match name {
        ActionName::RevokeSessions => format!("no session is left that began before {started_at}"),
        ActionName::ResetSecondFactors => {
            format!("the second factors are removed, and no session is left that began before {started_at}")
        }
        ActionName::SetPassword => "the password was sent".to_owned(),
        ActionName::Rewrite => format!("the identity was written again after {started_at}"),
    }
}

/// The end of the second: marks keep whole seconds, and a session of the second in which an action begins is ended
/// rather than spared.
fn whole_second(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(at)
}
