//! What a run of a policy begins with: the policy's instance, that instance's consent, and where the policy stands.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::run_permits::RunPermits;
use super::surroundings::Engine;
use crate::api::identity::InstanceRef;
use crate::api::session_policy::KratosSessionPolicy;
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Others;
use crate::engine::failure::{self, ReconcileError, Sent};
use crate::instance::Handle;
use crate::instance::rules;
use crate::kratos::{Error, Initiator, WriteCause, Writer};
use crate::policy::action;
use crate::policy::desired::PolicyScope;
use crate::telemetry::trace::TraceId;

/// When to check again for an instance that is being deleted.
const GOING: Duration = Duration::from_secs(10);

/// What a run stands on.
pub struct Inputs {
    pub instance: Arc<Handle>,
    /// The policy's.
    pub uid: String,
    /// The policy's namespace, and the uid that it has now, once the reach is bound by it: one that was made anew under its
    /// name is another.
    pub namespace: String,
    pub namespace_uid: String,
    /// Whether the policy stands in the instance's own namespace, and so reaches every session.
    pub beside_instance: bool,
    /// The time of the run: all sessions are judged by the same.
    pub now: Timestamp,
    permits: RunPermits,
    initiator: Initiator,
}

/// Where the instance of a policy stands: named by its spec, else the default one.
pub fn instance_key(policy: &KratosSessionPolicy, default: Option<&NamespacedName>) -> Option<NamespacedName> {
    match &policy.spec.instance_ref {
        Some(InstanceRef { name, namespace }) => {
            let own = || policy.namespace().unwrap_or_default();
            Some(NamespacedName::new(namespace.clone().unwrap_or_else(own), name))
        }
        None => default.cloned(),
    }
}

/// The condition while the instance is on its way out.
pub fn leaving(instance: &NamespacedName) -> ReadyCondition {
    let instance = shown(&instance.to_string(), NAME);
    let message = format!("KratosInstance {instance} is being deleted; the operator waits for another one of its name");
    ReadyCondition::new(Reason::InstanceNotReady, message)
}

/// What a run stands on, as far as nobody has to be asked for it.
pub async fn gather(policy: &KratosSessionPolicy, engine: Engine<'_>) -> Result<Inputs, ReconcileError> {
    let Some(key) = instance_key(policy, engine.terms.default_instance.as_ref()) else {
        return Err(failure::unnamed().into());
    };
    let namespace = policy.namespace().unwrap_or_default();
    let instance = engine.instances.admitting(&key, &namespace).await?;
    if instance.is_deleting {
        return Err(ReconcileError::Retry { condition: leaving(&key), after: Some(GOING) });
    }
    let beside_instance = key.namespace == namespace;
    let turns = RunPermits::new(&instance.shared.run_limits, revokes_all(policy), &namespace);
    let (namespace_uid, now) = (String::new(), Timestamp::now());
    let uid = policy.uid().unwrap_or_default();
    let initiator = Initiator {
        kind: "KratosSessionPolicy",
        namespace: namespace.clone(),
        name: policy.name_any(),
        uid: uid.clone(),
        generation: policy.metadata.generation,
        cause: WriteCause::Spec,
        trace_id: TraceId::current().map(|id| id.to_string()),
    };
    Ok(Inputs { instance, uid, namespace, namespace_uid, beside_instance, now, permits: turns, initiator })
}

impl Inputs {
    /// The client that writes to Kratos for the policy, for this cause.
    pub fn writer(&self, cause: WriteCause) -> Writer {
        self.instance.client.on_behalf_of(&Arc::new(Initiator { cause, ..self.initiator.clone() }))
    }

    /// Waits for its turn to ask the instance for something, once others have had theirs. Those may have found it down.
    pub async fn next_permit(&self) -> Result<(), ReconcileError> {
        self.permits.next().await;
        self.ensure_available()
    }

    /// The same, with the namespace that bounds the reach, read live.
    pub async fn bound(mut self, others: &dyn Others) -> Result<Self, ReconcileError> {
        if !self.beside_instance {
            self.namespace_uid = others.namespace_uid(&self.namespace).await?.unwrap_or_default();
        }
        Ok(self)
    }

    pub fn scope(&self) -> PolicyScope {
        PolicyScope {
            instance: self.instance.key.clone(),
            beside_instance: self.beside_instance,
            trusts_addresses: self.instance.settings.trust_client_address,
        }
    }

    /// Nothing is sent to an instance that is down.
    pub fn ensure_available(&self) -> Result<(), ReconcileError> {
        if self.instance.shared.circuit_breaker.allows_requests() {
            Ok(())
        } else {
            Err(ReconcileError::Waiting(failure::unavailable()))
        }
    }

    /// Whether the instance's rules, which bound a policy elsewhere, can be asked: otherwise it does only what they don't
    /// bound.
    pub fn ensure_askable(&self) -> Result<(), ReconcileError> {
        if self.instance.rules.is_err() && !self.beside_instance {
            return Err(ReconcileError::Refused(rules::unaskable()));
        }
        Ok(())
    }

    /// What an error of Kratos means. An instance that gives no usable answer is left alone until a probe succeeds,
    /// and one that may not be well is probed.
    pub fn classify(&self, error: &Error) -> ReconcileError {
        let blame = self.instance.shared.circuit_breaker.failed(&self.uid, error);
        if blame.wants_probe {
            self.instance.calls.instance();
        }
        failure::classify(error, Sent::default(), blame.times)
    }
}

/// Whether there is a `revokeAll` that isn't done.
pub fn revokes_all(policy: &KratosSessionPolicy) -> bool {
    let wanted = policy.spec.actions.as_ref().and_then(|actions| actions.revoke_all.as_ref());
    let noted = policy.status.as_ref().and_then(|status| status.actions.as_ref());
    action::pending(wanted, noted.and_then(|actions| actions.revoke_all.as_ref())).is_some()
}
