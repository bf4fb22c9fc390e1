//! The parts of the operator, each built once and given what it uses: from what the watches bring up to the controllers.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{self, store::Writer};
use tokio::sync::Notify;

use crate::api::decode::Metadata;
use crate::api::objects::{IdentityObject, InstanceObject, PolicyObject};
use crate::base::flow::leadership::Leadership;
use crate::base::flow::limit::Limit;
use crate::base::supervise::Tasks;
use crate::controllers::access::Access;
use crate::controllers::admission::Admission;
use crate::controllers::election::Elector;
use crate::controllers::identity::successors::Successors;
use crate::controllers::lease::{Leads, Led};
use crate::controllers::namespaces::NamespaceWatch;
use crate::controllers::neighbours::Neighbours;
use crate::controllers::operator_key::OperatorKey;
use crate::controllers::options::Options;
use crate::controllers::pokes::Pokes;
use crate::controllers::policy::poke::PolicyPokes;
use crate::controllers::policy::runs::Runs;
use crate::controllers::rotation::{Rotation, SecretWatch};
use crate::controllers::seen::{Seen, Stores};
use crate::controllers::watching::caught_up::CatchingUp;
use crate::controllers::watching::watches::Watching;
use crate::controllers::{identity, instance, policy};
use crate::engine::cluster::{Deletions, Terms};
use crate::engine::identity::memory::Memory;
use crate::engine::identity::taking::Turns;
use crate::identity::birth::Leading;
use crate::instance::Registry;
use crate::kubernetes::events::Events;
use crate::kubernetes::watches::Watches;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;

/// How many requests to the API server looks at identities have in flight: more make it no faster (`make bench` tries), and
/// have whoever else asks it for something wait.
const KUBERNETES_REQUESTS: usize = 16;

/// What the operator is made of, before it runs.
pub struct Operator {
    pub client: kube::Client,
    pub options: Options,
    /// How many identities are in work at the same time.
    pub concurrency: u16,
    pub metrics: Arc<Metrics>,
    /// `None`: none is wanted.
    pub audit_log: Option<Arc<AuditLog>>,
    pub watches: Watches,
    pub leadership: Leadership,
    /// `None`: nobody else may lead.
    pub elector: Option<Elector>,
}

/// What fills the stores.
pub struct Writers {
    pub identities: Writer<IdentityObject>,
    pub instances: Writer<InstanceObject>,
    pub policies: Writer<PolicyObject>,
    pub namespaces: Writer<Metadata<Namespace>>,
}

/// See the module.
pub struct Parts {
    pub identities: Arc<identity::controller::Controller>,
    pub instances: Arc<instance::controller::Controller>,
    pub policies: Arc<policy::controller::Controller>,
    pub namespaces: Arc<NamespaceWatch>,
    pub seen: Arc<Seen>,
    pub registry: Arc<Registry>,
    pub access: Arc<Access>,
    pub options: Arc<Options>,
    pub leads: Arc<Leads>,
    pub leadership: Leadership,
    rotation: Arc<Rotation>,
    namespaces_changed: Arc<Notify>,
}

