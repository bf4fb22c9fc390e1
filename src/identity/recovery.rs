//! A recovery: what a manifest asks for, what the mark knows of it, and how it stands. Pure.
//!
//! It is issued once, when the identity is active, into a Secret of our own; the mark tells that it was. What it is (link
//! and code) is in that Secret alone.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::claim::Claimant;
use super::mark::{Mark, RecoveryMark};
use crate::api::identity::{KratosIdentitySpec, KratosIdentityStatus};
use crate::api::lifecycle::ActionStatus;
use crate::api::recovery::{Recovery as Spec, RecoveryFlowType, RecoveryStatus, RecoveryType};
use crate::api::words::{self, NAME};
use crate::api::{ReadyCondition, Reason, condition};
use crate::base::namespaced_name;
use crate::kratos::State;

/// How long a recovery works where the manifest doesn't say.
const DEFAULT_EXPIRY: Duration = Duration::from_hours(1);

/// In which way a recovery is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryMethod {
    Link {
        /// Where the browser goes in the end.
        return_to: Option<String>,
    },
    Code {
        /// It is entered in an application that speaks to Kratos itself, not on Kratos' page.
        is_api: bool,
    },
}

impl RecoveryMethod {
    pub const fn kind(&self) -> RecoveryType {
        match self {
            Self::Link { .. } => RecoveryType::Link,
            Self::Code { .. } => RecoveryType::Code,
        }
    }
}

/// What a manifest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub method: RecoveryMethod,
    pub expires_in: Duration,
    pub secret_name: String,
    /// Another token asks for another recovery.
    pub token: Option<String>,
}

/// A Secret that the operator writes: where it is, and which resource it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSecret {
    pub namespace: String,
    pub name: String,
    /// The resource that controls it, by name and uid.
    pub owner: (String, String),
}

impl OwnSecret {
    pub fn of(claimant: &Claimant, name: &str) -> Self {
        Self {
            namespace: claimant.namespace.clone(),
            name: name.to_owned(),
            owner: (claimant.name.clone(), claimant.uid.clone()),
        }
    }
}

/// What stands under the name of such a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretObservation {
    Absent,
    /// The resource's own, as of this version.
    Ours(Version),
    /// Somebody else's: never touched.
    Foreign,
    /// The operator's account may not read it, or writes no Secrets.
    Hidden,
}

/// One version of an object, so that no other one is replaced or deleted in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub uid: String,
    pub resource_version: String,
}

/// One recovery that is to be issued and written into its Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// The identity.
    pub id: String,
    pub method: RecoveryMethod,
    pub expires_in: Duration,
    pub secret: OwnSecret,
    /// The version of the Secret that is replaced; `None`: there is none.
    pub replaces: Option<Version>,
    /// The mark, which says that it is begun.
    pub mark: Mark,
}

impl Issue {
    /// The note that it was issued.
    pub fn noted(&self, expires_at: Timestamp, now: Timestamp) -> Mark {
        let mut mark = self.mark.clone();
        if let Some(recovery) = &mut mark.recovery {
            recovery.issued_at = Some(Time(whole_second(now)));
            // Never later than Kratos has it.
            recovery.expires_at = Some(Time(whole_second(expires_at)));
        }
        mark
    }

    /// Until when it works, where Kratos doesn't say.
    pub fn expires_by(&self, now: Timestamp) -> Timestamp {
        SignedDuration::try_from(self.expires_in).ok().and_then(|time| now.checked_add(time).ok()).unwrap_or(now)
    }
}

/// How the recovery of an identity stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryState {
    /// The one that was issued last.
    pub status: Option<RecoveryStatus>,
    /// Whether it may be had from its Secret.
    pub is_issued: bool,
    pub condition: ReadyCondition,
}

