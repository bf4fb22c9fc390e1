//! What the engine of policies is given of Kubernetes: implements the traits of `engine/policy/surroundings.rs`.

use futures::FutureExt;

use super::controller::Controller;
use super::record::api;
use crate::api::session_policy::{KratosSessionPolicy, KratosSessionPolicyStatus};
use crate::engine::cluster::Answered;
use crate::engine::policy::surroundings::{Engine, Intents};
use crate::kubernetes::kube_write;

/// The engine, within this cluster.
pub fn engine(controller: &Controller) -> Engine<'_> {
    Engine {
        terms: &controller.terms,
        instances: controller.admission.as_ref(),
        others: controller.neighbours.as_ref(),
        intents: controller,
        sessions: &controller.metrics.sessions,
    }
}

impl Intents for Controller {
    fn begin<'a>(
        &'a self,
        policy: &'a KratosSessionPolicy,
        status: &'a KratosSessionPolicyStatus,
    ) -> Answered<'a, Option<KratosSessionPolicy>> {
        async move {
            let written = kube_write::guarded_status(&api(policy, self), policy, status).await?;
            self.seen.policy_mutations.note(written.clone());
            Ok(written.0.ok())
        }
        .boxed()
    }
}
