//! What the controller of `KratosSessionPolicy` works with.

use std::sync::Arc;

use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::flow::leadership::Leadership;
use crate::controllers::leading::lease::InstanceLeases;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::admission::Admission;
use crate::controllers::shared::informers::Informers;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::policy_runs::Runs;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::controllers::watching::watches::Watching;
use crate::engine::cluster::Terms;
use crate::kubernetes::events::EventRecorder;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct Controller {
    pub client: kube::Client,
    pub kubernetes: Arc<FairSemaphore>,
    pub terms: Arc<Terms>,
    pub seen: Arc<Informers>,
    pub admission: Arc<Admission>,
    pub neighbours: Arc<Neighbours>,
    pub runs: Arc<Runs>,
    pub access: Arc<Access>,
    pub queues: WorkQueues,
    pub events: Arc<EventRecorder>,
    pub metrics: Arc<Metrics>,
    pub watching: Watching,
    pub instance_leases: Arc<InstanceLeases>,
    pub leadership: Leadership,
    /// Whether another process may write about the same resources, or may have done so just before.
    pub has_concurrent_writers: bool,
}
