//! What the engine of policies asks for, as traits: its controller implements them with Kubernetes.

use crate::api::session_policy::{KratosSessionPolicy, KratosSessionPolicyStatus};
use crate::engine::cluster::{Answered, Instances, Others, Terms};
use crate::telemetry::metrics::sessions::Sessions;

/// The intent, which is noted before all sessions are ended.
pub trait Intents: Send + Sync {
    /// Writes the status, unless the policy was changed meanwhile. The policy as it is then; `None`: it can't be read any more.
    fn begin<'a>(
        &'a self,
        policy: &'a KratosSessionPolicy,
        status: &'a KratosSessionPolicyStatus,
    ) -> Answered<'a, Option<KratosSessionPolicy>>;
}

#[derive(Clone, Copy)]
pub struct Engine<'a> {
    pub terms: &'a Terms,
    pub instances: &'a dyn Instances,
    pub others: &'a dyn Others,
    pub intents: &'a dyn Intents,
    /// What was done to sessions is counted there.
    pub sessions: &'a Sessions,
}
