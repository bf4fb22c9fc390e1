//! One look at a `KratosIdentity`, from what the watch shows to what is written: `look → status → write if changed`.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::record::{again, expiry, finish, subject, write};
use super::{release, surroundings, unreadable};
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, carries};
use crate::controllers::context::Context;
use crate::controllers::queue::{Looked, Priority};
use crate::engine::failure::Halt;
use crate::engine::identity::course::Course;
use crate::engine::identity::inputs::uid;
use crate::engine::identity::look::look;
use crate::engine::identity::{lock_out, recover, succession, turn};
use crate::identity::desired;
use crate::identity::status;
use crate::identity::validity::Phase;
use crate::telemetry::trace;

/// Reconciles one resource.
pub async fn reconcile(object: Arc<IdentityObject>, context: Arc<Context>) -> Result<Looked, kube::Error> {
    let object = context.latest_identities.of(&object);
    trace::note_generation(&*object);
    let Ok(resource) = &object.0 else { return unreadable::reconcile(&object, &context).await };
    let engine = surroundings::engine(&context);
    context.memory.see(&uid(resource), carries(resource, IDENTITY_FINALIZER));
    if resource.metadata.deletion_timestamp.is_some() {
        turn::leave(resource, engine);
        return release::reconcile(resource, &context).await;
    }
    if let Some((verdict, successor)) = succession::told(resource, engine) {
        turn::leave(resource, engine);
        let looked = finish(resource, Err(Halt::Refused(verdict)), Course::default(), &context).await;
        // Whoever takes over waits for this to be said.
        context.pokes.identities([successor], Priority::Arrived);
        return looked;
    }
    let handling = desired::handling(&resource.spec);
    let mut course = Course { lapse: recover::expire(resource, engine.secrets).await, ..Course::default() };
    if handling.suspended {
        let status = status::suspended(subject(resource), course.recovery(), Timestamp::now());
        let expiry = expiry(Some(&status));
        write(resource, status, &context).await?;
        return Ok(again(None, expiry).into());
    }
    course.boundary = desired::phase(&resource.spec, Timestamp::now()).and_then(Phase::boundary);
    let mut result = look(resource, handling, engine).await;
    if !matches!(result, Err(Halt::Queued(_))) {
        turn::leave(resource, engine);
    }
    if let Err(halt) = result {
        result = Err(lock_out::after(halt, resource, &handling, &mut course, engine).await);
    }
    finish(resource, result, course, &context).await
}
