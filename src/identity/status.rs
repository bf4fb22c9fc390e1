//! From what a reconcile of an identity came to, success or failure, to the status that is written. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::actions;
use super::desired::from_kratos;
use super::mark::{Found, Mark};
use super::recovery::{self, RecoveryState, whole_second};
use crate::api::condition::{self, DRIFTED, READY, RECONCILING, RECOVERY_ISSUED, STALE_IDENTIFIERS, SUSPENDED, State};
use crate::api::identity::{InstanceRef, KratosIdentityStatus};
use crate::api::{ReadyCondition, Reason};
use crate::kratos::Identity;

/// How many pointers a status shows.
const SHOWN_PATHS: usize = 256;
/// A longer pointer isn't shown.
const LONGEST_PATH: usize = 1024;
/// What a resource that is Ready names as lacking, too.
const LACKS: [Reason; 2] = [Reason::SecretNotReady, Reason::InstanceNotReady];
const RECONCILED_BEFORE: &str = "Kratos held what the manifest says when it was last looked at";
const OBSERVED_BEFORE: &str = "status.drift says what would have changed when it was last looked at";

/// What a reconcile of a resource came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub condition: ReadyCondition,
    /// The instance that was chosen; `None` if it didn't come to that.
    pub instance: Option<InstanceRef>,
    pub seen: Observation,
    pub recovery: RecoveryObservation,
}

/// What is known about the recovery.
#[derive(Clone, Debug, PartialEq)]
pub enum RecoveryObservation {
    /// Nothing new: what the status says about it stays.
    Unknown,
    /// Nothing new, but that its Secret was deleted.
    Lapsed(ReadyCondition),
    /// None is wanted.
    Nothing,
    Known(RecoveryState),
}

/// What is known about the identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// Nothing new: what the status says about it stays.
    Unknown,
    /// It is there, and only a part of what the manifest says was done, or nothing: of the rest nothing is said.
    Touched(Touched),
    /// There is none.
    Absent {
        /// Observe: pointers of what would be created.
        drift: Vec<String>,
    },
    /// It is there, as it stands after the reconcile.
    Present {
        identity: Box<Identity>,
        owned_paths: Vec<String>,
        /// Observe: pointers of what would change.
        drift: Vec<String>,
        /// Login identifiers that Kratos keeps although they left the traits.
        stale_identifiers: usize,
        /// Whether the reconcile changed it, or made it.
        is_changed: bool,
    },
}

/// An identity of which a part was done, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// As it is now.
    pub identity: Box<Identity>,
    /// Whether the operator changed it.
    pub is_changed: bool,
}

/// The resource that a status is written for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub generation: i64,
    pub requested_at: Option<&'a str>,
    pub current: Option<&'a KratosIdentityStatus>,
}

impl Subject<'_> {
    /// Whether the status already speaks of this generation.
    pub fn is_settled(&self) -> bool {
        self.current.is_some_and(|status| status.observed_generation == Some(self.generation))
    }
}

