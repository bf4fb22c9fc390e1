//! The composition root: builds everything once, watches, and stops in order.

use std::sync::Arc;
use std::time::Duration;

use futures::future;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::runtime::reflector::{self, store::Writer};
use tokio::sync::{Notify, SetOnce};

use crate::api;
use crate::api::decode::Metadata;
use crate::api::objects::{IdentityObject, InstanceObject, PolicyObject};
use crate::base::flow::leadership::Leadership;
use crate::base::flow::limit::Limit;
use crate::base::place::Place;
use crate::base::shutdown::{self, End};
use crate::base::supervise::{Failure, Tasks};
use crate::controllers::access::{self, Access};
use crate::controllers::context::{Context, Listed, Pokes};
use crate::controllers::election::Elector;
use crate::controllers::identity::successors::Successors;
use crate::controllers::instance::replacing::Replacing;
use crate::controllers::lease::Leads;
use crate::controllers::operator_key::OperatorKey;
use crate::controllers::options::Options;
use crate::controllers::policy::runs::Runs;
use crate::controllers::rotation::{self, Rotation};
use crate::controllers::scrape::Scrape;
use crate::controllers::workers::gauges::Gauges;
use crate::controllers::workers::{self, Controller, Places};
use crate::engine::cluster::Terms;
use crate::engine::identity::memory::Memory;
use crate::engine::identity::taking::Turns;
use crate::identity::birth::Leading;
use crate::instance::Registry;
use crate::kubernetes::events::Events;
use crate::kubernetes::latest::Latest;
use crate::kubernetes::watches::Watches;
use crate::telemetry::audit_log::AuditLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::controllers::{self, Controllers};

/// How many instances are looked at at the same time. Most of a look is waiting for Kratos, and one that hangs stops nobody.
const INSTANCE_PLACES: Places = Places::of(128);
/// How many session policies are in work at the same time. Most of them wait for their turn at their instance, which is
/// where they are bounded (`policy/turn.rs`).
const POLICY_PLACES: Places = Places::of(256);
/// How many requests to the API server looks at identities have in flight: more make it no faster (`make bench` tries), and
/// have whoever else asks it for something wait.
const KUBERNETES_REQUESTS: usize = 16;

/// How long the last answers are waited for when everything else is over.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

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

/// Runs until the process is to stop, or can't go on; reconciles under way are finished in time, or dropped. Until this
/// process leads it watches, and does nothing else.
pub async fn run(operator: Operator, tasks: Tasks) -> Result<(), Failure> {
    let Operator { client, options, concurrency, metrics, audit_log, watches, leadership, elector } = operator;
    let stop = tasks.stop().clone();
    let pokes = Pokes::default();
    metrics.collect(queues(&metrics, &pokes));
    let scrape = Scrape::default();
    metrics.collect(scrape.clone());
    let cluster_id = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        failure = tasks.failed() => return Err(failure),
        cluster_id = cluster_id::get(options.cluster_id.as_deref(), &client, &watches) => cluster_id,
    };
    say_start(&options, &cluster_id);
    let (identities, identity_writer) = reflector::store();
    let (instances, instance_writer) = reflector::store();
    let (namespaces, namespace_writer) = reflector::store();
    let (policies, policy_writer) = reflector::store();
    let leads = Leads::new(&options.watch_selector);
    let terms = Terms {
        cluster_id: cluster_id.clone(),
        default_instance: options.default_instance.clone(),
        namespaces: options.namespaces.clone(),
        writes_recovery_secrets: options.writes_recovery_secrets,
        is_shared: leads.is_shared(),
    };
    let (events, sends) = Events::new(client.clone(), watches.health());
    tasks.rely_on("events", sends);
    let context = Arc::new(Context {
        kubernetes: Arc::new(Limit::new(KUBERNETES_REQUESTS)),
        places: concurrency.into(),
        metrics,
        audit_log,
        watches: watches.clone(),
        terms,
        options,
        cluster_id,
        identities: identities.clone(),
        listed: Listed::default(),
        caught_up: SetOnce::new(),
        instances: instances.clone(),
        namespaces,
        policies,
        registry: Registry::default(),
        memory: Memory::default(),
        leading: Leading::default(),
        turns: Turns::default(),
        latest_identities: Latest::default(),
        latest_instances: Latest::default(),
        latest_policies: Latest::default(),
        runs: Runs::default(),
        rotation: Rotation::default(),
        access: Access::default(),
        namespaces_changed: Notify::new(),
        operator_key: OperatorKey::default(),
        successors: Successors::default(),
        replacing: Replacing::default(),
        pokes: pokes.clone(),
        events,
        tasks: tasks.clone(),
        client: client.clone(),
        leads,
        leadership,
    });
    scrape.of(&context);

    let Pokes { identities: identity_asks, instances: instance_asks, policies: policy_asks } = pokes;
    let (token, within) = (stop.clone(), Arc::clone(&context));
    let instance_looks = async move {
        if token.run_until_cancelled(within.caught_up.wait()).await.is_some() {
            instances::ask_for_all(&within);
            let look = |place: &Place| instances::look(place, &within);
            let controller =
                controller("KratosInstance", INSTANCE_PLACES, &within.metrics.controllers.instances, &within);
            workers::run(controller, &instance_asks, &token, look).await;
        }
    };
    let (token, within) = (stop.clone(), Arc::clone(&context));
    let identity_looks = async move {
        // An instance or a namespace that the watch hasn't brought yet must not be taken for one that isn't there.
        let Listed { instances, namespaces, identities: _ } = &within.listed;
        let ready = future::join3(instances.wait(), namespaces.wait(), within.caught_up.wait());
        if token.run_until_cancelled(ready).await.is_some() {
            identities::ask_for_all(&within);
            let (look, places) = (|place: &Place| identities::look(place, &within), Places::of(concurrency.into()));
            let controller = controller("KratosIdentity", places, &within.metrics.controllers.identities, &within);
            workers::run(controller, &identity_asks, &token, look).await;
        }
    };
    let (token, within) = (stop.clone(), Arc::clone(&context));
    let policy_looks = async move {
        // Labels and marks are looked up in what the other watches have brought.
        let Listed { identities, instances, namespaces } = &within.listed;
        let ready = future::join4(instances.wait(), namespaces.wait(), identities.wait(), within.caught_up.wait());
        if token.run_until_cancelled(ready).await.is_some() {
            policies::ask_for_all(&within);
            let look = |place: &Place| policies::look(place, &within);
            let controller =
                controller("KratosSessionPolicy", POLICY_PLACES, &within.metrics.controllers.policies, &within);
            workers::run(controller, &policy_asks, &token, look).await;
        }
    };
    tasks.keep("beginning to lead", births::begin(Arc::clone(&context)));
    tasks.keep("catching up", caught_up::catch_up(Arc::clone(&context)));
    begin_watches((identity_writer, instance_writer, policy_writer, namespace_writer), &context);
    let controllers = [
        tasks.rely_on("reconciles of KratosInstance", instance_looks),
        tasks.rely_on("reconciles of KratosIdentity", identity_looks),
        tasks.rely_on("reconciles of KratosSessionPolicy", policy_looks),
    ];
    shutdown::finished(&tasks, controllers, |end| release(end, &context, elector.as_ref())).await
}

