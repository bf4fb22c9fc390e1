//! One look at a `KratosIdentity`, from what the watch shows to what is written: `look → status → write if changed`.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::controller::Controller;
use super::record::{again, expiry, finish, subject, write};
use super::{release, surroundings, unreadable};
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, carries};
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
pub async fn reconcile(object: Arc<IdentityObject>, controller: Arc<Controller>) -> Result<Looked, kube::Error> {
    let object = controller.seen.latest_identities.of(&object);
    trace::note_generation(&*object);
    let Ok(resource) = &object.0 else { return unreadable::reconcile(&object, &controller).await };
    let engine = surroundings::engine(&controller);
    controller.memory.see(&uid(resource), carries(resource, IDENTITY_FINALIZER));
    if resource.metadata.deletion_timestamp.is_some() {
        turn::leave(resource, engine);
        return release::reconcile(resource, &controller).await;
    }
    if let Some((verdict, successor)) = succession::told(resource, engine) {
        turn::leave(resource, engine);
        let looked = finish(resource, Err(Halt::Refused(verdict)), Course::default(), &controller).await;
        // Whoever takes over waits for this to be said.
        controller.pokes.identities([successor], Priority::Arrived);
        return looked;
    }
    let handling = desired::handling(&resource.spec);
    let mut course = Course { lapse: recover::expire(resource, engine.secrets).await, ..Course::default() };
    if handling.suspended {
        let status = status::suspended(subject(resource), course.recovery(), Timestamp::now());
        let expiry = expiry(Some(&status));
        write(resource, status, &controller).await?;
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
    finish(resource, result, course, &controller).await
}