/// Validates what a manifest says. `InvalidSpec` where its Secret can't be written.
pub fn parse<'a>(
    spec: &KratosIdentitySpec,
    mut read_secrets: impl Iterator<Item = &'a str>,
) -> Result<Option<Recovery>, ReadyCondition> {
    let Some(Spec { kind, expires_in, secret_name, flow_type, return_to }) = &spec.recovery else { return Ok(None) };
    let method = match (kind, flow_type, return_to) {
        (RecoveryType::Link, None, return_to) => RecoveryMethod::Link { return_to: return_to.clone() },
        (RecoveryType::Code, flow_type, None) => {
            RecoveryMethod::Code { is_api: *flow_type == Some(RecoveryFlowType::Api) }
        }
        (RecoveryType::Link, Some(_), _) | (RecoveryType::Code, _, Some(_)) => {
            let message = "recovery.flowType goes with type Code, and recovery.returnTo with type Link; remove it";
            return Err(ReadyCondition::new(Reason::InvalidSpec, message));
        }
    };
    if !namespaced_name::is_name(secret_name) {
        return Err(ReadyCondition::new(Reason::InvalidSpec, "recovery.secretName is no name of a Secret; correct it"));
    }
    if read_secrets.any(|name| name == secret_name) {
        let message = format!(
            "recovery.secretName names Secret {}, which the manifest reads from: it would be overwritten; name another one",
            words::shown(secret_name, NAME)
        );
        return Err(ReadyCondition::new(Reason::InvalidSpec, message));
    }
    let action = spec.actions.as_ref().and_then(|actions| actions.recovery.as_ref());
    Ok(Some(Recovery {
        method,
        expires_in: expires_in.map_or(DEFAULT_EXPIRY, Into::into),
        secret_name: secret_name.clone(),
        token: action.map(|action| action.token.clone()),
    }))
}

impl Recovery {
    /// Whether a mark is about this one: what was issued in another way, into another Secret or for another token is
    /// another one. A token that left the manifest asks for nothing.
    fn is_this(&self, noted: &RecoveryMark) -> bool {
        noted.kind.is_none_or(|kind| kind == self.method.kind())
            && noted.secret_name == self.secret_name
            && self.token.as_ref().is_none_or(|token| noted.token.as_ref() == Some(token))
    }

    /// Whether it is still to be issued, or may not have been.
    pub fn is_due(&self, noted: Option<&RecoveryMark>) -> bool {
        !noted.is_some_and(|noted| noted.issued_at.is_some() && self.is_this(noted))
    }

    /// What the mark says before it is issued. One that is begun stays as it is.
    pub fn intent(&self, noted: Option<&RecoveryMark>, now: Timestamp) -> RecoveryMark {
        match noted.filter(|noted| noted.issued_at.is_none() && self.is_this(noted)) {
            Some(begun) => begun.clone(),
            None => RecoveryMark {
                token: self.token.clone(),
                kind: Some(self.method.kind()),
                secret_name: self.secret_name.clone(),
                started_at: Time(whole_second(now)),
                issued_at: None,
                // Of what stands in the Secret until it is replaced.
                expires_at: noted
                    .filter(|noted| noted.secret_name == self.secret_name)
                    .and_then(|noted| noted.expires_at.clone()),
            },
        }
    }
}

/// Notes in a mark, together with the changes that it describes, that a recovery is begun. Where another Secret is to
/// go first, its name is kept until it has.
pub fn begin(mark: &mut Mark, wanted: Option<&Recovery>, state: State, now: Timestamp) {
    let noted = mark.recovery.as_ref();
    if let Some(wanted) = wanted.filter(|wanted| state == State::Active && wanted.is_due(noted))
        && noted.is_none_or(|noted| noted.secret_name == wanted.secret_name)
    {
        mark.recovery = Some(wanted.intent(noted, now));
    }
}

