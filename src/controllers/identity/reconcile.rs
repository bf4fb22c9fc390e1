//! One reconcile of a `KratosIdentity`, from what the watch shows to what is written: `engine → status → write if changed`. What
//! is done to Kratos is `engine/identity/reconcile.rs`.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::controller::Controller;
use super::record::{again, expiry, finish, subject, write};
use super::{cleanup, surroundings, unreadable};
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, has_finalizer};
use crate::controllers::queue::{Priority, ReconcileResult};
use crate::engine::failure::ReconcileError;
use crate::engine::identity::course::Course;
use crate::engine::identity::inputs::uid;
use crate::engine::identity::reconcile::try_reconcile;
use crate::engine::identity::{fail_closed, recovery_reconcile, succession, write_permit};
use crate::identity::desired;
use crate::identity::status;
use crate::identity::validity::Phase;
use crate::telemetry::trace;

/// Reconciles one resource.
pub async fn reconcile(
    object: Arc<IdentityObject>,
    controller: Arc<Controller>,
) -> Result<ReconcileResult, kube::Error> {
    let object = controller.seen.identity_mutations.newest(&object);
    trace::note_generation(&*object);
    let Ok(resource) = &object.0 else { return unreadable::reconcile(&object, &controller).await };
    let engine = surroundings::engine(&controller);
    controller.memory.see(&uid(resource), has_finalizer(resource, IDENTITY_FINALIZER));
    if resource.metadata.deletion_timestamp.is_some() {
        write_permit::withdraw(resource, engine);
        return cleanup::reconcile(resource, &controller).await;
    }
    if let Some((condition, successor)) = succession::told(resource, engine) {
        write_permit::withdraw(resource, engine);
        let result = finish(resource, Err(ReconcileError::Refused(condition)), Course::default(), &controller).await;
        // Whoever takes over waits for this to be said.
        controller.queues.enqueue_identities([successor], Priority::Arrived);
        return result;
    }
    let handling = desired::handling(&resource.spec);
    let mut course = Course { lapse: recovery_reconcile::expire(resource, engine.secrets).await, ..Course::default() };
    if handling.suspended {
        let status = status::suspended(subject(resource), course.recovery(), Timestamp::now());
        let expiry = expiry(Some(&status));
        write(resource, status, &controller).await?;
        return Ok(again(None, expiry).into());
    }
    course.boundary = desired::phase(&resource.spec, Timestamp::now()).and_then(Phase::boundary);
    let mut result = try_reconcile(resource, handling, engine).await;
    if !matches!(result, Err(ReconcileError::Queued(_))) {
        write_permit::withdraw(resource, engine);
    }
    if let Err(failure) = result {
        result = Err(fail_closed::after(failure, resource, &handling, &mut course, engine).await);
    }
    finish(resource, result, course, &controller).await
}
