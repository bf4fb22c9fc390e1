//! The composition root: builds everything once, watches, and stops in order.

use std::sync::Arc;
use std::time::Duration;

use futures::future;
use kube::ResourceExt;

pub use super::parts::Operator;
use super::parts::{Parts, Writers};
use crate::api;
use crate::base::namespaced_name::NamespacedName;
use crate::base::shutdown::{self, End};
use crate::base::supervise::{Failure, Tasks};
use crate::controllers::identity::{births, watching as identities};
use crate::controllers::instance::watching as instances;
use crate::controllers::leading::election::Elector;
use crate::controllers::policy::watching as policies;
use crate::controllers::scrape::Scrape;
use crate::controllers::secrets::rotation;
use crate::controllers::shared::access;
use crate::controllers::shared::informers::HasSynced;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::controllers::watching::namespaces;
use crate::controllers::watching::{cache_sync, cluster_id, reconciler};
use crate::controllers::workers::gauges::Gauges;
use crate::controllers::workers::{Concurrency, Controller};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::controllers::{self, Controllers};

/// How many instances are reconciled at the same time. Most of a reconcile is waiting for Kratos, and one that hangs
/// stops nobody.
const INSTANCE_CONCURRENCY: Concurrency = Concurrency::of(128);
/// How many session policies are in work at the same time. Most of them wait for their turn at their instance, which is
/// where they are bounded (`policy/run_permits.rs`).
const POLICY_CONCURRENCY: Concurrency = Concurrency::of(256);
/// How long a process that begins waits for its instances before it reconciles identities.
const INSTANCES_FIRST: Duration = Duration::from_secs(1);
/// How long the last answers are waited for when everything else is over.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs until the process is to stop, or can't go on; reconciles under way are finished in time, or dropped. Until this
/// process leads it watches, and does nothing else.
pub async fn run(operator: Operator, tasks: Tasks) -> Result<(), Failure> {
    let stop = tasks.stop().clone();
    let queues = WorkQueues::default();
    operator.metrics.collect(queue_gauges(&operator.metrics, &queues));
    let scrape = Scrape::default();
    operator.metrics.collect(scrape.clone());
    let cluster_id = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        failure = tasks.failed() => return Err(failure),
        cluster_id = cluster_id::get(operator.options.cluster_id.as_deref(), &operator.client, &operator.watches) => cluster_id,
    };
    say_start(&operator.options, &cluster_id);
    let (concurrency, health) = (operator.concurrency, operator.watches.health().clone());
    let (parts, writers) = Parts::build(&operator, cluster_id, &queues, &tasks);
    scrape.of(parts.scraped());

    let controller = move |kind, concurrency, metrics: &controllers::Controller| Controller {
        kind,
        concurrency,
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let (token, within, begin) = (stop.clone(), Arc::clone(&parts.instances), controller.clone());
    let instance_reconciles = async move {
        if token.run_until_cancelled(within.seen.cache_synced.wait()).await.is_some() {
            let controller = begin("KratosInstance", INSTANCE_CONCURRENCY, &within.metrics.controllers.instances);
            reconciler::run(controller, &within, &token).await;
        }
    };
    let (token, within, begin) = (stop.clone(), Arc::clone(&parts.identities), controller.clone());
    let identity_reconciles = async move {
        // An instance or a namespace that the watch hasn't brought yet must not be taken for one that isn't there.
        let HasSynced { instances, namespaces, identities: _ } = &within.seen.has_synced;
        let ready = future::join3(instances.wait(), namespaces.wait(), within.seen.cache_synced.wait());
        if token.run_until_cancelled(ready).await.is_some() {
            // Whoever is reconciled before its instance is reconciled once more after it.
            let instances = within.seen.instances.state();
            let instances: Vec<_> = instances.iter().map(|instance| NamespacedName::of(&**instance)).collect();
            let answering = within.registry.answering(&instances);
            let _ = tokio::time::timeout(INSTANCES_FIRST, token.run_until_cancelled(answering)).await;
            let concurrency = Concurrency::of(concurrency.into());
            let controller = begin("KratosIdentity", concurrency, &within.metrics.controllers.identities);
            reconciler::run(controller, &within, &token).await;
        }
    };
    let (token, within, begin) = (stop.clone(), Arc::clone(&parts.policies), controller);
    let policy_reconciles = async move {
        // Labels and marks are looked up in what the other watches have brought.
        let HasSynced { identities, instances, namespaces } = &within.seen.has_synced;
        let caught_up = within.seen.cache_synced.wait();
        let ready = future::join4(instances.wait(), namespaces.wait(), identities.wait(), caught_up);
        if token.run_until_cancelled(ready).await.is_some() {
            let controller = begin("KratosSessionPolicy", POLICY_CONCURRENCY, &within.metrics.controllers.policies);
            reconciler::run(controller, &within, &token).await;
        }
    };
    tasks.spawn("beginning to lead", births::begin(Arc::clone(&parts.identities)));
    tasks.spawn("catching up", cache_sync::wait_for_cache_sync(parts.catching_up()));
    begin_watches(writers, &parts, &tasks);
    let controllers = [
        tasks.spawn_critical("reconciles of KratosInstance", instance_reconciles),
        tasks.spawn_critical("reconciles of KratosIdentity", identity_reconciles),
        tasks.spawn_critical("reconciles of KratosSessionPolicy", policy_reconciles),
    ];
    shutdown::finished(&tasks, controllers, |end| release(end, &parts, operator.elector.as_ref())).await
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
async fn release(end: End, parts: &Parts, elector: Option<&Elector>) {
    if end == End::Finished {
        parts.instance_leases().release().await;
    }
    let Some(elector) = elector else { return };
    if end == End::Finished {
        // What goes on beside the reconciles: its last answers.
        let _ = tokio::time::timeout(LAST_ANSWERS, parts.leadership().drained()).await;
    }
    elector.release(parts.leadership().resign().await).await;
}

/// Watches everything, from now on.
fn begin_watches(writers: Writers, parts: &Parts, tasks: &Tasks) {
    let Writers { identities, instances, policies, namespaces } = writers;
    let identities = identities::watch_all(identities, &parts.identities);
    let identities = reconciler::enqueue_changed(identities, Arc::clone(&parts.identities));
    let instances = instances::watch_all(instances, &parts.instances);
    let instances = reconciler::enqueue_changed(instances, Arc::clone(&parts.instances));
    let policies = policies::watch_all(policies, &parts.policies);
    let policies = reconciler::enqueue_changed(policies, Arc::clone(&parts.policies));
    let namespaces = namespaces::watch_all(namespaces, Arc::new(parts.namespaces()));
    tasks.spawn_critical("watch of KratosIdentity", identities);
    tasks.spawn_critical("watch of KratosInstance", instances);
    tasks.spawn_critical("watch of KratosSessionPolicy", policies);
    tasks.spawn_critical("watch of Namespace", namespaces);
    let secrets = parts.secrets();
    let (client, watches) = (secrets.client.clone(), secrets.watches.clone());
    rotation::await_lists(&secrets);
    tasks.spawn_critical("watch of Secret", rotation::watch(secrets));
    let (access, seen) = (Arc::clone(parts.access()), Arc::clone(parts.seen()));
    tasks.spawn_critical("rights that lack", access::keep_asking(access, seen, client, watches.health().clone()));
    watches.have_begun();
}

fn queue_gauges(metrics: &Metrics, queues: &WorkQueues) -> Gauges {
    let Controllers { identities, instances, policies } = &metrics.controllers;
    let WorkQueues { identities: identity_queue, instances: instance_queue, policies: policy_queue } = queues;
    let queues = [(identities, identity_queue), (instances, instance_queue), (policies, policy_queue)];
    Gauges(queues.map(|(controller, asks)| (controller.name(), Arc::clone(asks))).to_vec())
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
