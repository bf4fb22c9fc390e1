//! One run of a `KratosSessionPolicy`, from what the watch shows to what is written: `engine → status → write if changed`. What
//! is done to Kratos is `engine/policy/reconcile.rs`.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::controller::Controller;
use super::record;
use super::{surroundings, unreadable};
use crate::api::objects::PolicyObject;
use crate::api::session_policy::KratosSessionPolicy;
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::engine::policy::inputs;
use crate::engine::policy::reconcile::{PartialRun, subject, try_reconcile};
use crate::policy::desired;
use crate::policy::status;
use crate::telemetry::trace;

/// Runs one policy, where it is this operator that speaks for its instance.
pub async fn reconcile(object: Arc<PolicyObject>, controller: Arc<Controller>) -> Result<ReconcileResult, kube::Error> {
    let object = controller.seen.policy_mutations.newest(&object);
    trace::note_generation(&*object);
    let Ok(policy) = &object.0 else { return unreadable::reconcile(&object, &controller).await };
    let Some(key) = inputs::instance_key(policy, controller.seen.default_instance.as_ref()) else {
        return run_once(policy, true, &controller).await;
    };
    trace::note_instance(&key);
    let beside_instance = policy.namespace().as_ref() == Some(&key.namespace);
    // Whoever leads next has all of them run.
    controller
        .instance_leases
        .while_leading(&key, run_once(policy, beside_instance, &controller))
        .await
        .unwrap_or(Ok(Requeue::OnChange.into()))
}

async fn run_once(
    policy: &KratosSessionPolicy,
    beside_instance: bool,
    controller: &Controller,
) -> Result<ReconcileResult, kube::Error> {
    if policy.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::OnChange.into());
    }
    let handling = desired::handling(&policy.spec, beside_instance);
    if handling.suspended {
        let (subject, now) = (subject(policy), Timestamp::now());
        let mut status = status::suspended(subject, now);
        status::note_interval(&mut status, handling, subject.generation, now);
        record::write(policy, status, controller).await?;
        return Ok(Requeue::OnChange.into());
    }
    let asked = subject(policy);
    let uid = policy.uid().unwrap_or_default();
    let for_what = (asked.generation, asked.requested_at);
    if let Err(wait) = controller.runs.begin(&uid, for_what, handling.interval, Instant::now()) {
        return Ok(Requeue::After(wait).into());
    }
    let mut policy = policy.clone();
    let mut left = PartialRun::default();
    let result = try_reconcile(&mut policy, handling, &mut left, surroundings::engine(controller)).await;
    let finished = record::finish(&policy, handling, result, left, controller).await;
    if finished.is_err() {
        controller.runs.want(&uid);
    }
    finished
}