/// Refused where a recovery is due whose Secret is somebody else's.
pub fn ensure_writable(
    wanted: Option<&Recovery>,
    noted: Option<&RecoveryMark>,
    state: State,
    seen: &SecretObservation,
) -> Result<(), ReadyCondition> {
    let Some(wanted) = wanted.filter(|wanted| state == State::Active && wanted.is_due(noted)) else { return Ok(()) };
    if *seen != SecretObservation::Foreign {
        return Ok(());
    }
    let message = format!(
        "recovery.secretName: Secret {} is there and isn't the operator's for this resource: nothing is issued; delete it, \
         or name another one",
        words::shown(&wanted.secret_name, NAME)
    );
    Err(ReadyCondition::new(Reason::InvalidSpec, message))
}

/// Whether the Secret has to be read: not where it is known to be deleted, since the recovery expired.
pub fn is_secret_of_interest(
    wanted: &Recovery,
    noted: Option<&RecoveryMark>,
    status: Option<&KratosIdentityStatus>,
    now: Timestamp,
) -> bool {
    let expired = noted.filter(|noted| !wanted.is_due(Some(noted))).and_then(|noted| expired(noted, now));
    let told = status.and_then(|status| {
        let found = condition::find(&status.conditions, condition::RECOVERY_ISSUED)?;
        let is_told = found.reason == Reason::RecoveryExpired.as_str();
        status.recovery.as_ref().filter(|_| is_told)?.expires_at.as_ref().map(|at| at.0)
    });
    expired.is_none() || expired != told
}

/// When a recovery that was issued expired, if it has.
pub fn expired(noted: &RecoveryMark, now: Timestamp) -> Option<Timestamp> {
    noted.expires_at.as_ref().map(|at| at.0).filter(|at| *at <= now)
}

/// How it stands. `is_there`: whether the Secret is there and the resource's own. `refusal`: why it couldn't be issued
/// just now.
pub fn recovery_state(
    wanted: &Recovery,
    noted: Option<&RecoveryMark>,
    state: State,
    is_there: bool,
    refusal: Option<ReadyCondition>,
    now: Timestamp,
) -> RecoveryState {
    let name = &wanted.secret_name;
    let issued = noted.filter(|noted| noted.issued_at.is_some());
    // One that is to be replaced is shown for as long as it works.
    let last = noted.filter(|noted| noted.issued_at.is_some() || expired(noted, now).is_none());
    let status = last.filter(|last| last.expires_at.is_some()).map(|last| RecoveryStatus {
        secret_name: Some(last.secret_name.clone()),
        expires_at: last.expires_at.clone(),
    });
    let recovery_state = |is_issued, condition| RecoveryState { status, is_issued, condition };
    if state == State::Inactive {
        let message = if issued.is_some() { inactive() } else { "issued once the identity is active".to_owned() };
        return recovery_state(false, ReadyCondition::new(Reason::IdentityInactive, message));
    }
    let issued = issued.filter(|issued| wanted.is_this(issued));
    let Some(issued) = issued else {
        let unknown = || ReadyCondition::new(Reason::Progressing, "it is being issued");
        return recovery_state(false, refusal.unwrap_or_else(unknown));
    };
    if let Some(at) = expired(issued, now) {
        return recovery_state(false, lapsed(at));
    }
    if !is_there {
        let message = format!(
            "Secret {} of the recovery is gone: somebody deleted it, or the identity was inactive; a new token in \
             actions.recovery issues another",
            words::shown(name, NAME)
        );
        return recovery_state(false, ReadyCondition::new(Reason::RecoverySecretGone, message));
    }
    let until =
        issued.expires_at.as_ref().map(|at| format!("; it can be used once, until {}", at.0)).unwrap_or_default();
    let name = words::shown(name, NAME);
    recovery_state(true, ReadyCondition::new(Reason::RecoveryIssued, format!("issued into Secret {name}{until}")))
}

/// What is said of a recovery that has expired.
pub fn lapsed(at: Timestamp) -> ReadyCondition {
    let message =
        format!("it expired at {at}, and its Secret was deleted; a new token in actions.recovery issues another");
    ReadyCondition::new(Reason::RecoveryExpired, message)
}

