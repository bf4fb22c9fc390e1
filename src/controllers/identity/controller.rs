//! What the controller of `KratosIdentity` works with.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::api::objects::IdentityObject;
use crate::base::flow::leadership::Leadership;
use crate::base::flow::limit::Limit;
use crate::base::place::Place;
use crate::controllers::leading::lease::Leads;
use crate::controllers::secrets::operator_key::OperatorKey;
use crate::controllers::secrets::rotation::Rotation;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::admission::Admission;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::policy_pokes::PolicyPokes;
use crate::controllers::shared::seen::Seen;
use crate::controllers::shared::successors::Successors;
use crate::controllers::watching::watches::Watching;
use crate::engine::cluster::{Deletions, Terms};
use crate::engine::identity::memory::Memory;
use crate::engine::identity::taking::Turns;
use crate::identity::birth::Leading;
use crate::instance::Registry;
use crate::kubernetes::events::Events;
use crate::telemetry::metrics::Metrics;

/// See the module.
pub struct Controller {
    pub client: kube::Client,
    /// Bounds the requests to the API server that looks at identities send: thousands may be waiting.
    pub kubernetes: Arc<Limit>,
    pub options: Arc<Options>,
    pub terms: Arc<Terms>,
    pub seen: Arc<Seen>,
    pub registry: Arc<Registry>,
    pub admission: Arc<Admission>,
    pub neighbours: Arc<Neighbours>,
    pub deletions: Arc<dyn Deletions>,
    pub memory: Arc<Memory>,
    /// Since when this process leads, as versions of identities go.
    pub leading: Leading<IdentityObject>,
    pub turns: Turns,
    pub rotation: Arc<Rotation>,
    pub operator_key: OperatorKey,
    /// Which resources replace others, as far as the watch shows.
    pub successors: Arc<Successors>,
    pub access: Arc<Access>,
    pub pokes: Pokes,
    pub policy_pokes: PolicyPokes,
    /// Has namespaces looked at again now, where they can't be watched.
    pub namespaces_changed: Arc<Notify>,
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

    /// Asks for a look at resources that waited for something that has come.
    pub fn ask_waiting(&self, places: impl IntoIterator<Item = Place>) {
        self.pokes.waiting(places, &self.seen);
    }
}
