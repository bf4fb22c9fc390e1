//! A `KratosIdentity` that this version can't read: it says so, and nothing else is done with it.

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::controller::Controller;
use super::record::api;
use crate::api::decode::Unreadable;
use crate::api::has_finalizer;
use crate::api::identity::KratosIdentityStatus;
use crate::api::objects::IdentityObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::words::shown;
use crate::api::{IDENTITY_FINALIZER, ReadyCondition, Reason};
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::identity::status::{self, Observation, Outcome, RecoveryObservation, Subject};
use crate::kubernetes::kube_write;

/// How much of a field is shown, in characters.
const FIELD: usize = 64;

/// Reconciles an object of which little more than the metadata can be read.
pub async fn reconcile(object: &IdentityObject, controller: &Controller) -> Result<ReconcileResult, kube::Error> {
    let api = api(object, controller);
    let Some(live) = api.get_opt(&object.name_any()).await? else { return Ok(Requeue::OnChange.into()) };
    // One that can be read by now is brought by the watch.
    let Err(unreadable) = &live.0 else { return Ok(Requeue::OnChange.into()) };
    let is_deleting = unreadable.metadata.deletion_timestamp.is_some();
    // Anything else waits for a person: what can't be read isn't deleted by.
    let is_held = is_deleting && has_finalizer(object, IDENTITY_FINALIZER);
    if is_held && controller.memory.is_untouched(object.meta().uid.as_deref().unwrap_or_default()) {
        kube_write::remove_finalizer(&api, object, IDENTITY_FINALIZER).await?;
        return Ok(Requeue::OnChange.into());
    }
    if is_held && unreadable.is_let_go {
        kube_write::remove_finalizer(&api, object, IDENTITY_FINALIZER).await?;
        let note = "the identity stays in Kratos as it is: deletion.policy is Orphan, or the resource was suspended";
        controller.events.publish(object, RecordedEvent::normal("IdentityKept", "Delete", note));
        return Ok(Requeue::OnChange.into());
    }
    let current: Option<KratosIdentityStatus> = unreadable.status();
    let next = next(unreadable, current.as_ref(), is_deleting);
    if current.as_ref() != Some(&next) {
        kube_write::status(&api, &live, &next, controller.has_concurrent_writers()).await?;
        let message = next.conditions.first().map(|condition| condition.message.clone()).unwrap_or_default();
        controller.events.publish(object, RecordedEvent::warning(Reason::InvalidSpec.as_str(), "Reconcile", message));
    }
    Ok(Requeue::OnChange.with_reason(Reason::InvalidSpec))
}

fn next(unreadable: &Unreadable, current: Option<&KratosIdentityStatus>, is_deleting: bool) -> KratosIdentityStatus {
    let Unreadable { metadata, field, .. } = unreadable;
    let mut condition = unread(field);
    if is_deleting {
        condition.message += "; being deleted: patching deletion.policy to Orphan lets it go and keeps the identity";
    }
    let subject = Subject {
        generation: metadata.generation.unwrap_or_default(),
        requested_at: crate::api::requested_at(metadata.annotations.as_ref()),
        current,
    };
    status::next(
        subject,
        Outcome { condition, instance: None, seen: Observation::Unknown, recovery: RecoveryObservation::Unknown },
        Timestamp::now(),
    )
}

/// The condition for a resource of which this field can't be read.
pub fn unread(field: &str) -> ReadyCondition {
    let message = format!(
        "{} can't be read by this version of the operator: compare it with `kubectl explain kid.spec`; until then its identity \
         is left as it is",
        shown(field, FIELD)
    );
    ReadyCondition::new(Reason::InvalidSpec, message)
}
