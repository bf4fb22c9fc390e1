//! A `KratosIdentity` that this version can't read: it says so, and nothing else is done with it.

use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::controller::Controller;
use super::record::api;
use crate::api::carries;
use crate::api::decode::Unreadable;
use crate::api::happening::Happening;
use crate::api::identity::KratosIdentityStatus;
use crate::api::objects::IdentityObject;
use crate::api::words::shown;
use crate::api::{IDENTITY_FINALIZER, Reason, Verdict};
use crate::controllers::queue::{Looked, Next};
use crate::identity::status::{self, Outcome, RecoverySeen, Seen, Subject};
use crate::kubernetes::kube_write;

/// How much of a field is shown, in characters.
const FIELD: usize = 64;

/// Reconciles an object of which little more than the metadata can be read.
pub async fn reconcile(object: &IdentityObject, controller: &Controller) -> Result<Looked, kube::Error> {
    let api = api(object, controller);
    let Some(live) = api.get_opt(&object.name_any()).await? else { return Ok(Next::WhenAsked.into()) };
    // One that can be read by now is brought by the watch.
    let Err(unreadable) = &live.0 else { return Ok(Next::WhenAsked.into()) };
    let is_deleting = unreadable.metadata.deletion_timestamp.is_some();
    // Anything else waits for a person: what can't be read isn't deleted by.
    let is_held = is_deleting && carries(object, IDENTITY_FINALIZER);
    if is_held && controller.memory.is_untouched(object.meta().uid.as_deref().unwrap_or_default()) {
        kube_write::remove_finalizer(&api, object, IDENTITY_FINALIZER).await?;
        return Ok(Next::WhenAsked.into());
    }
    if is_held && unreadable.is_let_go {
        kube_write::remove_finalizer(&api, object, IDENTITY_FINALIZER).await?;
        let note = "the identity stays in Kratos as it is: deletion.policy is Orphan, or the resource was suspended";
        controller.events.publish(object, Happening::normal("IdentityKept", "Delete", note));
        return Ok(Next::WhenAsked.into());
    }
    let current: Option<KratosIdentityStatus> = unreadable.status();
    let next = next(unreadable, current.as_ref(), is_deleting);
    if current.as_ref() != Some(&next) {
        kube_write::status(&api, &live, &next, controller.has_rivals()).await?;
        let message = next.conditions.first().map(|condition| condition.message.clone()).unwrap_or_default();
        controller.events.publish(object, Happening::warning(Reason::InvalidSpec.as_str(), "Reconcile", message));
    }
    Ok(Next::WhenAsked.after_one(Reason::InvalidSpec))
}

fn next(unreadable: &Unreadable, current: Option<&KratosIdentityStatus>, is_deleting: bool) -> KratosIdentityStatus {
    let Unreadable { metadata, field, .. } = unreadable;
    let mut verdict = unread(field);
    if is_deleting {
        verdict.message += "; being deleted: patching deletion.policy to Orphan lets it go and keeps the identity";
    }
    let subject = Subject {
        generation: metadata.generation.unwrap_or_default(),
        requested_at: crate::api::requested_at(metadata.annotations.as_ref()),
        current,
    };
    status::next(
        subject,
        Outcome { verdict, instance: None, seen: Seen::Unknown, recovery: RecoverySeen::Unknown },
        Timestamp::now(),
    )
}

/// The verdict on a resource of which this field can't be read.
pub fn unread(field: &str) -> Verdict {
    let message = format!(
        "{} can't be read by this version of the operator: compare it with `kubectl explain kid.spec`; until then its identity \
         is left as it is",
        shown(field, FIELD)
    );
    Verdict::new(Reason::InvalidSpec, message)
}
