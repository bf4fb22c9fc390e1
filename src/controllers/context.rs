//! What every reconcile is given. Built once, in the composition root.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Notify, SetOnce};

use super::access::Access;
use super::identity::successors::Successors;
use super::identity::urgency;
use super::instance::replacing::Replacing;
use super::lease::Leads;
use super::operator_key::OperatorKey;
use super::policy::runs::Runs;
use super::queue::Priority;
use super::rotation::Rotation;
use super::workers::Asks;
use crate::api::decode::Metadata;
use crate::api::objects::{IdentityObject, InstanceObject, PolicyObject};
use crate::base::flow::leadership::Leadership;
use crate::base::flow::limit::Limit;
use crate::base::place::Place;
use crate::base::supervise::Tasks;
use crate::controllers::options::Options;
use crate::engine::cluster::Terms;
use crate::engine::identity::memory::Memory;
use crate::engine::identity::taking::Turns;
use crate::identity::birth::Leading;
use crate::instance::Registry;
use crate::instance::status::Cluster;
use crate::kubernetes::events::Events;
use crate::kubernetes::latest::Latest;
use crate::kubernetes::selector;
use crate::kubernetes::watches::Watches;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;

/// Each is set once the first complete list of its kind is in the store. (A store's own way to wait wakes one waiter only.)
#[derive(Debug, Default)]
pub struct Listed {
    pub identities: SetOnce<()>,
    pub instances: SetOnce<()>,
    pub namespaces: SetOnce<()>,
}

/// Everything that reconciles share.
pub struct Context {
    pub client: kube::Client,
    /// Bounds the requests to the API server that looks at identities send: thousands may be waiting.
    pub kubernetes: Arc<Limit>,
    /// How many identities are reconciled at the same time.
    pub places: usize,
    pub metrics: Arc<Metrics>,
    /// What the watches are at.
    pub watches: Watches,
    /// What is written to Kratos is noted there.
    pub audit_log: Option<Arc<AuditLog>>,
    pub options: Options,
    /// What the engine is told of it.
    pub terms: Terms,
    /// Uid of this cluster's kube-system namespace.
    pub cluster_id: String,
    /// All of them; of those that aren't its own only the outline (see [`selector::outline`]).
    pub identities: Store<IdentityObject>,
    pub listed: Listed,
    /// Set once this process leads, and what the watches show is no older than that. Until then nothing is reconciled.
    pub caught_up: SetOnce<()>,
    pub instances: Store<InstanceObject>,
    pub policies: Store<PolicyObject>,
    pub namespaces: Store<Metadata<Namespace>>,
    pub registry: Registry,
    pub memory: Memory,
    /// Since when this process leads, as versions of identities go.
    pub leading: Leading<IdentityObject>,
    pub turns: Turns,
    pub latest_identities: Latest<IdentityObject>,
    pub latest_instances: Latest<InstanceObject>,
    pub latest_policies: Latest<PolicyObject>,
    pub runs: Runs,
    pub rotation: Rotation,
    /// Which rights it was found to lack.
    pub access: Access,
    /// Has namespaces looked at again now, where they can't be watched.
    pub namespaces_changed: Notify,
    pub operator_key: OperatorKey,
    /// Which resources replace others, as far as the watch shows.
    pub successors: Successors,
    pub replacing: Replacing,
    pub pokes: Pokes,
    pub events: Events,
    /// Runs what goes on in the background.
    pub tasks: Tasks,
    /// For which instances this process speaks.
    pub leads: Leads,
    /// Whether this process works at all: others may lead.
    pub leadership: Leadership,
}

impl Context {
    /// Whether another process may write about the same resources, or may have done so just before.
    pub fn has_rivals(&self) -> bool {
        self.leads.is_shared() || self.leadership.is_elected()
    }

    /// Whether a resource is this operator's to reconcile.
    pub fn is_own(&self, identity: &impl Resource) -> bool {
        selector::selects(&self.options.watch_selector, identity)
    }

    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { id: &self.cluster_id, is_claimed: self.options.cluster_id.is_some() }
    }

    /// A resource as it is now, as far as the watch and our own writes show. `None`: it is gone, or another operator's.
    pub fn own(&self, uid: &str, place: &Place) -> Option<Arc<IdentityObject>> {
        let seen = self.identities.get(&ObjectRef::new(&place.name).within(&place.namespace))?;
        let latest = self.latest_identities.of(&seen);
        (latest.meta().uid.as_deref() == Some(uid) && self.is_own(&*seen) && self.is_own(&*latest)).then_some(latest)
    }

    /// An object as it is now, as far as the watch and our own writes show. `None`: it is gone, or another one is in its place.
    pub fn newest<K>(&self, store: &Store<K>, latest: &Latest<K>, object: &impl Resource) -> Option<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let Place { namespace, name } = Place::of(object);
        let newest = latest.of(&store.get(&ObjectRef::new(&name).within(&namespace))?);
        (newest.meta().uid == object.meta().uid).then_some(newest)
    }

    /// The namespaces that are being deleted, as far as is known.
    pub fn leaving_namespaces(&self) -> BTreeSet<String> {
        let all = self.namespaces.state().into_iter();
        let leaving = all.filter(|namespace| namespace.metadata.deletion_timestamp.is_some());
        leaving.filter_map(|namespace| namespace.metadata.name.clone()).collect()
    }

    /// Where its own resources stand, of all instances.
    pub fn own_places(&self) -> Vec<Place> {
        let all = self.identities.state();
        all.iter().filter(|object| self.is_own(&***object)).map(|object| Place::of(&**object)).collect()
    }

    /// Asks for a look at resources that waited for something that has come. A person who waits goes first still.
    pub fn ask_waiting(&self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            let object = self.identities.get(&ObjectRef::new(&place.name).within(&place.namespace));
            let resource = object.as_deref().and_then(|object| object.0.as_ref().ok());
            let urgency = resource.map_or(Priority::Arrived, urgency::listed);
            self.pokes.identities([place], urgency.max(Priority::Arrived));
        }
    }
}

/// Asks for reconciles.
#[derive(Clone, Debug, Default)]
pub struct Pokes {
    pub identities: Arc<Asks>,
    pub instances: Arc<Asks>,
    pub policies: Arc<Asks>,
}

impl Pokes {
    pub fn identities(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        self.identities.ask(places, priority);
    }

    pub fn instance(&self, place: &Place) {
        self.instances([place.clone()], Priority::Arrived);
    }

    pub fn instances(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        self.instances.ask(places, priority);
    }

    pub fn policies(&self, places: impl IntoIterator<Item = Place>, priority: Priority) {
        self.policies.ask(places, priority);
    }
}
