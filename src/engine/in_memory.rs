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
use super::failure::ReconcileError;
use super::identity::adoption_locks::AdoptionLocks;
use super::identity::cleanup::{Cleanup, clean_up};
use super::identity::inputs::uid;
use super::identity::memory::Memory;
use super::identity::reconcile::try_reconcile;
use super::policy;
use crate::api::identity::KratosIdentity;
use crate::api::recorded_event::RecordedEvent;
use crate::api::session_policy::KratosSessionPolicy;
use crate::api::{IDENTITY_FINALIZER, ReadyCondition, has_finalizer};
use crate::base::flow::leadership::Leadership;
use crate::base::namespaced_name::NamespacedName;
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
    adoption_locks: AdoptionLocks,
    leadership: Leadership,
    metrics: Metrics,
    key: Arc<DigestKey>,
    state: Mutex<State>,
}

/// What there is.
#[derive(Default)]
struct State {
    resources: BTreeMap<NamespacedName, KratosIdentity>,
    namespaces: BTreeMap<String, ObjectMeta>,
    secrets: BTreeMap<NamespacedName, Kept>,
    happened: Vec<(NamespacedName, RecordedEvent)>,
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
            adoption_locks: AdoptionLocks::default(),
            leadership: Leadership::without_election(),
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
    pub fn add_secret(&self, secret: &NamespacedName, key: &str, value: &[u8]) {
        let mut state = self.state();
        state.secrets.entry(secret.clone()).or_default().values.insert(key.to_owned(), value.to_vec());
    }

    /// What a Secret has under a key.
    pub fn secret(&self, secret: &NamespacedName, key: &str) -> Option<Vec<u8>> {
        self.state().secrets.get(secret)?.values.get(key).cloned()
    }

    /// Makes a resource, or gives it another spec.
    pub fn apply(&self, mut resource: KratosIdentity) {
        let key = NamespacedName::of(&resource);
        let mut state = self.state();
        let metadata = resource.meta_mut();
        if let Some(before) = state.resources.get(&key) {
            let generation = before.metadata.generation.map(|generation| generation + 1);
            let labels = metadata.labels.take();
            *metadata = ObjectMeta { generation, labels, ..before.metadata.clone() };
            resource.status.clone_from(&before.status);
        } else {
            metadata.generation = Some(1);
            metadata.uid = Some(Uuid::from_u128(rand::random()).to_string());
            metadata.creation_timestamp = Some(Time(Timestamp::now()));
        }
        state.resources.insert(key, resource);
    }

    /// Asks for the deletion of a resource. It is gone once its identity is dealt with.
    pub fn delete(&self, resource: &NamespacedName) {
        if let Some(resource) = self.state().resources.get_mut(resource) {
            resource.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
        }
    }

    /// A resource, as it stands.
    pub fn resource(&self, resource: &NamespacedName) -> Option<KratosIdentity> {
        self.state().resources.get(resource).cloned()
    }

    /// What happened to a resource, by its reasons.
    pub fn happened(&self, resource: &NamespacedName) -> Vec<String> {
        let state = self.state();
        let to = state.happened.iter().filter(|(key, _)| key == resource);
        to.map(|(_, event)| event.reason.clone()).collect()
    }

    /// One reconcile of a resource; `None`: it is gone. What was found is kept in its status.
    pub async fn reconcile(&self, key: &NamespacedName) -> Result<Option<ReadyCondition>, ReconcileError> {
        let Some(resource) = self.resource(key) else { return Ok(None) };
        self.memory.see(&uid(&resource), has_finalizer(&resource, IDENTITY_FINALIZER));
        if resource.metadata.deletion_timestamp.is_some() {
            if !matches!(clean_up(&resource, self.engine()).await?, Cleanup::Superseded(_)) {
                self.state().resources.remove(key);
                self.memory.forget(&uid(&resource));
            }
            return Ok(None);
        }
        let outcome = try_reconcile(&resource, desired::handling(&resource.spec), self.engine()).await?;
        let condition = outcome.condition.clone();
        let generation = resource.metadata.generation.unwrap_or_default();
        let subject = Subject { generation, requested_at: None, current: resource.status.as_ref() };
        let status = status::next(subject, outcome, Timestamp::now());
        if let Some(resource) = self.state().resources.get_mut(key) {
            resource.status = Some(status);
        }
        Ok(Some(condition))
    }

    /// One run of a policy.
    pub async fn run(&self, policy: &mut KratosSessionPolicy) -> Result<ReadyCondition, ReconcileError> {
        let key = policy::inputs::instance_key(policy, self.terms.default_instance.as_ref());
        let is_beside = key.is_some_and(|key| policy.namespace() == Some(key.namespace));
        let handling = policies::handling(&policy.spec, is_beside);
        policy::reconcile::try_reconcile(
            policy,
            handling,
            &mut policy::reconcile::PartialRun::default(),
            self.policies(),
        )
        .await
    }

    /// The engine of resources, within this cluster.
    pub fn engine(&self) -> Engine<'_> {
        Engine {
            terms: &self.terms,
            memory: &self.memory,
            adoption_locks: &self.adoption_locks,
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