fn say_start(options: &Options, cluster_id: &str) {
    tracing::info!(
        default_instance = options.default_instance.as_ref().map(ToString::to_string),
        namespaces = ?options.namespaces,
        instance_namespaces = ?options.instance_namespaces,
        watch_selector = %options.watch_selector,
        cluster_id, "kratos-operator starts"
    );
}

/// Lets others begin.
async fn release(end: End, context: &Context, elector: Option<&Elector>) {
    if end == End::Finished {
        context.leads.release().await;
    }
    let Some(elector) = elector else { return };
    if end == End::Finished {
        // What goes on beside the reconciles: its last answers.
        let _ = tokio::time::timeout(LAST_ANSWERS, context.leadership.drained()).await;
    }
    elector.release(context.leadership.resign().await).await;
}

/// Watches everything, from now on.
fn begin_watches(
    (identities, instances, policies, namespaces): (
        Writer<IdentityObject>,
        Writer<InstanceObject>,
        Writer<PolicyObject>,
        Writer<Metadata<Namespace>>,
    ),
    context: &Arc<Context>,
) {
    let identities = identities::watch_all(identities, context);
    let identities = identities::ask_for_news(identities, Arc::clone(context));
    let instances = instances::watch_all(instances, context);
    let instances = instances::ask_for_news(instances, Arc::clone(context));
    let policies = policies::watch_all(policies, context);
    let policies = policies::ask_for_news(policies, Arc::clone(context));
    let namespaces = namespaces::watch_all(namespaces, Arc::clone(context));
    context.tasks.rely_on("watch of KratosIdentity", identities);
    context.tasks.rely_on("watch of KratosInstance", instances);
    context.tasks.rely_on("watch of KratosSessionPolicy", policies);
    context.tasks.rely_on("watch of Namespace", namespaces);
    rotation::await_lists(context);
    context.tasks.rely_on("watch of Secret", rotation::watch(Arc::clone(context)));
    context.tasks.rely_on("rights that lack", access::keep_asking(Arc::clone(context)));
    context.watches.have_begun();
}

fn queues(metrics: &Metrics, pokes: &Pokes) -> Gauges {
    let Controllers { identities, instances, policies } = &metrics.controllers;
    let Pokes { identities: identity_asks, instances: instance_asks, policies: policy_asks } = pokes;
    let queues = [(identities, identity_asks), (instances, instance_asks), (policies, policy_asks)];
    Gauges(queues.map(|(controller, asks)| (controller.name(), Arc::clone(asks))).to_vec())
}

fn controller(kind: &'static str, places: Places, metrics: &controllers::Controller, context: &Context) -> Controller {
    Controller { kind, places, metrics: metrics.clone(), health: context.watches.health().clone() }
}

/// All `CustomResourceDefinition`s as (file name, YAML).
pub fn crd_files() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    let crds = api::definitions::all().into_iter();
    crds.map(|crd| {
        let header = "# Generated by `make crds` from src/api; edit there.\n";
        Ok((format!("{}.yaml", crd.name_any()), format!("{header}{}", serde_saphyr::to_string(&crd)?)))
    })
    .collect()
}
