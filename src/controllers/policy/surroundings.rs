//! What the engine of policies is given of Kubernetes.

use futures::FutureExt;
use kube::Api;

use crate::api::objects::PolicyObject;
use crate::api::session_policy::{KratosSessionPolicy, KratosSessionPolicyStatus};
use crate::controllers::context::Context;
use crate::engine::cluster::Answered;
use crate::engine::policy::surroundings::{Engine, Intents};
use crate::kubernetes::kube_write;

/// The engine, within this cluster.
pub fn engine(context: &Context) -> Engine<'_> {
    Engine {
        terms: &context.terms,
        instances: context,
        others: context,
        intents: context,
        sessions: &context.metrics.sessions,
    }
}

impl Intents for Context {
    fn begin<'a>(
        &'a self,
        policy: &'a KratosSessionPolicy,
        status: &'a KratosSessionPolicyStatus,
    ) -> Answered<'a, Option<KratosSessionPolicy>> {
        async move {
            let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
            let api = Api::<PolicyObject>::namespaced(self.client.clone(), namespace);
            let written = kube_write::guarded_status(&api, policy, status).await?;
            self.latest_policies.note(written.clone());
            Ok(written.0.ok())
        }
        .boxed()
    }
}
