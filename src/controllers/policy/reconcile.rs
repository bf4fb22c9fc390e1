//! One run of a `KratosSessionPolicy`, from what the watch shows to what is written: `look → status → write if changed`.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::controller::Controller;
use super::record;
use super::{surroundings, unreadable};
use crate::api::objects::PolicyObject;
use crate::api::session_policy::KratosSessionPolicy;
use crate::controllers::queue::{Looked, Next};
use crate::engine::policy::inputs;
use crate::engine::policy::look::{Left, look, subject};
use crate::policy::desired;
use crate::policy::status;
use crate::telemetry::trace;

/// Runs one policy, where it is this operator that speaks for its instance.
pub async fn reconcile(object: Arc<PolicyObject>, controller: Arc<Controller>) -> Result<Looked, kube::Error> {
    let object = controller.seen.latest_policies.of(&object);
    trace::note_generation(&*object);
    let Ok(policy) = &object.0 else { return unreadable::reconcile(&object, &controller).await };
    let Some(place) = inputs::instance_place(policy, controller.seen.default_instance.as_ref()) else {
        return run_once(policy, true, &controller).await;
    };
    trace::note_instance(&place);
    let beside_instance = policy.namespace().as_ref() == Some(&place.namespace);
    // Whoever leads next has all of them run.
    controller
        .leads
        .while_speaking(&place, run_once(policy, beside_instance, &controller))
        .await
        .unwrap_or(Ok(Next::WhenAsked.into()))
}

async fn run_once(
    policy: &KratosSessionPolicy,
    beside_instance: bool,
    controller: &Controller,
) -> Result<Looked, kube::Error> {
    if policy.metadata.deletion_timestamp.is_some() {
        return Ok(Next::WhenAsked.into());
    }
    let handling = desired::handling(&policy.spec, beside_instance);
    if handling.suspended {
        let (subject, now) = (subject(policy), Timestamp::now());
        let mut status = status::suspended(subject, now);
        status::note_interval(&mut status, handling, subject.generation, now);
        record::write(policy, status, controller).await?;
        return Ok(Next::WhenAsked.into());
    }
    let asked = subject(policy);
    let uid = policy.uid().unwrap_or_default();
    let for_what = (asked.generation, asked.requested_at);
    if let Err(wait) = controller.runs.begin(&uid, for_what, handling.interval, Instant::now()) {
        return Ok(Next::After(wait).into());
    }
    let mut policy = policy.clone();
    let mut left = Left::default();
    let result = look(&mut policy, handling, &mut left, surroundings::engine(controller)).await;
    let finished = record::finish(&policy, handling, result, left, controller).await;
    if finished.is_err() {
        controller.runs.want(&uid);
    }
    finished
}
