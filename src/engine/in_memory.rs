//! A cluster in memory: what the engine needs, without Kubernetes. For tests of the engine, and for manifests without a
//! cluster. Every deletion is granted, this process leads for every instance, and nobody is enqueued.

mod instances;
mod kept;
mod resources;
mod secrets;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use uuid::Uuid;

use self::kept::Kept;
use super::cluster::{Engine, Terms};
use super::failure::Halt;
use super::identity::inputs::uid;
use super::identity::look::look;
use super::identity::memory::Memory;
use super::identity::release::{Release, release};
use super::identity::taking::Turns;
use super::policy;
use crate::api::happening::Happening;
use crate::api::identity::KratosIdentity;
use crate::api::session_policy::KratosSessionPolicy;
use crate::api::{IDENTITY_FINALIZER, Verdict, carries};
use crate::base::flow::leadership::Leadership;
use crate::base::place::Place;
use crate::identity::desired;
use crate::identity::digest_key::DigestKey;
use crate::identity::status::{self, Subject};
use crate::instance::Registry;
use crate::policy::desired as policies;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct InMemory {
    terms: Terms,
    registry: Registry,
    memory: Memory,
    turns: Turns,
    leadership: Leadership,
    metrics: Metrics,
    key: Arc<DigestKey>,
    state: Mutex<State>,
}

/// What there is.
#[derive(Default)]
struct State {
    resources: BTreeMap<Place, KratosIdentity>,
    namespaces: BTreeMap<String, ObjectMeta>,
    secrets: BTreeMap<Place, Kept>,
    happened: Vec<(Place, Happening)>,
}

impl InMemory {
    /// A cluster of this id, in which nothing is.
    pub fn new(cluster_id: impl Into<String>) -> Self {
        let terms = Terms {
            cluster_id: cluster_id.into(),
            default_instance: None,
            namespaces: None,
            writes_recovery_secrets: true,
            is_shared: false,
        };
        Self {
            terms,
            registry: Registry::default(),
            memory: Memory::default(),
            turns: Turns::default(),
            leadership: Leadership::unopposed(),
            metrics: Metrics::new(),
            key: Arc::new(DigestKey::new("in-memory", rand::random::<[u8; 32]>().to_vec())),
            state: Mutex::default(),
        }
    }

    /// Makes a namespace.
    pub fn add_namespace(&self, name: &str, labels: BTreeMap<String, String>) {
        let uid = Some(Uuid::from_u128(rand::random()).to_string());
        let labels = Some(labels);
        let metadata = ObjectMeta { name: Some(name.to_owned()), uid, labels, ..ObjectMeta::default() };
        self.state().namespaces.insert(name.to_owned(), metadata);
    }

    /// Puts a value into a Secret.
    pub fn add_secret(&self, secret: &Place, key: &str, value: &[u8]) {
        let mut state = self.state();
        state.secrets.entry(secret.clone()).or_default().values.insert(key.to_owned(), value.to_vec());
    }

    /// What a Secret has under a key.
    pub fn secret(&self, secret: &Place, key: &str) -> Option<Vec<u8>> {
        self.state().secrets.get(secret)?.values.get(key).cloned()
    }

    /// Makes a resource, or gives it another spec.
    pub fn apply(&self, mut resource: KratosIdentity) {
        let place = Place::of(&resource);
        let mut state = self.state();
        let metadata = resource.meta_mut();
        if let Some(before) = state.resources.get(&place) {
            let generation = before.metadata.generation.map(|generation| generation + 1);
            let labels = metadata.labels.take();
            *metadata = ObjectMeta { generation, labels, ..before.metadata.clone() };
            resource.status.clone_from(&before.status);
        } else {
            metadata.generation = Some(1);
            metadata.uid = Some(Uuid::from_u128(rand::random()).to_string());
            metadata.creation_timestamp = Some(Time(Timestamp::now()));
        }
        state.resources.insert(place, resource);
    }

    /// Asks for the deletion of a resource. It is gone once its identity is dealt with.
    pub fn delete(&self, resource: &Place) {
        if let Some(resource) = self.state().resources.get_mut(resource) {
            resource.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
        }
    }

    /// A resource, as it stands.
    pub fn resource(&self, resource: &Place) -> Option<KratosIdentity> {
        self.state().resources.get(resource).cloned()
    }

    /// What happened to a resource, by its reasons.
    pub fn happened(&self, resource: &Place) -> Vec<String> {
        let state = self.state();
        let to = state.happened.iter().filter(|(place, _)| place == resource);
        to.map(|(_, happening)| happening.reason.clone()).collect()
    }

    /// One look at a resource; `None`: it is gone. What was found is kept in its status.
    pub async fn look(&self, place: &Place) -> Result<Option<Verdict>, Halt> {
        let Some(resource) = self.resource(place) else { return Ok(None) };
        self.memory.see(&uid(&resource), carries(&resource, IDENTITY_FINALIZER));
        if resource.metadata.deletion_timestamp.is_some() {
            return match release(&resource, self.engine()).await? {
                Release::Superseded(_) => Ok(None),
                _ => {
                    self.state().resources.remove(place);
                    self.memory.forget(&uid(&resource));
                    Ok(None)
                }
            };
        }
        let outcome = look(&resource, desired::handling(&resource.spec), self.engine()).await?;
        let verdict = outcome.verdict.clone();
        let generation = resource.metadata.generation.unwrap_or_default();
        let subject = Subject { generation, requested_at: None, current: resource.status.as_ref() };
        let status = status::next(subject, outcome, Timestamp::now());
        if let Some(resource) = self.state().resources.get_mut(place) {
            resource.status = Some(status);
        }
        Ok(Some(verdict))
    }

    /// One run of a policy.
    pub async fn run(&self, policy: &mut KratosSessionPolicy) -> Result<Verdict, Halt> {
        let place = policy::inputs::instance_place(policy, self.terms.default_instance.as_ref());
        let is_beside = place.is_some_and(|place| policy.namespace() == Some(place.namespace));
        let handling = policies::handling(&policy.spec, is_beside);
        policy::look::look(policy, handling, &mut policy::look::Left::default(), self.policies()).await
    }

    /// The engine of resources, within this cluster.
    pub fn engine(&self) -> Engine<'_> {
        Engine {
            terms: &self.terms,
            memory: &self.memory,
            turns: &self.turns,
            leadership: &self.leadership,
            secrets: self,
            instances: self,
            others: self,
            deletions: self,
            intents: self,
            listener: self,
        }
    }

    /// The engine of policies, within this cluster.
    pub fn policies(&self) -> policy::surroundings::Engine<'_> {
        policy::surroundings::Engine {
            terms: &self.terms,
            instances: self,
            others: self,
            intents: self,
            sessions: &self.metrics.sessions,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
