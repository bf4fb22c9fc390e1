//! What the controller of `KratosInstance` works with.

use std::sync::Arc;

use crate::base::flow::leadership::Leadership;
use crate::base::supervise::Tasks;
use crate::controllers::leading::lease::InstanceLeases;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::informers::Informers;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::policy_triggers::PolicyTriggers;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::controllers::watching::watches::Watching;
use crate::engine::cluster::Terms;
use crate::engine::identity::memory::Memory;
use crate::instance::Registry;
use crate::instance::status::Cluster;
use crate::kubernetes::events::EventRecorder;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct Controller {
    pub client: kube::Client,
    pub options: Arc<Options>,
    pub terms: Arc<Terms>,
    /// How many identities are reconciled at the same time.
    pub max_concurrent_reconciles: usize,
    pub seen: Arc<Informers>,
    pub registry: Arc<Registry>,
    pub neighbours: Arc<Neighbours>,
    pub memory: Arc<Memory>,
    /// Which rights the operator was found to lack.
    pub access: Arc<Access>,
    pub queues: WorkQueues,
    pub policy_triggers: PolicyTriggers,
    pub events: Arc<EventRecorder>,
    pub metrics: Arc<Metrics>,
    /// What is written to Kratos is noted there.
    pub audit_log: Option<Arc<AuditLog>>,
    pub watching: Watching,
    /// Runs what goes on in the background.
    pub tasks: Tasks,
    /// For which instances this process speaks.
    pub instance_leases: Arc<InstanceLeases>,
    /// Whether this process works at all: others may lead.
    pub leadership: Leadership,
    /// Whether another process may write about the same resources, or may have done so just before.
    pub has_concurrent_writers: bool,
}

impl Controller {
    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { id: &self.terms.cluster_id, is_claimed: self.options.cluster_id.is_some() }
    }
}
