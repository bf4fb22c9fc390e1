//! Conditions and reasons, and how a `ReadyCondition` becomes the three conditions from which tools compute health.
//!
//! Pure: time is an argument. `Reconciling` and `Stalled` are present only while true (abnormal-true). `Ready` is always
//! present after the first reconcile, unless the resource has always been suspended. kstatus, Flux, Argo CD and `kubectl wait`
//! read these.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Why a resource is in its state. `kubectl get` shows the name, and alerts match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Kratos holds what the manifest says.
    Reconciled,
    /// Observed, and nothing changed (mode Observe).
    Observed,
    /// Kratos gives no usable answer.
    KratosUnavailable,
    /// Kratos asked for fewer requests.
    Throttled,
    /// A referenced Secret or `ConfigMap` doesn't exist yet, or lacks the key.
    SecretNotReady,
    /// The instance doesn't exist, is being deleted, or wasn't reconciled yet.
    InstanceNotReady,
    /// Work is in progress.
    Progressing,
    /// The operator's account lacks a permission in Kubernetes.
    Forbidden,
    /// The manifest contradicts itself.
    InvalidSpec,
    /// The traits don't fit the identity schema.
    TraitsRejected,
    /// Kratos doesn't serve that identity schema.
    SchemaNotFound,
    /// The instance doesn't admit this namespace, or isn't allowed in its own.
    NotPermitted,
    /// The operator has another cluster's id than the instance's identities.
    ClusterMismatch,
    /// The identity, or one of its identifiers, belongs to somebody else.
    IdentityConflict,
    /// The identity can't be taken over.
    AdoptionRefused,
    /// Another resource takes the identity over.
    Replaced,
    /// The server doesn't know a field that the manifest uses.
    UnsupportedByServer,
    /// Kratos refused for a reason of its own.
    KratosRejected,
    /// Rules match more sessions than a run may revoke: none was revoked.
    RevocationsHeld,
    /// More deletions than the instance's protection allows.
    DeletionHeld,
    /// More identities are gone from Kratos than the instance's protection allows to recreate.
    IdentitiesMissing,
    /// A difference was seen, and not corrected (mode Observe).
    DriftObserved,
    /// `spec.suspend` is set.
    Suspended,
    /// A session policy runs less often than its spec says.
    IntervalLimited,
    /// Kratos keeps a login identifier that was removed from the traits.
    StaleIdentifiers,
    /// A recovery was issued, and its Secret exists.
    RecoveryIssued,
    /// The issued recovery has expired, and its Secret was deleted.
    RecoveryExpired,
    /// Kratos' configuration disables the requested type of recovery.
    RecoveryDisabled,
    /// A recovery was issued, and its Secret no longer exists.
    RecoverySecretGone,
    /// The identity is inactive: no recovery is issued, and none works.
    IdentityInactive,
}

/// The reasons that the condition Ready can have.
pub const OF_READY: [Reason; 22] = [
    Reason::Reconciled,
    Reason::Observed,
    Reason::KratosUnavailable,
    Reason::Throttled,
    Reason::SecretNotReady,
    Reason::InstanceNotReady,
    Reason::Progressing,
    Reason::Forbidden,
    Reason::InvalidSpec,
    Reason::TraitsRejected,
    Reason::SchemaNotFound,
    Reason::NotPermitted,
    Reason::IdentityConflict,
    Reason::AdoptionRefused,
    Reason::Replaced,
    Reason::UnsupportedByServer,
    Reason::KratosRejected,
    Reason::RevocationsHeld,
    Reason::DeletionHeld,
    Reason::IdentitiesMissing,
    Reason::ClusterMismatch,
    Reason::Suspended,
];

impl Reason {
    /// The word written into conditions and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciled => "Reconciled",
            Self::Observed => "Observed",
            Self::KratosUnavailable => "KratosUnavailable",
            Self::Throttled => "Throttled",
            Self::SecretNotReady => "SecretNotReady",
            Self::InstanceNotReady => "InstanceNotReady",
            Self::Progressing => "Progressing",
            Self::Forbidden => "Forbidden",
            Self::InvalidSpec => "InvalidSpec",
            Self::TraitsRejected => "TraitsRejected",
            Self::SchemaNotFound => "SchemaNotFound",
            Self::NotPermitted => "NotPermitted",
            Self::ClusterMismatch => "ClusterMismatch",
            Self::IdentityConflict => "IdentityConflict",
            Self::AdoptionRefused => "AdoptionRefused",
            Self::Replaced => "Replaced",
            Self::UnsupportedByServer => "UnsupportedByServer",
            Self::KratosRejected => "KratosRejected",
            Self::RevocationsHeld => "RevocationsHeld",
            Self::DeletionHeld => "DeletionHeld",
            Self::IdentitiesMissing => "IdentitiesMissing",
            Self::DriftObserved => "DriftObserved",
            Self::Suspended => "Suspended",
            Self::IntervalLimited => "IntervalLimited",
            Self::StaleIdentifiers => "StaleIdentifiers",
            Self::RecoveryIssued => "RecoveryIssued",
            Self::RecoveryExpired => "RecoveryExpired",
            Self::RecoveryDisabled => "RecoveryDisabled",
            Self::RecoverySecretGone => "RecoverySecretGone",
            Self::IdentityInactive => "IdentityInactive",
        }
    }

    /// How a reconcile with this reason counts in metrics: Stalled is a terminal failure, a Kratos that doesn't answer is an
    /// error, and waiting is no failure.
    pub fn failure(self) -> Option<Failure> {
        match (self.state(), self) {
            (State::Stalled, _) => Some(Failure::Terminal),
            (State::Retrying, Self::KratosUnavailable | Self::Throttled) => Some(Failure::Retried),
            (State::Retrying | State::Done, _) => None,
        }
    }

    /// The state of this reason.
    pub fn state(self) -> State {
        match self {
            Self::Reconciled
            | Self::Observed
            | Self::DriftObserved
            | Self::Suspended
            | Self::IntervalLimited
            | Self::StaleIdentifiers
            | Self::RecoveryIssued
            | Self::RecoveryExpired
            | Self::RecoveryDisabled
            | Self::RecoverySecretGone
            | Self::IdentityInactive => State::Done,
            Self::KratosUnavailable
            | Self::Throttled
            | Self::SecretNotReady
            | Self::InstanceNotReady
            | Self::Progressing
            | Self::Forbidden => State::Retrying,
            Self::InvalidSpec
            | Self::TraitsRejected
            | Self::SchemaNotFound
            | Self::NotPermitted
            | Self::ClusterMismatch
            | Self::IdentityConflict
            | Self::AdoptionRefused
            | Self::Replaced
            | Self::UnsupportedByServer
            | Self::KratosRejected
            | Self::RevocationsHeld
            | Self::DeletionHeld
            | Self::IdentitiesMissing => State::Stalled,
        }
    }
}

