//! The recovery of one identity, apart from everything else in its manifest: observes its Secret, then plans and applies. If
//! only the recovery fails, the rest is unaffected.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;

use super::apply::{self, Applied};
use super::apply_error::ApplyError;
use super::enforce;
use super::observe::Search;
use crate::api::recorded_event::RecordedEvent;
use crate::api::recovery::RecoveryType;
use crate::api::{KratosIdentity, ReadyCondition, Reason, requested_at};
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Secrets;
use crate::engine::failure::{ReconcileError, Sent};
use crate::identity::desired::Desired;
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{self, Observed, Plan, Step};
use crate::identity::progress;
use crate::identity::recovery::{self, OwnSecret, Recovery, SecretObservation};
use crate::identity::status::{Observation, RecoveryObservation};
use crate::kratos::{BatchMode, Class, Identity, State};

/// Looks at the Secret, where that matters, before anything is done. Refused where a recovery is due and it is somebody
/// else's.
pub async fn observe(
    search: &Search<'_>,
    desired: &Desired,
    observed: &Observed,
) -> Result<SecretObservation, ReconcileError> {
    let Some(wanted) = &desired.recovery else { return Ok(SecretObservation::Absent) };
    let (noted, state) = match observed {
        Observed::Absent => (None, State::Active),
        Observed::Present(present) => {
            (present.mark.as_ref().and_then(|mark| mark.recovery.as_ref()), present.identity.state)
        }
    };
    let status = search.resource.status.as_ref();
    if !recovery::is_secret_of_interest(wanted, noted, status, Timestamp::now()) {
        return Ok(SecretObservation::Absent);
    }
    if !search.engine.terms.writes_recovery_secrets && wanted.is_due(noted) {
        return Ok(SecretObservation::Hidden);
    }
    let secret = OwnSecret::of(&search.inputs.claimant, &wanted.secret_name);
    let seen = search.engine.secrets.observe(&secret).await?;
    let refusal = recovery::ensure_writable(Some(wanted), noted, desired.state.unwrap_or(state), &seen);
    if refusal.is_err() {
        notice_deletion(search, wanted);
    }
    refusal?;
    Ok(seen)
}

/// The plan for what is there now; in mode Observe it is only shown.
pub fn plan(search: &Search<'_>, desired: &Desired, observed: &Observed, secret: &SecretObservation) -> Plan {
    let Observed::Present(present) = observed else { return Plan::default() };
    let Some(mark) = &present.mark else { return Plan::default() };
    let there = (&present.identity, mark);
    plan::plan_recovery(&search.inputs.claimant, desired.recovery.as_ref(), there, secret, Timestamp::now())
}

/// Issues what is due, and takes away what may not stand any more. `seen`: how the identity stands after everything else.
pub async fn run(
    search: &Search<'_>,
    desired: &Desired,
    seen: Observation,
    secret: SecretObservation,
) -> Result<(Observation, RecoveryObservation), ReconcileError> {
    let Observation::Present { identity, owned_paths, drift, stale_identifiers, is_changed } = seen else {
        return Ok((seen, RecoveryObservation::Nothing));
    };
    let wanted = desired.recovery.as_ref();
    let Found::Mark(mark) = Mark::read(&identity.metadata_admin) else {
        let condition = progress::wiped();
        return Err(ReconcileError::Retry { condition, after: None });
    };
    recovery::ensure_writable(wanted, mark.recovery.as_ref(), identity.state, &secret)?;
    let claimant = &search.inputs.claimant;
    let plan = plan::plan_recovery(claimant, wanted, (&*identity, &*mark), &secret, Timestamp::now());
    let Tried { written, is_issued, refusal } = attempt(search, wanted, &plan).await?;
    let identity = written.unwrap_or(identity);
    let mark = match Mark::read(&identity.metadata_admin) {
        Found::Mark(written) => written,
        _ => mark,
    };
    if !plan.steps.is_empty() {
        enforce::note_result(search, desired, &plan, &identity, Instant::now());
    }
    let is_named = |secret: &OwnSecret| wanted.is_some_and(|wanted| wanted.secret_name == secret.name);
    let deletes = |step: &Step| matches!(step, Step::DeleteSecret(secret) if is_named(secret));
    let is_there = is_issued || matches!(secret, SecretObservation::Ours(_)) && !plan.steps.iter().any(deletes);
    let recovery = wanted.map_or(RecoveryObservation::Nothing, |wanted| {
        if is_there {
            notice_deletion(search, wanted);
        }
        let writes = search.engine.terms.writes_recovery_secrets;
        let unwritable =
            || if writes { recovery::unwritable(&wanted.secret_name, None) } else { recovery::switched_off() };
        let unwritable = matches!(secret, SecretObservation::Hidden).then(unwritable);
        let refusal = refusal.or(unwritable);
        let (noted, now) = (mark.recovery.as_ref(), Timestamp::now());
        RecoveryObservation::Known(recovery::recovery_state(wanted, noted, identity.state, is_there, refusal, now))
    });
    Ok((Observation::Present { identity, owned_paths, drift, stale_identifiers, is_changed }, recovery))
}

/// When its Secret is deleted, the resource is reconciled again.
fn notice_deletion(search: &Search<'_>, wanted: &Recovery) {
    search.engine.secrets.relies_on(&NamespacedName::of(search.resource), &wanted.secret_name);
}

