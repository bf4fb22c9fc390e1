//! A `KratosIdentity` that this version can't read: it says so. Its identity is left as it is, and it may go where that is what the
//! manifest says, or where there is none.

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::controller::Controller;
use super::record::api;
use crate::api::decode::unread;
use crate::api::objects::IdentityObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::words::shown;
use crate::api::{IDENTITY_FINALIZER, ReadyCondition, Reason, has_finalizer};
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::controllers::shared::unreadable::Live;
use crate::identity::status::{self, Observation, Outcome, RecoveryObservation, Subject};
use crate::kubernetes::kube_write;

/// How much of a field is shown, in characters.
const FIELD: usize = 64;

/// Reconciles an object of which little more than the metadata can be read.
pub async fn reconcile(object: &IdentityObject, controller: &Controller) -> Result<ReconcileResult, kube::Error> {
    let live = Live::read(api(object, controller), &object.name_any()).await?;
    let Some(live) = live else { return Ok(Requeue::OnChange.into()) };
    let is_deleting = live.unreadable.metadata.deletion_timestamp.is_some();
    // Anything else waits for a person: what can't be read isn't deleted by.
    let is_held = is_deleting && has_finalizer(object, IDENTITY_FINALIZER);
    if is_held && controller.memory.is_untouched(object.meta().uid.as_deref().unwrap_or_default()) {
        kube_write::remove_finalizer(&live.api, object, IDENTITY_FINALIZER).await?;
        return Ok(Requeue::OnChange.into());
    }
    if is_held && live.unreadable.is_let_go {
        kube_write::remove_finalizer(&live.api, object, IDENTITY_FINALIZER).await?;
        let note = "the identity stays in Kratos as it is: deletion.policy is Orphan, or the resource was suspended";
        controller.events.publish(object, RecordedEvent::normal("IdentityKept", "Delete", note));
        return Ok(Requeue::OnChange.into());
    }
    let mut condition = self::condition(&live.unreadable.field);
    if is_deleting {
        condition.message += "; being deleted: patching deletion.policy to Orphan lets it go and keeps the identity";
    }
    let event = RecordedEvent::warning(condition.reason.as_str(), "Reconcile", condition.message.clone());
    let (generation, requested_at) = live.asked();
    let subject = Subject { generation, requested_at, current: live.status.as_ref() };
    let (seen, recovery) = (Observation::Unknown, RecoveryObservation::Unknown);
    let next = status::next(subject, Outcome { condition, instance: None, seen, recovery }, Timestamp::now());
    if live.write(&next, controller.has_concurrent_writers).await? {
        controller.events.publish(object, event);
    }
    Ok(Requeue::OnChange.with_reason(Reason::InvalidSpec))
}

/// The condition for a resource of which this field can't be read.
pub fn condition(field: &str) -> ReadyCondition {
    unread(&shown(field, FIELD), "kid", "; until then its identity is left as it is")
}
