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
use crate::controllers::leading::election::Elector;
use crate::controllers::leading::lease::{Leads, Led};
use crate::controllers::scrape::Scraped;
use crate::controllers::secrets::operator_key::OperatorKey;
use crate::controllers::secrets::rotation::{Rotation, SecretWatch};
use crate::controllers::shared::access::Access;
use crate::controllers::shared::admission::Admission;
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::policy_pokes::PolicyPokes;
use crate::controllers::shared::policy_runs::Runs;
use crate::controllers::shared::seen::{Seen, Stores};
use crate::controllers::shared::successors::Successors;
use crate::controllers::watching::caught_up::CatchingUp;
use crate::controllers::watching::namespaces::NamespaceWatch;
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

/// What all controllers stand on.
struct Ground {
    client: kube::Client,
    options: Arc<Options>,
    terms: Arc<Terms>,
    seen: Arc<Seen>,
    registry: Arc<Registry>,
    access: Arc<Access>,
    pokes: Pokes,
    policy_pokes: PolicyPokes,
    runs: Arc<Runs>,
    leads: Arc<Leads>,
    leadership: Leadership,
    events: Arc<Events>,
    metrics: Arc<Metrics>,
    watching: Watching,
    memory: Arc<Memory>,
    successors: Arc<Successors>,
    /// Bounds the requests to the API server that looks at identities and policies send.
    kubernetes: Arc<Limit>,
    neighbours: Arc<Neighbours>,
    admission: Arc<Admission>,
    rotation: Arc<Rotation>,
    namespaces_changed: Arc<Notify>,
}

impl Ground {
    fn new(operator: &Operator, cluster_id: String, pokes: &Pokes, (stores, tasks): (Stores, &Tasks)) -> Self {
        let Operator { client, options, metrics, watches, leadership, .. } = operator;
        let options = Arc::new(options.clone());
        let seen = Seen::new(stores, options.watch_selector.clone(), options.default_instance.clone());
        let (seen, registry) = (Arc::new(seen), Arc::<Registry>::default());
        let namespaces_changed = Arc::new(Notify::new());
        let access = Access::new(pokes.clone(), Arc::clone(&registry), Arc::clone(&namespaces_changed));
        let (access, runs) = (Arc::new(access), Arc::<Runs>::default());
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
        let (kubernetes, successors) = (Arc::new(Limit::new(KUBERNETES_REQUESTS)), Arc::<Successors>::default());
        let requests = Arc::clone(&kubernetes);
        let neighbours = Neighbours::new(client.clone(), requests, Arc::clone(&seen), Arc::clone(&successors));
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
        Self {
            client: client.clone(),
            options,
            terms,
            seen,
            registry,
            access,
            pokes: pokes.clone(),
            policy_pokes,
            runs,
            leads,
            leadership: leadership.clone(),
            events: Arc::new(events),
            metrics: Arc::clone(metrics),
            watching,
            memory: Arc::default(),
            successors,
            kubernetes,
            neighbours,
            admission,
            rotation: Arc::default(),
            namespaces_changed,
        }
    }

    fn instances(&self, operator: &Operator, tasks: &Tasks) -> instance::controller::Controller {
        instance::controller::Controller {
            client: self.client.clone(),
            options: Arc::clone(&self.options),
            terms: Arc::clone(&self.terms),
            places: operator.concurrency.into(),
            seen: Arc::clone(&self.seen),
            registry: Arc::clone(&self.registry),
            neighbours: Arc::clone(&self.neighbours),
            memory: Arc::clone(&self.memory),
            access: Arc::clone(&self.access),
            pokes: self.pokes.clone(),
            policy_pokes: self.policy_pokes.clone(),
            events: Arc::clone(&self.events),
            metrics: Arc::clone(&self.metrics),
            audit_log: operator.audit_log.clone(),
            watching: self.watching.clone(),
            tasks: tasks.clone(),
            leads: Arc::clone(&self.leads),
            leadership: self.leadership.clone(),
        }
    }

