//! What the controller of `KratosIdentity` works with.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::api::objects::IdentityObject;
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::flow::leadership::Leadership;
use crate::controllers::leading::lease::InstanceLeases;
use crate::controllers::secrets::operator_key::OperatorKey;
use crate::controllers::secrets::rotation::Rotation;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::admission::Admission;
use crate::controllers::shared::informers::Informers;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::policy_triggers::PolicyTriggers;
use crate::controllers::shared::replaces_index::ReplacesIndex;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::controllers::watching::watches::Watching;
use crate::engine::cluster::{Deletions, Terms};
use crate::engine::identity::adoption_locks::AdoptionLocks;
use crate::engine::identity::memory::Memory;
use crate::identity::birth::Leading;
use crate::instance::Registry;
use crate::kubernetes::events::EventRecorder;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct Controller {
    pub client: kube::Client,
    /// Bounds the requests to the API server that reconciles of identities send: thousands may be waiting.
    pub kubernetes: Arc<FairSemaphore>,
    pub options: Arc<Options>,
    pub terms: Arc<Terms>,
    pub seen: Arc<Informers>,
    pub registry: Arc<Registry>,
    pub admission: Arc<Admission>,
    pub neighbours: Arc<Neighbours>,
    pub deletions: Arc<dyn Deletions>,
    pub memory: Arc<Memory>,
    /// Since when this process leads, as versions of identities go.
    pub leading: Leading<IdentityObject>,
    pub adoption_locks: AdoptionLocks,
    pub rotation: Arc<Rotation>,
    pub operator_key: OperatorKey,
    /// Which resources replace others, as far as the watch shows.
    pub replaces_index: Arc<ReplacesIndex>,
    pub access: Arc<Access>,
    pub queues: WorkQueues,
    pub policy_triggers: PolicyTriggers,
    /// Has namespaces read again now, where they can't be watched.
    pub namespaces_changed: Arc<Notify>,
    pub events: Arc<EventRecorder>,
    pub metrics: Arc<Metrics>,
    pub watching: Watching,
    pub instance_leases: Arc<InstanceLeases>,
    pub leadership: Leadership,
    /// Whether another process may write about the same resources, or may have done so just before.
    pub has_concurrent_writers: bool,
}
