//! What the controller of `KratosSessionPolicy` works with.

use std::sync::Arc;

use crate::base::flow::leadership::Leadership;
use crate::base::flow::limit::Limit;
use crate::controllers::leading::lease::Leads;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::admission::Admission;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::policy_runs::Runs;
use crate::controllers::shared::seen::Seen;
use crate::controllers::watching::watches::Watching;
use crate::engine::cluster::Terms;
use crate::kubernetes::events::Events;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct Controller {
    pub client: kube::Client,
    pub kubernetes: Arc<Limit>,
    pub terms: Arc<Terms>,
    pub seen: Arc<Seen>,
    pub admission: Arc<Admission>,
    pub neighbours: Arc<Neighbours>,
    pub runs: Arc<Runs>,
    pub access: Arc<Access>,
    pub pokes: Pokes,
    pub events: Arc<Events>,
    pub metrics: Arc<Metrics>,
    pub watching: Watching,
    pub leads: Arc<Leads>,
    pub leadership: Leadership,
}

impl Controller {
    /// Whether another process may write about the same resources, or may have done so just before.
    pub fn has_rivals(&self) -> bool {
        self.leads.is_shared() || self.leadership.is_elected()
    }
}