    fn identities(&self, deletions: Arc<dyn Deletions>) -> identity::controller::Controller {
        identity::controller::Controller {
            client: self.client.clone(),
            kubernetes: Arc::clone(&self.kubernetes),
            options: Arc::clone(&self.options),
            terms: Arc::clone(&self.terms),
            seen: Arc::clone(&self.seen),
            registry: Arc::clone(&self.registry),
            admission: Arc::clone(&self.admission),
            neighbours: Arc::clone(&self.neighbours),
            deletions,
            memory: Arc::clone(&self.memory),
            leading: Leading::default(),
            turns: Turns::default(),
            rotation: Arc::clone(&self.rotation),
            operator_key: OperatorKey::default(),
            successors: Arc::clone(&self.successors),
            access: Arc::clone(&self.access),
            pokes: self.pokes.clone(),
            policy_pokes: self.policy_pokes.clone(),
            namespaces_changed: Arc::clone(&self.namespaces_changed),
            events: Arc::clone(&self.events),
            metrics: Arc::clone(&self.metrics),
            watching: self.watching.clone(),
            leads: Arc::clone(&self.leads),
            leadership: self.leadership.clone(),
        }
    }

    fn policies(&self) -> policy::controller::Controller {
        policy::controller::Controller {
            client: self.client.clone(),
            kubernetes: Arc::clone(&self.kubernetes),
            terms: Arc::clone(&self.terms),
            seen: Arc::clone(&self.seen),
            admission: Arc::clone(&self.admission),
            neighbours: Arc::clone(&self.neighbours),
            runs: Arc::clone(&self.runs),
            access: Arc::clone(&self.access),
            pokes: self.pokes.clone(),
            events: Arc::clone(&self.events),
            metrics: Arc::clone(&self.metrics),
            watching: self.watching.clone(),
            leads: Arc::clone(&self.leads),
            leadership: self.leadership.clone(),
        }
    }
}

/// See the module.
pub struct Parts {
    pub identities: Arc<identity::controller::Controller>,
    pub instances: Arc<instance::controller::Controller>,
    pub policies: Arc<policy::controller::Controller>,
    ground: Ground,
}

impl Parts {
    /// Builds all of them, and what fills their stores.
    pub fn build(operator: &Operator, cluster_id: String, pokes: &Pokes, tasks: &Tasks) -> (Self, Writers) {
        let (stores, writers) = stores();
        let ground = Ground::new(operator, cluster_id, pokes, (stores, tasks));
        let instances = Arc::new(ground.instances(operator, tasks));
        let identities = Arc::new(ground.identities(Arc::clone(&instances) as Arc<dyn Deletions>));
        let policies = Arc::new(ground.policies());
        (Self { identities, instances, policies, ground }, writers)
    }

    pub fn seen(&self) -> &Arc<Seen> {
        &self.ground.seen
    }

    pub fn access(&self) -> &Arc<Access> {
        &self.ground.access
    }

    pub fn leads(&self) -> &Leads {
        &self.ground.leads
    }

    pub fn leadership(&self) -> &Leadership {
        &self.ground.leadership
    }

    /// What a scrape shows.
    pub fn scraped(&self) -> Scraped {
        let Ground { seen, registry, leadership, options, .. } = &self.ground;
        let (seen, registry) = (Arc::clone(seen), Arc::clone(registry));
        Scraped { seen, registry, leadership: leadership.clone(), options: Arc::clone(options) }
    }

    /// What watches namespaces.
    pub fn namespaces(&self) -> NamespaceWatch {
        NamespaceWatch {
            client: self.ground.client.clone(),
            options: Arc::clone(&self.ground.options),
            seen: Arc::clone(&self.ground.seen),
            registry: Arc::clone(&self.ground.registry),
            pokes: self.ground.pokes.clone(),
            policy_pokes: self.ground.policy_pokes.clone(),
            access: Arc::clone(&self.ground.access),
            watches: self.ground.watching.watches.clone(),
            changed: Arc::clone(&self.ground.namespaces_changed),
        }
    }

    /// What watches Secrets.
    pub fn secrets(&self) -> SecretWatch {
        SecretWatch {
            rotation: Arc::clone(&self.ground.rotation),
            client: self.ground.client.clone(),
            options: Arc::clone(&self.ground.options),
            registry: Arc::clone(&self.ground.registry),
            pokes: self.ground.pokes.clone(),
            access: Arc::clone(&self.ground.access),
            watches: self.ground.watching.watches.clone(),
        }
    }

    /// What catches up once this process leads.
    pub fn catching_up(&self) -> CatchingUp {
        CatchingUp {
            client: self.ground.client.clone(),
            options: Arc::clone(&self.ground.options),
            seen: Arc::clone(&self.ground.seen),
            leadership: self.ground.leadership.clone(),
            access: Arc::clone(&self.ground.access),
            namespaces_changed: Arc::clone(&self.ground.namespaces_changed),
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
