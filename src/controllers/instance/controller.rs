//! What the controller of `KratosInstance` works with.

use std::sync::Arc;

use crate::base::flow::leadership::Leadership;
use crate::base::place::Place;
use crate::base::supervise::Tasks;
use crate::controllers::leading::lease::Leads;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::policy_pokes::PolicyPokes;
use crate::controllers::shared::seen::Seen;
use crate::controllers::watching::watches::Watching;
use crate::engine::cluster::Terms;
use crate::engine::identity::memory::Memory;
use crate::instance::Registry;
use crate::instance::status::Cluster;
use crate::kubernetes::events::Events;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct Controller {
    pub client: kube::Client,
    pub options: Arc<Options>,
    pub terms: Arc<Terms>,
    /// How many identities are reconciled at the same time.
    pub places: usize,
    pub seen: Arc<Seen>,
    pub registry: Arc<Registry>,
    pub neighbours: Arc<Neighbours>,
    pub memory: Arc<Memory>,
    /// Which rights the operator was found to lack.
    pub access: Arc<Access>,
    pub pokes: Pokes,
    pub policy_pokes: PolicyPokes,
    pub events: Arc<Events>,
    pub metrics: Arc<Metrics>,
    /// What is written to Kratos is noted there.
    pub audit_log: Option<Arc<AuditLog>>,
    pub watching: Watching,
    /// Runs what goes on in the background.
    pub tasks: Tasks,
    /// For which instances this process speaks.
    pub leads: Arc<Leads>,
    /// Whether this process works at all: others may lead.
    pub leadership: Leadership,
}

impl Controller {
    /// Whether another process may write about the same resources, or may have done so just before.
    pub fn has_rivals(&self) -> bool {
        self.leads.is_shared() || self.leadership.is_elected()
    }

    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { id: &self.terms.cluster_id, is_claimed: self.options.cluster_id.is_some() }
    }

    /// Asks for a look at resources that waited for something that has come.
    pub fn ask_waiting(&self, places: impl IntoIterator<Item = Place>) {
        self.pokes.waiting(places, &self.seen);
    }
}