/// The status after a reconcile.
pub fn next(subject: Subject<'_>, outcome: Outcome, now: Timestamp) -> KratosIdentityStatus {
    let mut status = subject.current.cloned().unwrap_or_default();
    let Outcome { condition, instance, seen, recovery } = outcome;
    observe_generation(&mut status, subject, condition.reason);
    let full_name = |InstanceRef { name, namespace }: &InstanceRef| match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.clone(),
    };
    status.instance_namespaced_name = instance.as_ref().map(full_name).or(status.instance_namespaced_name);
    status.instance = instance.or(status.instance);
    condition::clear(&mut status.conditions, SUSPENDED);
    condition::summarize(&mut status.conditions, &condition, subject.generation, now);
    tell_what_lacks(&mut status, condition.reason, subject.generation, now);
    note_recovery(&mut status, recovery, subject.generation, now);
    let is_observed = condition.reason == Reason::Observed;
    let is_changed = match seen {
        Observation::Unknown => return status,
        Observation::Touched(Touched { identity, is_changed }) => {
            let before = status.clone();
            note_identity(&mut status, *identity);
            if status != before {
                if is_changed {
                    status.last_changed_at = Some(Time(whole_second(now)));
                }
                retell(&mut status, &condition, subject.generation, now);
            }
            return status;
        }
        Observation::Absent { drift } => {
            (status.identity_id, status.schema_id, status.state, status.actions) = (None, None, None, None);
            status.adopted = None;
            status.owned_paths.clear();
            condition::clear(&mut status.conditions, STALE_IDENTIFIERS);
            (status.password_sent_at, status.last_changed_at) = (None, None);
            note_recovery(&mut status, RecoveryObservation::Nothing, subject.generation, now);
            status.drift = drift;
            false
        }
        Observation::Present { identity, owned_paths, drift, stale_identifiers, is_changed } => {
            note_stale_identifiers(&mut status, stale_identifiers, subject.generation, now);
            note_identity(&mut status, *identity);
            status.owned_paths = owned_paths;
            status.drift = drift;
            is_changed
        }
    };
    status.drift_count = is_observed.then(|| i32::try_from(status.drift.len()).unwrap_or(i32::MAX));
    for paths in [&mut status.owned_paths, &mut status.drift] {
        paths.retain(|path| path.len() <= LONGEST_PATH);
        paths.truncate(SHOWN_PATHS);
    }
    if status.drift.is_empty() {
        condition::clear(&mut status.conditions, DRIFTED);
    } else {
        let message = "Kratos differs from the manifest at the places in status.drift; mode Observe changes nothing";
        let condition = ReadyCondition::new(Reason::DriftObserved, message);
        condition::set(&mut status.conditions, DRIFTED, true, &condition, subject.generation, now);
    }
    // No status is written for the sake of a time alone.
    if is_changed && subject.current != Some(&status) {
        status.last_changed_at = Some(Time(whole_second(now)));
    }
    status
}

/// That a part was done is news, although the rest waits for the same as before.
fn retell(status: &mut KratosIdentityStatus, condition: &ReadyCondition, generation: i64, now: Timestamp) {
    for type_ in [READY, RECONCILING] {
        let told = condition::find(&status.conditions, type_).filter(|told| told.reason == condition.reason.as_str());
        if let Some(is_true) = told.map(|told| told.status == "True") {
            condition::set(&mut status.conditions, type_, is_true, condition, generation, now);
        }
    }
}

/// A resource that stays Ready, as nothing is to be sent, says at once what lacks: what it said before isn't known to hold. Once
/// it waits for something else, it says again what the last reconcile that came to an end has shown.
fn tell_what_lacks(status: &mut KratosIdentityStatus, reason: Reason, generation: i64, now: Timestamp) {
    let Some(ready) = condition::find(&status.conditions, READY).filter(|ready| ready.status == "True") else { return };
    let told = condition::find(&status.conditions, RECONCILING);
    let is_lack = |reason: &str| LACKS.iter().any(|lack| lack.as_str() == reason);
    let condition = match told {
        Some(told) if is_lack(reason.as_str()) => ReadyCondition::new(reason, told.message.clone()),
        _ if !is_lack(&ready.reason) => return,
        _ if status.drift_count.is_some() => ReadyCondition::new(Reason::Observed, OBSERVED_BEFORE),
        _ => ReadyCondition::new(Reason::Reconciled, RECONCILED_BEFORE),
    };
    condition::set(&mut status.conditions, READY, true, &condition, generation, now);
}

/// Says that a resource isn't Ready, of one that was: its identity is gone, and what it takes to make it again lacks.
pub fn unready(status: &mut KratosIdentityStatus, condition: &ReadyCondition, generation: i64, now: Timestamp) {
    condition::set(&mut status.conditions, READY, false, condition, generation, now);
}

/// Lets people name another instance: to be called only where nothing can have been asked of the one that is named. A resource
/// that was Ready, or has an identity, keeps its instance; so does one that waits for anything but its instance, or its consent.
pub fn open(status: &mut KratosIdentityStatus) {
    let instance = status.instance.take();
    if !is_open(status) {
        status.instance = instance;
    }
}

/// Whether a status says that nothing was made yet, so that the API server lets people name another instance. The definition's
/// rule (`api::definitions`) reads the same.
pub fn is_open(status: &KratosIdentityStatus) -> bool {
    let waits = [Reason::InstanceNotReady, Reason::NotPermitted].map(Reason::as_str);
    let ready = condition::find(&status.conditions, READY);
    status.identity_id.is_none()
        && status.instance.is_none()
        && ready.is_some_and(|ready| ready.status == "False" && waits.contains(&ready.reason.as_str()))
}