impl Parts {
    /// Builds all of them, and what fills their stores.
    pub fn build(operator: Operator, cluster_id: String, pokes: &Pokes, tasks: &Tasks) -> (Self, Writers) {
        let Operator { client, options, concurrency, metrics, audit_log, watches, leadership, elector: _ } = operator;
        let options = Arc::new(options);
        let (stores, writers) = stores();
        let seen = Seen::new(stores, options.watch_selector.clone(), options.default_instance.clone());
        let (seen, registry) = (Arc::new(seen), Arc::<Registry>::default());
        let namespaces_changed = Arc::new(Notify::new());
        let access = Access::new(pokes.clone(), Arc::clone(&registry), Arc::clone(&namespaces_changed));
        let access = Arc::new(access);
        let runs = Arc::<Runs>::default();
        let policy_pokes = PolicyPokes::new(Arc::clone(&seen), pokes.clone(), Arc::clone(&runs));
        let led = Led {
            client: client.clone(),
            registry: Arc::clone(&registry),
            pokes: pokes.clone(),
            policy_pokes: policy_pokes.clone(),
            access: Arc::clone(&access),
            tasks: tasks.clone(),
        };
        let leads = Arc::new(Leads::new(&options.watch_selector, led));
        let terms = Arc::new(Terms {
            cluster_id: cluster_id.clone(),
            default_instance: options.default_instance.clone(),
            namespaces: options.namespaces.clone(),
            writes_recovery_secrets: options.writes_recovery_secrets,
            is_shared: leads.is_shared(),
        });
        let (events, sends) = Events::new(client.clone(), watches.health());
        tasks.rely_on("events", sends);
        let events = Arc::new(events);
        let kubernetes = Arc::new(Limit::new(KUBERNETES_REQUESTS));
        let successors = Arc::<Successors>::default();
        let neighbours =
            Neighbours::new(client.clone(), Arc::clone(&kubernetes), Arc::clone(&seen), Arc::clone(&successors));
        let neighbours = Arc::new(neighbours);
        let admission = Arc::new(Admission {
            client: client.clone(),
            cluster_id,
            options: Arc::clone(&options),
            seen: Arc::clone(&seen),
            registry: Arc::clone(&registry),
            neighbours: Arc::clone(&neighbours),
        });
        let watching = Watching {
            client: client.clone(),
            options: Arc::clone(&options),
            access: Arc::clone(&access),
            watches: watches.clone(),
        };
        let (memory, rotation) = (Arc::<Memory>::default(), Arc::<Rotation>::default());
        let instances = Arc::new(instance::controller::Controller {
            client: client.clone(),
            options: Arc::clone(&options),
            terms: Arc::clone(&terms),
            places: concurrency.into(),
            seen: Arc::clone(&seen),
            registry: Arc::clone(&registry),
            neighbours: Arc::clone(&neighbours),
            memory: Arc::clone(&memory),
            access: Arc::clone(&access),
            pokes: pokes.clone(),
            policy_pokes: policy_pokes.clone(),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            audit_log,
            watching: watching.clone(),
            tasks: tasks.clone(),
            leads: Arc::clone(&leads),
            leadership: leadership.clone(),
        });
        let identities = Arc::new(identity::controller::Controller {
            client: client.clone(),
            kubernetes: Arc::clone(&kubernetes),
            options: Arc::clone(&options),
            terms: Arc::clone(&terms),
            seen: Arc::clone(&seen),
            registry: Arc::clone(&registry),
            admission: Arc::clone(&admission),
            neighbours: Arc::clone(&neighbours),
            deletions: Arc::clone(&instances) as Arc<dyn Deletions>,
            memory,
            leading: Leading::default(),
            turns: Turns::default(),
            rotation: Arc::clone(&rotation),
            operator_key: OperatorKey::default(),
            successors,
            access: Arc::clone(&access),
            pokes: pokes.clone(),
            policy_pokes: policy_pokes.clone(),
            namespaces_changed: Arc::clone(&namespaces_changed),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            watching: watching.clone(),
            leads: Arc::clone(&leads),
            leadership: leadership.clone(),
        });
        let policies = Arc::new(policy::controller::Controller {
            client: client.clone(),
            kubernetes,
            terms,
            seen: Arc::clone(&seen),
            admission,
            neighbours,
            runs,
            access: Arc::clone(&access),
            pokes: pokes.clone(),
            events,
            metrics,
            watching,
            leads: Arc::clone(&leads),
            leadership: leadership.clone(),
        });
        let namespaces = Arc::new(NamespaceWatch {
            client,
            options: Arc::clone(&options),
            seen: Arc::clone(&seen),
            registry: Arc::clone(&registry),
            pokes: pokes.clone(),
            policy_pokes,
            access: Arc::clone(&access),
            watches,
            changed: Arc::clone(&namespaces_changed),
        });
        let parts = Self {
            identities,
            instances,
            policies,
            namespaces,
            seen,
            registry,
            access,
            options,
            leads,
            leadership,
            rotation,
            namespaces_changed,
        };
        (parts, writers)
    }

    /// What watches Secrets.
    pub fn secrets(&self) -> SecretWatch {
        SecretWatch {
            rotation: Arc::clone(&self.rotation),
            client: self.namespaces.client.clone(),
            options: Arc::clone(&self.options),
            registry: Arc::clone(&self.registry),
            pokes: self.namespaces.pokes.clone(),
            access: Arc::clone(&self.access),
            watches: self.namespaces.watches.clone(),
        }
    }

    /// What catches up once this process leads.
    pub fn catching_up(&self) -> CatchingUp {
        CatchingUp {
            client: self.namespaces.client.clone(),
            options: Arc::clone(&self.options),
            seen: Arc::clone(&self.seen),
            leadership: self.leadership.clone(),
            access: Arc::clone(&self.access),
            namespaces_changed: Arc::clone(&self.namespaces_changed),
        }
    }
}

fn stores() -> (Stores, Writers) {
    let (identities, identity_writer) = reflector::store();
    let (instances, instance_writer) = reflector::store();
    let (namespaces, namespace_writer) = reflector::store();
    let (policies, policy_writer) = reflector::store();
    let writers = Writers {
        identities: identity_writer,
        instances: instance_writer,
        policies: policy_writer,
        namespaces: namespace_writer,
    };
    (Stores { identities, instances, policies, namespaces }, writers)
}
