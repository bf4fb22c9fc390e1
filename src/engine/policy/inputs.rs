//! What a run stands on: the policy's instance, that instance's consent, and where the policy stands.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::surroundings::Engine;
use super::turn::Turns;
use crate::api::identity::InstanceRef;
use crate::api::session_policy::KratosSessionPolicy;
use crate::api::words::{NAME, shown};
use crate::api::{Reason, Verdict};
use crate::base::place::Place;
use crate::engine::cluster::Others;
use crate::engine::failure::{self, Halt, Sent};
use crate::instance::Handle;
use crate::instance::rules;
use crate::kratos::{Error, Initiator, WriteCause, Writer};
use crate::policy::action;
use crate::policy::desired::Standing;
use crate::telemetry::trace::TraceId;

/// Where to look again for an instance that is going.
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
    turns: Turns,
    initiator: Initiator,
}

/// Where the instance of a policy stands: named by its spec, else the default one.
pub fn instance_place(policy: &KratosSessionPolicy, default: Option<&Place>) -> Option<Place> {
    match &policy.spec.instance_ref {
        Some(InstanceRef { name, namespace }) => {
            let own = || policy.namespace().unwrap_or_default();
            Some(Place::new(namespace.clone().unwrap_or_else(own), name))
        }
        None => default.cloned(),
    }
}

/// The verdict while the instance is on its way out.
pub fn leaving(instance: &Place) -> Verdict {
    let instance = shown(&instance.to_string(), NAME);
    let message = format!("KratosInstance {instance} is being deleted; the operator waits for another one of its name");
    Verdict::new(Reason::InstanceNotReady, message)
}

/// What a run stands on, as far as nobody has to be asked for it.
pub async fn gather(policy: &KratosSessionPolicy, engine: Engine<'_>) -> Result<Inputs, Halt> {
    let Some(place) = instance_place(policy, engine.terms.default_instance.as_ref()) else {
        return Err(failure::unnamed().into());
    };
    let namespace = policy.namespace().unwrap_or_default();
    let instance = engine.instances.admitting(&place, &namespace).await?;
    if instance.is_deleting {
        return Err(Halt::Retry { verdict: leaving(&place), after: Some(GOING) });
    }
    let beside_instance = place.namespace == namespace;
    let turns = Turns::new(&instance.shared.session_turns, revokes_all(policy), &namespace);
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
    Ok(Inputs { instance, uid, namespace, namespace_uid, beside_instance, now, turns, initiator })
}

impl Inputs {
    /// The client that writes to Kratos for the policy, for this cause.
    pub fn writer(&self, cause: WriteCause) -> Writer {
        self.instance.client.on_behalf_of(&Arc::new(Initiator { cause, ..self.initiator.clone() }))
    }

    /// Waits for its turn to ask the instance for something, once others have had theirs. Those may have found it down.
    pub async fn turn(&self) -> Result<(), Halt> {
        self.turns.next().await;
        self.ensure_open()
    }

    /// The same, with the namespace that bounds the reach, read live.
    pub async fn bound(mut self, others: &dyn Others) -> Result<Self, Halt> {
        if !self.beside_instance {
            self.namespace_uid = others.namespace_uid(&self.namespace).await?.unwrap_or_default();
        }
        Ok(self)
    }

    pub fn standing(&self) -> Standing {
        Standing {
            instance: self.instance.place.clone(),
            beside_instance: self.beside_instance,
            trusts_addresses: self.instance.settings.trust_client_address,
        }
    }

    /// Nothing is sent to an instance that is down.
    pub fn ensure_open(&self) -> Result<(), Halt> {
        if self.instance.shared.gate.is_open() { Ok(()) } else { Err(Halt::Waiting(failure::unavailable())) }
    }

    /// Whether the instance's rules, which bound a policy elsewhere, can be asked: otherwise it does only what they don't
    /// bound.
    pub fn ensure_askable(&self) -> Result<(), Halt> {
        if self.instance.rules.is_err() && !self.beside_instance {
            return Err(Halt::Refused(rules::unaskable()));
        }
        Ok(())
    }

    /// The halt for an error of Kratos. An instance that gives no usable answer is left alone until a probe succeeds,
    /// and one that may not be well is probed.
    pub fn halt(&self, error: &Error) -> Halt {
        let blame = self.instance.shared.gate.failed(&self.uid, error);
        if blame.wants_probe {
            self.instance.calls.instance();
        }
        failure::halt(error, Sent::default(), blame.times)
    }
}

/// Whether there is a `revokeAll` that isn't done.
pub fn revokes_all(policy: &KratosSessionPolicy) -> bool {
    let wanted = policy.spec.actions.as_ref().and_then(|actions| actions.revoke_all.as_ref());
    let noted = policy.status.as_ref().and_then(|status| status.actions.as_ref());
    action::pending(wanted, noted.and_then(|actions| actions.revoke_all.as_ref())).is_some()
}