/// What is written of an identity that was locked out, and of its recovery, where nothing else can be said of the reconcile.
pub fn touched(
    subject: Subject<'_>,
    touched: Option<&Touched>,
    recovery: RecoveryObservation,
    now: Timestamp,
) -> KratosIdentityStatus {
    let mut status = subject.current.cloned().unwrap_or_default();
    if let Some(Touched { identity, is_changed }) = touched {
        let is_news = is_news(subject.current, identity);
        note_identity(&mut status, (**identity).clone());
        if *is_changed && is_news {
            status.last_changed_at = Some(Time(whole_second(now)));
        }
    }
    note_recovery(&mut status, recovery, subject.generation, now);
    status
}

/// Whether a status shows something else of an identity than what it is.
pub fn is_news(status: Option<&KratosIdentityStatus>, identity: &Identity) -> bool {
    let before = status.cloned().unwrap_or_default();
    let mut after = before.clone();
    note_identity(&mut after, identity.clone());
    after != before
}

/// What is shown of an identity that is this resource's.
fn note_identity(status: &mut KratosIdentityStatus, identity: Identity) {
    // A mark that was wiped says nothing: what was done stays known.
    if let Found::Mark(mark) = Mark::read(&identity.metadata_admin) {
        status.actions = actions::statuses(&mark.actions, recovery::action_status(&mark));
        status.adopted = mark.adopted.then_some(true);
        status.password_sent_at = mark.password.and_then(|password| password.sent_at);
    }
    status.identity_id = Some(identity.id);
    status.schema_id = Some(identity.schema_id);
    status.state = Some(from_kratos(identity.state));
}

fn note_recovery(status: &mut KratosIdentityStatus, recovery: RecoveryObservation, generation: i64, now: Timestamp) {
    let (is_issued, condition) = match recovery {
        RecoveryObservation::Unknown => return,
        RecoveryObservation::Nothing => {
            status.recovery = None;
            condition::clear(&mut status.conditions, RECOVERY_ISSUED);
            return;
        }
        RecoveryObservation::Lapsed(condition) => (false, condition),
        RecoveryObservation::Known(RecoveryState { status: shown, is_issued, condition }) => {
            status.recovery = shown;
            (is_issued, condition)
        }
    };
    condition::set(&mut status.conditions, RECOVERY_ISSUED, is_issued, &condition, generation, now);
}

/// Present only while there are any; says how many, never which.
fn note_stale_identifiers(status: &mut KratosIdentityStatus, count: usize, generation: i64, now: Timestamp) {
    if count == 0 {
        condition::clear(&mut status.conditions, STALE_IDENTIFIERS);
        return;
    }
    let message = format!(
        "Kratos keeps {count} login identifier(s) that left the traits, and people log in with them: give the identity \
         another in their place, or delete the credential in Kratos"
    );
    let condition = ReadyCondition::new(Reason::StaleIdentifiers, message);
    condition::set(&mut status.conditions, STALE_IDENTIFIERS, true, &condition, generation, now);
}

/// The status of a suspended resource: nothing was observed, but a recovery may have expired.
pub fn suspended(subject: Subject<'_>, recovery: RecoveryObservation, now: Timestamp) -> KratosIdentityStatus {
    let mut status = subject.current.cloned().unwrap_or_default();
    let condition =
        ReadyCondition::new(Reason::Suspended, "spec.suspend is true: the identity is neither looked at nor changed");
    observe_generation(&mut status, subject, condition.reason);
    condition::suspend(&mut status.conditions, &condition, subject.generation, now);
    note_recovery(&mut status, recovery, subject.generation, now);
    status
}

/// Notes the generation, and the request that was served: one that is being retried isn't served yet.
fn observe_generation(status: &mut KratosIdentityStatus, subject: Subject<'_>, reason: Reason) {
    status.observed_generation = Some(subject.generation);
    if reason.state() != State::Retrying
        && let Some(requested_at) = subject.requested_at
    {
        status.last_handled_reconcile_at = Some(requested_at.to_owned());
    }
}