fn inactive() -> String {
    "the identity is inactive: no recovery works, and the Secret was deleted; once it is active give a new token in \
     actions.recovery"
        .to_owned()
}

/// What is said of a recovery whose identity was made inactive.
pub fn locked_out() -> ReadyCondition {
    ReadyCondition::new(Reason::IdentityInactive, inactive())
}

/// Why it couldn't be issued: Kratos doesn't do that.
pub fn disabled(kind: RecoveryType) -> ReadyCondition {
    let message = format!(
        "Kratos doesn't issue a recovery {}: the method is disabled in its configuration; enable it there, then ask this \
         resource for a look, or give a new token in actions.recovery",
        method(kind)
    );
    ReadyCondition::new(Reason::RecoveryDisabled, message)
}

/// Why it isn't issued: the operator was told to write no Secrets.
pub fn switched_off() -> ReadyCondition {
    let message = "this operator issues no recoveries (--recovery-secrets=false): set the chart's value \
                   recoverySecrets.enabled to true, or start it without that option";
    ReadyCondition::new(Reason::RecoveryDisabled, message)
}

/// As Kratos names the method.
pub const fn method(kind: RecoveryType) -> &'static str {
    match kind {
        RecoveryType::Link => "link",
        RecoveryType::Code => "code",
    }
}

/// Why it couldn't be issued: its Secret can't be written. `code`: what the API server answered.
pub fn unwritable(name: &str, code: Option<u16>) -> ReadyCondition {
    let answer = code.map(|code| format!(" (HTTP {code})")).unwrap_or_default();
    let message = format!(
        "Secret {} can't be written{answer}: grant the operator get, create, update and delete on secrets here, or see what \
         quota or admission refuses",
        words::shown(name, NAME)
    );
    ReadyCondition::new(Reason::SecretNotReady, message)
}

/// What a status shows of the action: the token's, if there was one.
pub fn action_status(mark: &Mark) -> Option<ActionStatus> {
    let RecoveryMark { token, kind: _, secret_name, started_at, issued_at, expires_at: _ } = mark.recovery.as_ref()?;
    let token = token.clone()?;
    let message = if issued_at.is_some() {
        format!("a recovery was issued into Secret {secret_name}")
    } else {
        format!("begun at {}, not known to be done; the operator goes on with it", started_at.0)
    };
    Some(ActionStatus { token: Some(token), completed_at: issued_at.clone(), message: Some(message) })
}

/// What a status says was issued, as a mark: where a mark is restored, so that it isn't issued again.
pub fn from_status(status: &KratosIdentityStatus) -> Option<RecoveryMark> {
    let RecoveryStatus { secret_name, expires_at } = status.recovery.as_ref()?;
    let expires_at = expires_at.clone()?;
    let action = status.actions.as_ref().and_then(|actions| actions.recovery.as_ref());
    let at = action.and_then(|action| action.completed_at.clone()).unwrap_or_else(|| expires_at.clone());
    Some(RecoveryMark {
        token: action.and_then(|action| action.token.clone()),
        kind: None,
        secret_name: secret_name.clone()?,
        started_at: at.clone(),
        issued_at: Some(at),
        expires_at: Some(expires_at),
    })
}

/// The Secret that a status shows, unless it is known to be gone, and when what is in it expires.
pub fn shown(status: Option<&KratosIdentityStatus>) -> Option<(String, Timestamp)> {
    let gone = [Reason::RecoveryExpired, Reason::IdentityInactive, Reason::RecoverySecretGone];
    let is_gone = |reason: &str| gone.iter().any(|gone| gone.as_str() == reason);
    let condition = condition::find(&status?.conditions, condition::RECOVERY_ISSUED)?;
    let status = status.filter(|_| !is_gone(&condition.reason))?;
    let RecoveryStatus { secret_name, expires_at } = status.recovery.as_ref()?;
    Some((secret_name.clone()?, expires_at.as_ref()?.0))
}

/// Marks keep whole seconds; a recovery that is told to end earlier than it does does no harm.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
