//! The composition root: builds everything once, watches, and stops in order.

use std::sync::Arc;
use std::time::Duration;

use futures::future;
use kube::ResourceExt;

pub use super::parts::Operator;
use super::parts::{Parts, Writers};
use crate::api;
use crate::base::place::Place;
use crate::base::shutdown::{self, End};
use crate::base::supervise::{Failure, Tasks};
use crate::controllers::identity::{births, watching as identities};
use crate::controllers::instance::watching as instances;
use crate::controllers::leading::election::Elector;
use crate::controllers::policy::watching as policies;
use crate::controllers::scrape::Scrape;
use crate::controllers::secrets::rotation;
use crate::controllers::shared::access;
use crate::controllers::shared::options::Options;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::seen::Listed;
use crate::controllers::watching::namespaces;
use crate::controllers::watching::{caught_up, cluster_id};
use crate::controllers::workers::gauges::Gauges;
use crate::controllers::workers::{self, Controller, Places};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::controllers::{self, Controllers};

/// How many instances are looked at at the same time. Most of a look is waiting for Kratos, and one that hangs stops nobody.
const INSTANCE_PLACES: Places = Places::of(128);
/// How many session policies are in work at the same time. Most of them wait for their turn at their instance, which is
/// where they are bounded (`policy/turn.rs`).
const POLICY_PLACES: Places = Places::of(256);
/// How long the last answers are waited for when everything else is over.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs until the process is to stop, or can't go on; reconciles under way are finished in time, or dropped. Until this
/// process leads it watches, and does nothing else.
pub async fn run(operator: Operator, tasks: Tasks) -> Result<(), Failure> {
    let stop = tasks.stop().clone();
    let pokes = Pokes::default();
    operator.metrics.collect(queues(&operator.metrics, &pokes));
    let scrape = Scrape::default();
    operator.metrics.collect(scrape.clone());
    let cluster_id = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        failure = tasks.failed() => return Err(failure),
        cluster_id = cluster_id::get(operator.options.cluster_id.as_deref(), &operator.client, &operator.watches) => cluster_id,
    };
    say_start(&operator.options, &cluster_id);
    let (concurrency, health) = (operator.concurrency, operator.watches.health().clone());
    let (parts, writers) = Parts::build(&operator, cluster_id, &pokes, &tasks);
    scrape.of(parts.scraped());

    let Pokes { identities: identity_asks, instances: instance_asks, policies: policy_asks } = pokes;
    let controller = move |kind, places, metrics: &controllers::Controller| Controller {
        kind,
        places,
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let (token, within, begin) = (stop.clone(), Arc::clone(&parts.instances), controller.clone());
    let instance_looks = async move {
        if token.run_until_cancelled(within.seen.caught_up.wait()).await.is_some() {
            instances::ask_for_all(&within);
            let look = |place: &Place| instances::look(place, &within);
            let controller = begin("KratosInstance", INSTANCE_PLACES, &within.metrics.controllers.instances);
            workers::run(controller, &instance_asks, &token, look).await;
        }
    };
    let (token, within, begin) = (stop.clone(), Arc::clone(&parts.identities), controller.clone());
    let identity_looks = async move {
        // An instance or a namespace that the watch hasn't brought yet must not be taken for one that isn't there.
        let Listed { instances, namespaces, identities: _ } = &within.seen.listed;
        let ready = future::join3(instances.wait(), namespaces.wait(), within.seen.caught_up.wait());
        if token.run_until_cancelled(ready).await.is_some() {
            identities::ask_for_all(&within);
            let (look, places) = (|place: &Place| identities::look(place, &within), Places::of(concurrency.into()));
            let controller = begin("KratosIdentity", places, &within.metrics.controllers.identities);
            workers::run(controller, &identity_asks, &token, look).await;
        }
    };
    let (token, within, begin) = (stop.clone(), Arc::clone(&parts.policies), controller);
    let policy_looks = async move {
        // Labels and marks are looked up in what the other watches have brought.
        let Listed { identities, instances, namespaces } = &within.seen.listed;
        let caught_up = within.seen.caught_up.wait();
        let ready = future::join4(instances.wait(), namespaces.wait(), identities.wait(), caught_up);
        if token.run_until_cancelled(ready).await.is_some() {
            policies::ask_for_all(&within);
            let look = |place: &Place| policies::look(place, &within);
            let controller = begin("KratosSessionPolicy", POLICY_PLACES, &within.metrics.controllers.policies);
            workers::run(controller, &policy_asks, &token, look).await;
        }
    };
    tasks.keep("beginning to lead", births::begin(Arc::clone(&parts.identities)));
    tasks.keep("catching up", caught_up::catch_up(parts.catching_up()));
    begin_watches(writers, &parts, &tasks);
    let controllers = [
        tasks.rely_on("reconciles of KratosInstance", instance_looks),
        tasks.rely_on("reconciles of KratosIdentity", identity_looks),
        tasks.rely_on("reconciles of KratosSessionPolicy", policy_looks),
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
        parts.leads().release().await;
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
    let identities = identities::ask_for_news(identities, Arc::clone(&parts.identities));
    let instances = instances::watch_all(instances, &parts.instances);
    let instances = instances::ask_for_news(instances, Arc::clone(&parts.instances));
    let policies = policies::watch_all(policies, &parts.policies);
    let policies = policies::ask_for_news(policies, Arc::clone(&parts.policies));
    let namespaces = namespaces::watch_all(namespaces, Arc::new(parts.namespaces()));
    tasks.rely_on("watch of KratosIdentity", identities);
    tasks.rely_on("watch of KratosInstance", instances);
    tasks.rely_on("watch of KratosSessionPolicy", policies);
    tasks.rely_on("watch of Namespace", namespaces);
    let secrets = parts.secrets();
    let (client, watches) = (secrets.client.clone(), secrets.watches.clone());
    rotation::await_lists(&secrets);
    tasks.rely_on("watch of Secret", rotation::watch(secrets));
    let (access, seen) = (Arc::clone(parts.access()), Arc::clone(parts.seen()));
    tasks.rely_on("rights that lack", access::keep_asking(access, seen, client, watches.health().clone()));
    watches.have_begun();
}

fn queues(metrics: &Metrics, pokes: &Pokes) -> Gauges {
    let Controllers { identities, instances, policies } = &metrics.controllers;
    let Pokes { identities: identity_asks, instances: instance_asks, policies: policy_asks } = pokes;
    let queues = [(identities, identity_asks), (instances, instance_asks), (policies, policy_asks)];
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
