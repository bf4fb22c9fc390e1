//! A `KratosSessionPolicy` that this version can't read: it says so, and nothing else is done with it.

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource, ResourceExt};

use super::controller::Controller;
use crate::api::happening::Happening;
use crate::api::objects::PolicyObject;
use crate::api::session_policy::KratosSessionPolicyStatus;
use crate::api::words::shown;
use crate::api::{Reason, Verdict};
use crate::controllers::queue::{Looked, Next};
use crate::kubernetes::kube_write;
use crate::policy::status::{self, Outcome, Subject};

/// How much of a field is shown, in characters.
const FIELD: usize = 70;

/// Reconciles an object of which little more than the metadata can be read.
pub async fn reconcile(object: &PolicyObject, controller: &Controller) -> Result<Looked, kube::Error> {
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    let api: Api<PolicyObject> = Api::namespaced(controller.client.clone(), &namespace);
    let Some(live) = api.get_opt(&object.name_any()).await? else { return Ok(Next::WhenAsked.into()) };
    // One that can be read by now is brought by the watch.
    let Err(unreadable) = &live.0 else { return Ok(Next::WhenAsked.into()) };
    let current: Option<KratosSessionPolicyStatus> = unreadable.status();
    let subject = Subject {
        generation: unreadable.metadata.generation.unwrap_or_default(),
        requested_at: crate::api::requested_at(unreadable.metadata.annotations.as_ref()),
        current: current.as_ref(),
    };
    let verdict = unread(&unreadable.field);
    let message = verdict.message.clone();
    let next = status::next(subject, Outcome { verdict, run: None, revoke_all: None }, Timestamp::now());
    if current.as_ref() != Some(&next) {
        kube_write::status(&api, &live, &next, controller.has_rivals()).await?;
        controller.events.publish(object, Happening::warning(Reason::InvalidSpec.as_str(), "Run", message));
    }
    Ok(Next::WhenAsked.after_one(Reason::InvalidSpec))
}

/// The verdict on a policy of which this field can't be read.
pub fn unread(field: &str) -> Verdict {
    let message = format!(
        "{} can't be read by this version of the operator: compare it with `kubectl explain ksp.spec`; until then no session is \
         looked at",
        shown(field, FIELD)
    );
    Verdict::new(Reason::InvalidSpec, message)
}
