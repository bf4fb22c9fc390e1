//! A `KratosIdentity` that this version can't read: it says so, and nothing else is done with it.

use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;

use super::status::{self, Outcome, RecoverySeen, Seen, Subject};
use crate::api::identity::{KratosIdentity, KratosIdentityStatus};
use crate::api::{IDENTITY_FINALIZER, Reason, Verdict};
use crate::context::{Context, IdentityObject};
use crate::events::Happening;
use crate::kube_write;
use crate::queue::Next;

/// Reconciles an object of which only the metadata can be read.
pub async fn reconcile(object: &IdentityObject, context: &Context) -> Result<Next, kube::Error> {
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    let resource = ApiResource::erase::<KratosIdentity>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let Some(live) = api.get_opt(&object.name_any()).await? else { return Ok(Next::WhenAsked) };
    let is_deleting = live.metadata.deletion_timestamp.is_some();
    if is_deleting && kube_write::carries(object, IDENTITY_FINALIZER) && is_let_go(&live.data) {
        kube_write::remove_finalizer(&api, object, IDENTITY_FINALIZER).await?;
        let note = "the identity stays in Kratos as it is: deletion.policy is Orphan, or the resource was suspended";
        context.events.publish(object, Happening::normal("IdentityKept", "Delete", note));
        return Ok(Next::WhenAsked);
    }
    let current = live.data.get("status").cloned();
    let current: Option<KratosIdentityStatus> = current.and_then(|status| serde_json::from_value(status).ok());
    let next = next(&live, current.as_ref(), is_deleting);
    if current.as_ref() != Some(&next) {
        let _: DynamicObject = kube_write::status(&api, object, &next).await?;
        let message = next.conditions.first().map(|condition| condition.message.clone()).unwrap_or_default();
        context.events.publish(object, Happening::warning(Reason::InvalidSpec.as_str(), "Reconcile", message));
    }
    Ok(Next::WhenAsked)
}

/// Whether the raw manifest says that the identity is to stay. Anything else waits for a person: what can't be read
/// isn't deleted by.
fn is_let_go(raw: &Value) -> bool {
    raw.pointer("/spec/deletion/policy").and_then(Value::as_str) == Some("Orphan")
        || raw.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true)
}

fn next(live: &DynamicObject, current: Option<&KratosIdentityStatus>, is_deleting: bool) -> KratosIdentityStatus {
    // What the parser says quotes values, so it isn't passed on.
    let mut message = "the resource can't be read by this version of the operator: compare it with `kubectl explain \
                       kid.spec`; until then its identity is left as it is"
        .to_owned();
    if is_deleting {
        message += "; being deleted: patching deletion.policy to Orphan lets it go and keeps the identity";
    }
    let subject = Subject {
        generation: live.metadata.generation.unwrap_or_default(),
        requested_at: crate::api::requested_at(live.metadata.annotations.as_ref()),
        current,
    };
    let verdict = Verdict::new(Reason::InvalidSpec, message);
    status::next(
        subject,
        Outcome { verdict, instance: None, seen: Seen::Unknown, recovery: RecoverySeen::Unknown },
        Timestamp::now(),
    )
}
