//! A `KratosSessionPolicy` that this version can't read: it says so, and nothing else is done with it.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::controller::Controller;
use super::record::api;
use crate::api::decode::unread;
use crate::api::objects::PolicyObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason};
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::controllers::shared::unreadable::Live;
use crate::policy::status::{self, Outcome, Subject};

/// How much of a field is shown, in characters.
const FIELD: usize = 70;

/// Reconciles an object of which little more than the metadata can be read.
pub async fn reconcile(object: &PolicyObject, controller: &Controller) -> Result<ReconcileResult, kube::Error> {
    let live = Live::read(api(object, controller), &object.name_any()).await?;
    let Some(live) = live else { return Ok(Requeue::OnChange.into()) };
    let condition = self::condition(&live.unreadable.field);
    let event = RecordedEvent::warning(condition.reason.as_str(), "Run", condition.message.clone());
    let (generation, requested_at) = live.asked();
    let subject = Subject { generation, requested_at, current: live.status.as_ref() };
    let next = status::next(subject, Outcome { condition, run: None, revoke_all: None }, Timestamp::now());
    if live.write(&next, controller.has_concurrent_writers).await? {
        controller.events.publish(object, event);
    }
    Ok(Requeue::OnChange.with_reason(Reason::InvalidSpec))
}

/// The condition for a policy of which this field can't be read.
pub fn condition(field: &str) -> ReadyCondition {
    unread(&shown(field, FIELD), "ksp", "; until then no session is looked at")
}
