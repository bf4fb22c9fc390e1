//! The parts of the operator, each built once and given what it uses: from what the watches bring up to the controllers.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{self, store::Writer};
use tokio::sync::Notify;

use crate::api::decode::Metadata;
use crate::api::objects::{IdentityObject, InstanceObject, PolicyObject};
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::flow::leadership::Leadership;
use crate::base::supervise::Tasks;
use crate::controllers::leading::election::Elector;
use crate::controllers::leading::lease::{InstanceLeases, Led};
use crate::controllers::scrape::Scraped;
use crate::controllers::secrets::operator_key::OperatorKey;
use crate::controllers::secrets::rotation::{Rotation, SecretWatch};
use crate::controllers::shared::access::Access;
use crate::controllers::shared::admission::Admission;
use crate::controllers::shared::informers::{Informers, Stores};
use crate::controllers::shared::neighbours::Neighbours;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::policy_runs::Runs;
use crate::controllers::shared::policy_triggers::PolicyTriggers;
use crate::controllers::shared::replaces_index::ReplacesIndex;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::controllers::watching::cache_sync::CatchingUp;
use crate::controllers::watching::namespaces::NamespaceWatch;
use crate::controllers::watching::watches::Watching;
use crate::controllers::{identity, instance, policy};
use crate::engine::cluster::{Deletions, Terms};
use crate::engine::identity::adoption_locks::AdoptionLocks;
use crate::engine::identity::memory::Memory;
use crate::identity::birth::Leading;
use crate::instance::Registry;
use crate::kubernetes::events::EventRecorder;
use crate::kubernetes::watches::Watches;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;

/// How many requests to the API server reconciles of identities have in flight: more make it no faster (`make bench`
/// tries), and have whoever else asks it for something wait.
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
    seen: Arc<Informers>,
    registry: Arc<Registry>,
    access: Arc<Access>,
    queues: WorkQueues,
    policy_triggers: PolicyTriggers,
    runs: Arc<Runs>,
    instance_leases: Arc<InstanceLeases>,
    leadership: Leadership,
    has_concurrent_writers: bool,
    events: Arc<EventRecorder>,
    metrics: Arc<Metrics>,
    watching: Watching,
    memory: Arc<Memory>,
    replaces_index: Arc<ReplacesIndex>,
    /// Bounds the requests to the API server that reconciles of identities and policies send.
    kubernetes: Arc<FairSemaphore>,
    neighbours: Arc<Neighbours>,
    admission: Arc<Admission>,
    rotation: Arc<Rotation>,
    namespaces_changed: Arc<Notify>,
}

impl Ground {
    fn new(operator: &Operator, cluster_id: String, queues: &WorkQueues, (stores, tasks): (Stores, &Tasks)) -> Self {
        let Operator { client, options, metrics, watches, leadership, .. } = operator;
        let options = Arc::new(options.clone());
        let seen = Informers::new(stores, options.watch_selector.clone(), options.default_instance.clone());
        let (seen, registry) = (Arc::new(seen), Arc::<Registry>::default());
        let namespaces_changed = Arc::new(Notify::new());
        let access = Access::new(queues.clone(), Arc::clone(&registry), Arc::clone(&namespaces_changed));
        let (access, runs) = (Arc::new(access), Arc::<Runs>::default());
        let policy_triggers = PolicyTriggers::new(Arc::clone(&seen), queues.clone(), Arc::clone(&runs));
        let led = Led {
            client: client.clone(),
            registry: Arc::clone(&registry),
            queues: queues.clone(),
            policy_triggers: policy_triggers.clone(),
            access: Arc::clone(&access),
            tasks: tasks.clone(),
        };
        let instance_leases = Arc::new(InstanceLeases::new(&options.watch_selector, led));
        let terms = Arc::new(Terms {
            cluster_id: cluster_id.clone(),
            default_instance: options.default_instance.clone(),
            namespaces: options.namespaces.clone(),
            writes_recovery_secrets: options.writes_recovery_secrets,
            is_shared: instance_leases.is_sharded(),
        });
        let (events, sends) = EventRecorder::new(client.clone(), watches.health());
        tasks.spawn_critical("events", sends);
        let (kubernetes, replaces_index) =
            (Arc::new(FairSemaphore::new(KUBERNETES_REQUESTS)), Arc::<ReplacesIndex>::default());
        let requests = Arc::clone(&kubernetes);
        let neighbours = Neighbours::new(client.clone(), requests, Arc::clone(&seen), Arc::clone(&replaces_index));
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
            queues: queues.clone(),
            policy_triggers,
            runs,
            has_concurrent_writers: instance_leases.is_sharded() || leadership.is_elected(),
            instance_leases,
            leadership: leadership.clone(),
            events: Arc::new(events),
            metrics: Arc::clone(metrics),
            watching,
            memory: Arc::default(),
            replaces_index,
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
            max_concurrent_reconciles: operator.concurrency.into(),
            seen: Arc::clone(&self.seen),
            registry: Arc::clone(&self.registry),
            neighbours: Arc::clone(&self.neighbours),
            memory: Arc::clone(&self.memory),
            access: Arc::clone(&self.access),
            queues: self.queues.clone(),
            policy_triggers: self.policy_triggers.clone(),
            events: Arc::clone(&self.events),
            metrics: Arc::clone(&self.metrics),
            audit_log: operator.audit_log.clone(),
            watching: self.watching.clone(),
            tasks: tasks.clone(),
            instance_leases: Arc::clone(&self.instance_leases),
            leadership: self.leadership.clone(),
            has_concurrent_writers: self.has_concurrent_writers,
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
            adoption_locks: AdoptionLocks::default(),
            rotation: Arc::clone(&self.rotation),
            operator_key: OperatorKey::default(),
            replaces_index: Arc::clone(&self.replaces_index),
            access: Arc::clone(&self.access),
            queues: self.queues.clone(),
            policy_triggers: self.policy_triggers.clone(),
            namespaces_changed: Arc::clone(&self.namespaces_changed),
            events: Arc::clone(&self.events),
            metrics: Arc::clone(&self.metrics),
            watching: self.watching.clone(),
            instance_leases: Arc::clone(&self.instance_leases),
            leadership: self.leadership.clone(),
            has_concurrent_writers: self.has_concurrent_writers,
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
            queues: self.queues.clone(),
            events: Arc::clone(&self.events),
            metrics: Arc::clone(&self.metrics),
            watching: self.watching.clone(),
            instance_leases: Arc::clone(&self.instance_leases),
            leadership: self.leadership.clone(),
            has_concurrent_writers: self.has_concurrent_writers,
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
    pub fn build(operator: &Operator, cluster_id: String, queues: &WorkQueues, tasks: &Tasks) -> (Self, Writers) {
        let (stores, writers) = stores();
        let ground = Ground::new(operator, cluster_id, queues, (stores, tasks));
        let instances = Arc::new(ground.instances(operator, tasks));
        let identities = Arc::new(ground.identities(Arc::clone(&instances) as Arc<dyn Deletions>));
        let policies = Arc::new(ground.policies());
        (Self { identities, instances, policies, ground }, writers)
    }

    pub fn seen(&self) -> &Arc<Informers> {
        &self.ground.seen
    }

    pub fn access(&self) -> &Arc<Access> {
        &self.ground.access
    }

    pub fn instance_leases(&self) -> &InstanceLeases {
        &self.ground.instance_leases
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
            queues: self.ground.queues.clone(),
            policy_triggers: self.ground.policy_triggers.clone(),
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
            queues: self.ground.queues.clone(),
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
