//! What a reconcile of an identity begins with: the instance, the instance's consent, and who is asking.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use crate::api::identity::{InstanceRef, KratosIdentity};
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::{Deletions, Engine};
use crate::engine::failure::{self, ReconcileError, Sent};
use crate::identity::claim::Claimant;
use crate::identity::reference;
use crate::instance::{Handle, rules};
use crate::kratos::{Error, Initiator, WriteCause};
use crate::telemetry::trace::{self, TraceId};

/// How much is shown of where an instance stands, beside a namespace, in characters; and of that.
pub const PLACE: usize = 44;
const NAMESPACE: usize = 40;

/// What a reconcile stands on.
pub struct Inputs {
    pub instance: Arc<Handle>,
    pub claimant: Claimant,
    /// On whose behalf Kratos is written to.
    pub initiator: Arc<Initiator>,
}

impl Inputs {
    pub fn new(resource: &KratosIdentity, instance: Arc<Handle>, claimant: Claimant, cause: WriteCause) -> Self {
        let initiator = Initiator {
            kind: "KratosIdentity",
            namespace: claimant.namespace.clone(),
            name: claimant.name.clone(),
            uid: claimant.uid.clone(),
            generation: resource.metadata.generation,
            cause,
            trace_id: TraceId::current().map(|id| id.to_string()),
        };
        Self { instance, claimant, initiator: Arc::new(initiator) }
    }

    /// Nothing is sent to an instance that is down.
    pub fn ensure_available(&self) -> Result<(), ReconcileError> {
        if self.instance.shared.circuit_breaker.allows_requests() {
            Ok(())
        } else {
            Err(ReconcileError::Waiting(failure::unavailable()))
        }
    }

    /// Nothing is made or deleted where so many identities are missing that it may be the wrong Kratos.
    pub fn ensure_whole(&self, deletions: &dyn Deletions) -> Result<(), ReconcileError> {
        if deletions.misses_identities(&self.instance) {
            let what = "holds back until somebody has looked whether it is the right Kratos; see its status";
            return Err(ReconcileError::Waiting(not_ready(&self.instance.key, what)));
        }
        Ok(())
    }

    /// What an error of Kratos means. An instance that gives no usable answer is left alone until a probe succeeds,
    /// and one that may not be well is probed.
    pub fn classify(&self, error: &Error, sent: Sent<'_>) -> ReconcileError {
        let blame = self.instance.shared.circuit_breaker.failed(&self.claimant.uid, error);
        if blame.wants_probe {
            self.instance.calls.instance();
        }
        failure::classify(error, sent, blame.times)
    }
}

/// The instance that a resource refers to, as its status names it.
pub fn reference(key: &NamespacedName) -> InstanceRef {
    InstanceRef { name: key.name.clone(), namespace: Some(key.namespace.clone()) }
}

/// Where the instance of a resource stands. `InvalidSpec` where the spec names another one than was chosen before.
pub fn instance_key(
    resource: &KratosIdentity,
    default: Option<&NamespacedName>,
) -> Result<NamespacedName, ReadyCondition> {
    let Some(key) = reference::instance_of(resource, default).inspect(trace::note_instance) else {
        return Err(failure::unnamed());
    };
    let pinned = resource.status.as_ref().and_then(|status| status.instance.clone());
    match pinned {
        Some(pinned) if pinned != reference(&key) => {
            let chosen = format!("{}/{}", pinned.namespace.unwrap_or_default(), pinned.name);
            Err(pinned_to(&chosen))
        }
        _ => Ok(key),
    }
}

/// The condition where another instance is named than the one that the identity lives in.
pub fn pinned_to(chosen: &str) -> ReadyCondition {
    let message = format!(
        "the identity lives in KratosInstance {}; instanceRef can't name another one: name that, or make a new resource",
        shown(chosen, NAME)
    );
    ReadyCondition::new(Reason::InvalidSpec, message)
}

/// Waits for the instance; each of its changes enqueues the resources that refer to it.
pub fn later(condition: ReadyCondition) -> ReconcileError {
    ReconcileError::Retry { condition, after: Some(Duration::from_mins(5)) }
}

pub fn not_ready(key: &NamespacedName, what: &str) -> ReadyCondition {
    let key = shown(&key.to_string(), NAME);
    ReadyCondition::new(Reason::InstanceNotReady, format!("KratosInstance {key} {what}"))
}

pub fn not_permitted(key: &NamespacedName, namespace: &str) -> ReadyCondition {
    let message = format!(
        "KratosInstance {} doesn't admit namespace {}, or isn't served; ask its administrators \
         for spec.allowedNamespaces",
        shown(&key.to_string(), PLACE),
        shown(namespace, NAMESPACE)
    );
    ReadyCondition::new(Reason::NotPermitted, message)
}

/// The resource's uid.
pub fn uid(resource: &KratosIdentity) -> String {
    resource.uid().unwrap_or_default()
}

/// Everything for a resource that isn't being deleted.
pub async fn gather(
    resource: &KratosIdentity,
    key: &NamespacedName,
    engine: Engine<'_>,
) -> Result<Inputs, ReconcileError> {
    let namespace = resource.namespace().unwrap_or_default();
    let instance = engine.instances.admitting(key, &namespace).await?;
    if instance.is_deleting {
        return Err(later(not_ready(key, "is being deleted; nothing new is made through it, see its status")));
    }
    let claimant = engine.instances.claimant(resource, &instance).await?;
    if instance.rules.is_err() && !claimant.beside_instance {
        return Err(ReconcileError::Refused(rules::unaskable()));
    }
    Ok(Inputs::new(resource, instance, claimant, WriteCause::Spec))
}