/// What trying came to.
#[derive(Default)]
struct Tried {
    written: Option<Box<Identity>>,
    is_issued: bool,
    /// Why it wasn't issued, where that is final.
    refusal: Option<ReadyCondition>,
}

async fn attempt(search: &Search<'_>, wanted: Option<&Recovery>, plan: &Plan) -> Result<Tried, ReconcileError> {
    let (issue, others): (Vec<_>, Vec<_>) =
        plan.steps.iter().cloned().partition(|step| matches!(step, Step::IssueRecovery(_)));
    let written = apply(search, &others).await.map_err(|error| reconcile_error(error, search))??;
    let mut tried = Tried { written, ..Tried::default() };
    let Some(wanted) = wanted.filter(|_| !issue.is_empty()) else { return Ok(tried) };
    let shared = &search.inputs.instance.shared;
    if shared.is_lacking(lacking(wanted.method.kind())) && !is_asked_for(search.resource) {
        // It was said already, of this identity or another.
        tried.refusal = Some(recovery::disabled(wanted.method.kind()));
        return Ok(tried);
    }
    match apply(search, &issue).await {
        Ok(written) => {
            tried.written = written?.or(tried.written);
            tried.is_issued = true;
            shared.has(lacking(wanted.method.kind()));
            let (kind, secret) = (wanted.method.kind(), &wanted.secret_name);
            let note = format!("a recovery of type {kind:?} was issued into the Secret {secret}");
            search.engine.listener.happened(search.resource, RecordedEvent::normal("RecoveryIssued", "Recover", note));
        }
        Err(error) => {
            tried.refusal = Some(refusal(&error, wanted, search).ok_or_else(|| reconcile_error(error, search))?);
        }
    }
    Ok(tried)
}

/// The identity as the last step left it, if one wrote.
async fn apply(
    search: &Search<'_>,
    steps: &[Step],
) -> Result<Result<Option<Box<Identity>>, ReconcileError>, ApplyError> {
    Ok(match apply::apply(search.inputs, search.engine.secrets, steps, BatchMode::Batched).await? {
        Applied::Written(identity) => Ok(Some(identity)),
        Applied::Unchanged => Ok(None),
        Applied::Gone => Err(gone()),
    })
}

/// What concerns the recovery alone; `None`: it is tried again, like everything else.
fn refusal(error: &ApplyError, wanted: &Recovery, search: &Search<'_>) -> Option<ReadyCondition> {
    match error {
        ApplyError::Other(error) if error.is_method_disabled() => {
            search.inputs.instance.shared.lacks(lacking(wanted.method.kind()));
            Some(recovery::disabled(wanted.method.kind()))
        }
        ApplyError::Other(error) => {
            let is_about_the_identity = error.is_identity_unknown() || error.is_patch_inapplicable();
            let is_final = error.class() == Class::Rejected && !is_about_the_identity;
            is_final.then(|| ReadyCondition::new(Reason::KratosRejected, error.to_string()))
        }
        ApplyError::Kubernetes(kube::Error::Api(status)) => {
            let is_final = matches!(status.code, 400 | 403 | 404 | 405 | 413 | 422);
            is_final.then(|| recovery::unwritable(&wanted.secret_name, Some(status.code)))
        }
        _ => None,
    }
}

fn reconcile_error(error: ApplyError, search: &Search<'_>) -> ReconcileError {
    match error {
        ApplyError::Other(error) if error.is_identity_unknown() => gone(),
        ApplyError::Create { error, .. } | ApplyError::Other(error) => search.inputs.classify(&error, Sent::default()),
        ApplyError::Kubernetes(error) => error.into(),
        ApplyError::Undone | ApplyError::Taken => gone(),
    }
}

fn gone() -> ReconcileError {
    let condition = progress::deleted();
    ReconcileError::Retry { condition, after: None }
}

/// Under which name an instance remembers that it is switched off.
const fn lacking(kind: RecoveryType) -> &'static str {
    match kind {
        RecoveryType::Link => "recovery link",
        RecoveryType::Code => "recovery code",
    }
}

/// Whether a person asked for this reconcile, by the annotation or with another manifest.
fn is_asked_for(resource: &KratosIdentity) -> bool {
    let status = resource.status.as_ref();
    let served = status.and_then(|status| status.last_handled_reconcile_at.as_deref());
    let asked = requested_at(resource.metadata.annotations.as_ref());
    let observed = status.and_then(|status| status.observed_generation);
    asked.is_some() && asked != served || observed != resource.metadata.generation
}

/// Deletes the Secret of a recovery that has expired, by what the status shows: this needs neither Kratos nor an instance
/// that admits the resource. Returns what is said of it. One that can't be deleted is tried again later.
pub async fn expire(resource: &KratosIdentity, secrets: &dyn Secrets) -> Option<ReadyCondition> {
    let (name, at) = recovery::shown(resource.status.as_ref()).filter(|(_, at)| *at <= Timestamp::now())?;
    let secret = own(resource, &name);
    match secrets.delete(&secret).await {
        Ok(()) => Some(recovery::lapsed(at)),
        Err(error) => {
            tracing::warn!(
                secret = name,
                error = kube_error::brief(&error),
                "the Secret of a recovery that has expired couldn't be deleted; it is tried again"
            );
            None
        }
    }
}

fn own(resource: &KratosIdentity, name: &str) -> OwnSecret {
    let metadata = &resource.metadata;
    OwnSecret {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
        owner: (metadata.name.clone().unwrap_or_default(), metadata.uid.clone().unwrap_or_default()),
    }
}
