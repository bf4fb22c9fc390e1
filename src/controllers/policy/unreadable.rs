//! A `KratosSessionPolicy` that this version can't read: it says so, and nothing else is done with it.

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource, ResourceExt};

use super::controller::Controller;
use crate::api::objects::PolicyObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::session_policy::KratosSessionPolicyStatus;
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason};
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::kubernetes::kube_write;
use crate::policy::status::{self, Outcome, Subject};

/// How much of a field is shown, in characters.
const FIELD: usize = 70;

/// Reconciles an object of which little more than the metadata can be read.
pub async fn reconcile(object: &PolicyObject, controller: &Controller) -> Result<ReconcileResult, kube::Error> {
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    let api: Api<PolicyObject> = Api::namespaced(controller.client.clone(), &namespace);
    let Some(live) = api.get_opt(&object.name_any()).await? else { return Ok(Requeue::OnChange.into()) };
    // One that can be read by now is brought by the watch.
    let Err(unreadable) = &live.0 else { return Ok(Requeue::OnChange.into()) };
    let current: Option<KratosSessionPolicyStatus> = unreadable.status();
    let subject = Subject {
        generation: unreadable.metadata.generation.unwrap_or_default(),
        requested_at: crate::api::requested_at(unreadable.metadata.annotations.as_ref()),
        current: current.as_ref(),
    };
    let condition = unread(&unreadable.field);
    let message = condition.message.clone();
    let next = status::next(subject, Outcome { condition, run: None, revoke_all: None }, Timestamp::now());
    if current.as_ref() != Some(&next) {
        kube_write::status(&api, &live, &next, controller.has_concurrent_writers()).await?;
        controller.events.publish(object, RecordedEvent::warning(Reason::InvalidSpec.as_str(), "Run", message));
    }
    Ok(Requeue::OnChange.with_reason(Reason::InvalidSpec))
}

/// The condition for a policy of which this field can't be read.
pub fn unread(field: &str) -> ReadyCondition {
    let message = format!(
        "{} can't be read by this version of the operator: compare it with `kubectl explain ksp.spec`; until then no session is \
         looked at",
        shown(field, FIELD)
    );
    ReadyCondition::new(Reason::InvalidSpec, message)
}
