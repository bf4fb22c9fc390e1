//! Conditions and reasons, and how one `ReadyCondition` becomes the three conditions that tools compute health from.
//!
//! Pure: time is an argument. `Reconciling` and `Stalled` are present only while true (abnormal-true), `Ready` is
//! always there after the first reconcile, which a suspended resource never had; that is what kstatus, Flux, Argo CD and
//! `kubectl wait` read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Why a resource stands as it does. The name is what `kubectl get` prints and what alerts match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Kratos holds what the manifest says.
    Reconciled,
    /// Looked at without changing anything (mode Observe).
    Observed,
    /// Kratos gives no usable answer.
    KratosUnavailable,
    /// Kratos asked to be called later.
    Throttled,
    /// A referenced Secret or `ConfigMap` isn't there yet, or lacks the key.
    SecretNotReady,
    /// The instance doesn't exist, is being deleted, or hasn't been looked at yet.
    InstanceNotReady,
    /// Work is under way.
    Progressing,
    /// The operator's account lacks a right in Kubernetes.
    Forbidden,
    /// The manifest contradicts itself.
    InvalidSpec,
    /// The traits don't fit the identity schema.
    TraitsRejected,
    /// Kratos doesn't serve that identity schema.
    SchemaNotFound,
    /// The instance doesn't admit this namespace, or may not stand in its own.
    NotPermitted,
    /// The operator was told another cluster's id than the one that the instance's identities belong to.
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
    /// Rules name more sessions than a run may revoke: none was.
    RevocationsHeld,
    /// More deletions than the instance's protection lets through.
    DeletionHeld,
    /// More identities are gone from Kratos than the instance's protection lets be made again.
    IdentitiesMissing,
    /// A difference was seen and left alone (mode Observe).
    DriftObserved,
    /// `spec.suspend` is set.
    Suspended,
    /// Sessions are looked at less often than the manifest asks for.
    IntervalLimited,
    /// Kratos keeps a login identifier that left the traits.
    StaleIdentifiers,
    /// A recovery was issued, and its Secret is there.
    RecoveryIssued,
    /// The recovery that was issued doesn't work any more, and its Secret was deleted.
    RecoveryExpired,
    /// Recovery of the type asked for is switched off in Kratos' configuration.
    RecoveryDisabled,
    /// A recovery was issued, and its Secret isn't there any more.
    RecoverySecretGone,
    /// The identity is inactive: no recovery is issued, and none works.
    IdentityInactive,
}

/// Those that the condition Ready can have.
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

    /// Whether a reconcile that ends for this reason counts as failed: what is Stalled has failed for good, a Kratos
    /// that doesn't answer is an error, and to wait for what may come isn't one.
    pub fn failure(self) -> Option<Failure> {
        match (self.state(), self) {
            (State::Stalled, _) => Some(Failure::Terminal),
            (State::Retrying, Self::KratosUnavailable | Self::Throttled) => Some(Failure::Retried),
            (State::Retrying | State::Done, _) => None,
        }
    }

    /// Which of the three states this reason belongs to.
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

/// How a reconcile failed, as metrics have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is tried again by itself, and may succeed.
    Retried,
    /// No repetition mends it: somebody must act.
    Terminal,
}

/// Done, being retried without anyone's help, or waiting for someone to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Done,
    Retrying,
    Stalled,
}

/// What a reconcile of a resource came to: a reason and a message for a person, free of personal values.
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

/// The longest message of a condition, in bytes: what a manifest names may be long, and a status holds several.
pub const LONGEST_MESSAGE: usize = 4096;

/// A text of at most so many bytes; what was left out shows as an ellipsis.
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

/// Ready, Reconciling and Stalled from a condition. A resource that was Ready for this very generation stays Ready
/// while something is only being retried: its identity is as it was. A message that varies between tries for the same
/// reason isn't news: the first one stays, unless it names what lacks.
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

/// What a suspended resource says: nothing will happen. Whether it is ready stays as it was last seen, for this generation;
/// where it never was looked at nothing is said of it, so that nobody waits for it. What was being retried isn't any more.
pub fn suspend(conditions: &mut Vec<Condition>, condition: &ReadyCondition, generation: i64, now: Timestamp) {
    set(conditions, SUSPENDED, true, condition, generation, now);
    clear(conditions, RECONCILING);
    if let Some(ready) = find(conditions, READY) {
        let is_ready = ready.status == "True";
        set(conditions, READY, is_ready, condition, generation, now);
    }
}

/// The condition with the message that `Reconciling` already has for this reason and generation, if it does. What lacks
/// doesn't vary from try to try: another message names something else.
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