/// How a reconcile failed, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is retried, and may succeed.
    Retried,
    /// It isn't retried with success: somebody must act.
    Terminal,
}

/// Done, being retried, or waiting for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Done,
    Retrying,
    Stalled,
}

/// The result of a reconcile: a reason, and a message for people without personal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyCondition {
    pub reason: Reason,
    pub message: String,
}

impl ReadyCondition {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The longest message of a condition, in bytes: names in a manifest may be long, and a status holds several messages.
pub const LONGEST_MESSAGE: usize = 4096;

/// A text of at most `most` bytes; what is cut off shows as an ellipsis.
pub fn shortened(text: &str, most: usize) -> String {
    const LEFT_OUT: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}{LEFT_OUT}", &text[..text.floor_char_boundary(most.saturating_sub(LEFT_OUT.len()))])
}

/// Condition types.
pub const READY: &str = "Ready";
pub const RECONCILING: &str = "Reconciling";
pub const STALLED: &str = "Stalled";
pub const DRIFTED: &str = "Drifted";
pub const SUSPENDED: &str = "Suspended";
pub const PERMISSIONS_MISSING: &str = "PermissionsMissing";
pub const INTERVAL_LIMITED: &str = "IntervalLimited";
pub const STALE_IDENTIFIERS: &str = "StaleIdentifiers";
pub const RECOVERY_ISSUED: &str = "RecoveryIssued";

/// The condition of that type, if present.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of that type is present and True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Sets a condition: keeps `lastTransitionTime` unless the status flips.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: bool,
    condition: &ReadyCondition,
    generation: i64,
    now: Timestamp,
) {
    let status = if status { "True" } else { "False" };
    let since = find(conditions, type_)
        .filter(|old| old.status == status)
        .map_or(Time(now), |old| old.last_transition_time.clone());
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: condition.reason.as_str().to_owned(),
        message: shortened(&condition.message, LONGEST_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: since,
    };
    match conditions.iter_mut().find(|old| old.type_ == type_) {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Removes a condition.
pub fn clear(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// Sets Ready, Reconciling and Stalled. A resource that was Ready for this generation stays Ready during retries: its identity
/// is unchanged. While the reason stays the same, the first message stays, so that retries don't rewrite the status; but a
/// message that names what is missing is updated.
pub fn summarize(conditions: &mut Vec<Condition>, condition: &ReadyCondition, generation: i64, now: Timestamp) {
    match condition.reason.state() {
        State::Done => {
            set(conditions, READY, true, condition, generation, now);
            clear(conditions, RECONCILING);
            clear(conditions, STALLED);
        }
        State::Retrying => {
            let condition = &first_told(conditions, condition, generation);
            let still_ready = find(conditions, READY)
                .is_some_and(|ready| ready.status == "True" && ready.observed_generation == Some(generation));
            if !still_ready {
                set(conditions, READY, false, condition, generation, now);
            }
            set(conditions, RECONCILING, true, condition, generation, now);
            clear(conditions, STALLED);
        }
        State::Stalled => {
            set(conditions, READY, false, condition, generation, now);
            set(conditions, STALLED, true, condition, generation, now);
            clear(conditions, RECONCILING);
        }
    }
}

/// The conditions of a suspended resource. Ready keeps its last status for this generation. If the resource was never
/// reconciled, there is no Ready, so that nobody waits for it. Reconciling is removed.
pub fn suspend(conditions: &mut Vec<Condition>, condition: &ReadyCondition, generation: i64, now: Timestamp) {
    set(conditions, SUSPENDED, true, condition, generation, now);
    clear(conditions, RECONCILING);
    if let Some(ready) = find(conditions, READY) {
        let is_ready = ready.status == "True";
        set(conditions, READY, is_ready, condition, generation, now);
    }
}

/// The condition with the message that `Reconciling` already has for this reason and generation, if any. A message that names
/// what is missing is never replaced: if it differs, it names something else.
fn first_told(conditions: &[Condition], condition: &ReadyCondition, generation: i64) -> ReadyCondition {
    if matches!(condition.reason, Reason::SecretNotReady | Reason::InstanceNotReady) {
        return condition.clone();
    }
    let is_told = |told: &&Condition| {
        told.reason == condition.reason.as_str()
            && told.observed_generation == Some(generation)
            && told.status == "True"
    };
    let told = find(conditions, RECONCILING).filter(is_told);
    told.map_or_else(|| condition.clone(), |told| ReadyCondition::new(condition.reason, told.message.clone()))
}
