//! The composition root: builds everything once, watches, and stops in order.

mod identities;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, future};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::api::{self, INSTANCE_FINALIZER};
use crate::backoff::{self, OfWatches};
use crate::changes::{Changes, Labels};
use crate::context::{Context, IdentityObject, InstanceObject, Listed, Options, Pokes, PolicyObject};
use crate::decode::Metadata;
use crate::events::Events;
use crate::flow::limit::Limit;
use crate::identity::adopt::Turns;
use crate::identity::memory::Memory;
use crate::instance::{Registry, protect, references};
use crate::kube_error::{brief, of_watch};
use crate::kube_write;
use crate::latest::Latest;
use crate::lease::Leads;
use crate::metrics::Metrics;
use crate::place::Place;
use crate::policy::runs::Runs;
use crate::queue::Priority;
use crate::rotation::{self, Rotation};
use crate::shutdown;
use crate::supervise::{Failure, Tasks};
use crate::workers::{self, Asks};
use crate::{instance, policy};

/// Objects per page of an initial list.
const PAGE_SIZE: u32 = 500;
/// How many instances are looked at at the same time.
const INSTANCE_CONCURRENCY: u16 = 4;
/// How many session policies run at the same time; each sends some requests at once.
const POLICY_CONCURRENCY: u16 = 4;
/// How many requests to the API server looks at identities have in flight: more make it no faster (`make bench` tries), and
/// have whoever else asks it for something wait.
const KUBERNETES_REQUESTS: usize = 16;
const OUTDATED: Duration = Duration::from_millis(200);
const NO_ANSWER: Duration = Duration::from_secs(5);

/// Runs until the process is to stop, or can't go on; reconciles under way are finished in time, or dropped.
pub async fn run(
    client: kube::Client,
    options: Options,
    concurrency: u16,
    metrics: Arc<Metrics>,
    tasks: Tasks,
) -> Result<(), Failure> {
    let stop = tasks.stop().clone();
    let cluster_id = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        failure = tasks.failed() => return Err(failure),
        cluster_id = cluster_id(&client) => cluster_id,
    };
    tracing::info!(
        default_instance = options.default_instance.as_ref().map(ToString::to_string),
        instance_namespaces = ?options.instance_namespaces,
        watch_selector = %options.watch_selector,
        cluster_id, "kratos-operator starts"
    );
    let (identities, identity_writer) = reflector::store();
    let (instances, instance_writer) = reflector::store();
    let (namespaces, namespace_writer) = reflector::store();
    let (policies, policy_writer) = reflector::store();
    let asks = Arc::new(Asks::default());
    let (poke_instance, instance_requests) = unbounded_channel();
    let (poke_policy, policy_requests) = unbounded_channel();
    let leads = Leads::new(&options.watch_selector);
    let (events, sends) = Events::new(client.clone());
    tasks.rely_on("events", sends);
    let context = Arc::new(Context {
        kubernetes: Arc::new(Limit::new(KUBERNETES_REQUESTS)),
        metrics,
        options,
        cluster_id,
        identities: identities.clone(),
        listed: Listed::default(),
        instances: instances.clone(),
        namespaces: namespaces.clone(),
        policies,
        registry: Registry::default(),
        memory: Memory::default(),
        turns: Turns::default(),
        latest_identities: Latest::default(),
        latest_instances: Latest::default(),
        latest_policies: Latest::default(),
        runs: Runs::default(),
        rotation: Rotation::default(),
        operator_key: OnceLock::new(),
        pokes: Pokes { identities: Arc::clone(&asks), instances: poke_instance, policies: poke_policy },
        events,
        tasks: tasks.clone(),
        client: client.clone(),
        leads,
    });

    let identity_watch = identities::watch_all(identity_writer, &context);
    let identity_watch = identities::ask_for_news(identity_watch, Arc::clone(&context));
    let seen = Arc::clone(&context);
    let instance_watch =
        watch::<InstanceObject>(&client).reflect(instance_writer).inspect(move |event| instance_seen(event, &seen));
    let instance_watch = news(instance_watch, INSTANCE_FINALIZER);
    let seen = Arc::clone(&context);
    let mut labels = Labels::default();
    let namespace_watch = watch::<Metadata<Namespace>>(&client).reflect(namespace_writer).for_each(move |event| {
        match event {
            Ok(event) => {
                for namespace in labels.news(&event) {
                    seen.pokes.identities(within(&namespace, &seen), Priority::Arrived);
                }
                if matches!(event, Event::InitDone) {
                    let _ = seen.listed.namespaces.set(());
                }
            }
            Err(error) => tracing::warn!(error = of_watch(&error), "watching namespaces failed; it is tried again"),
        }
        future::ready(())
    });

    let instance_controller = Controller::for_stream(instance_watch, instances.clone())
        .with_config(controller::Config::default().concurrency(INSTANCE_CONCURRENCY))
        .reconcile_on(stream(instance_requests))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(instance::reconcile::reconcile, |_, error, _| retry(error), Arc::clone(&context))
        .for_each(|result| log("KratosInstance", &result));
    let (token, within) = (stop.clone(), Arc::clone(&context));
    let instance_controller =
        async move { unless_stopped_early(Box::pin(instance_controller), &within.instances, &token).await };
    let (token, within) = (stop.clone(), Arc::clone(&context));
    let identity_controller = async move {
        // An instance or a namespace that the watch hasn't brought yet must not be taken for one that isn't there.
        let ready = future::join(within.listed.instances.wait(), within.listed.namespaces.wait());
        if token.run_until_cancelled(ready).await.is_none() {
            return;
        }
        workers::run("KratosIdentity", &asks, concurrency.into(), &token, |place| identities::look(place, &within))
            .await;
    };
    let policy_controller = run_policies(policy_writer, policy_requests, Arc::clone(&context), stop.clone());
    tasks.rely_on("watch of KratosIdentity", identity_watch);
    tasks.rely_on("watch of Namespace", namespace_watch);
    tasks.rely_on("watch of Secret", rotation::watch(Arc::clone(&context)));
    let controllers = [
        tasks.rely_on("reconciles of KratosInstance", instance_controller),
        tasks.rely_on("reconciles of KratosIdentity", identity_controller),
        tasks.rely_on("reconciles of KratosSessionPolicy", policy_controller),
    ];
    shutdown::finished(&tasks, controllers, context.leads.release()).await
}

/// Watches and runs session policies.
async fn run_policies(
    writer: reflector::store::Writer<PolicyObject>,
    requests: UnboundedReceiver<ObjectRef<PolicyObject>>,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    // Labels and marks are looked up in what the other watches have brought.
    let Listed { identities, instances, namespaces } = &context.listed;
    let ready = future::join3(instances.wait(), namespaces.wait(), identities.wait());
    if stop.run_until_cancelled(ready).await.is_none() {
        return;
    }
    let seen = Arc::clone(&context);
    let watch = watch::<PolicyObject>(&context.client).reflect(writer).inspect(move |event| policy_seen(event, &seen));
    let policies = context.policies.clone();
    // It carries no finalizer: nothing in Kratos is a policy's.
    let controller = Controller::for_stream(news(watch, ""), policies.clone())
        .with_config(controller::Config::default().concurrency(POLICY_CONCURRENCY))
        .reconcile_on(stream(requests))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(policy::reconcile::reconcile, |_, error, _| retry(error), context)
        .for_each(|result| log("KratosSessionPolicy", &result));
    unless_stopped_early(Box::pin(controller), &policies, &stop).await;
}

/// Runs a controller until it has stopped. It waits for its store, which nothing fills any more once it is told to stop: one
/// that is told so before has nothing under way, and ends at once.
async fn unless_stopped_early<K>(controller: impl Future<Output = ()>, store: &Store<K>, stop: &CancellationToken)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let stopped_early = async {
        stop.cancelled().await;
        if store.wait_until_ready().now_or_never().is_some() {
            future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = controller => {}
        () = stopped_early => {}
    }
}

/// Uid of the kube-system namespace; waits for an API server that answers.
async fn cluster_id(client: &kube::Client) -> String {
    let api = Api::<Namespace>::all(client.clone());
    let mut backoff = OfWatches::default();
    loop {
        match api.get("kube-system").await {
            Ok(namespace) => return namespace.uid().unwrap_or_default(),
            Err(error) => {
                tracing::warn!(error = brief(&error), "reading namespace kube-system failed; it is tried again");
            }
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

/// Watches all objects of a kind. What nobody needs of them isn't read.
fn watch<K>(client: &kube::Client) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
{
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    watcher(Api::<K>::all(client.clone()), config).backoff(OfWatches::default())
}

/// The objects of a watch that are worth a look.
fn news<K: Resource + Send + 'static>(
    watch: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    finalizer: &'static str,
) -> impl Stream<Item = watcher::Result<K>> + Send + 'static {
    let mut changes = Changes::new(finalizer);
    watch.flat_map(move |event| {
        let news = match event {
            Ok(event) => changes.news(event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        futures::stream::iter(news)
    })
}

fn policy_seen(event: &watcher::Result<Event<PolicyObject>>, context: &Context) {
    match event {
        Ok(Event::Delete(object)) => {
            if let Some(uid) = &object.meta().uid {
                context.runs.forget(uid);
                context.latest_policies.forget(uid);
            }
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => context.latest_policies.caught_up(object),
        Ok(Event::InitDone) => {
            let policies: HashSet<_> =
                context.policies.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
            context.runs.retain(|uid| policies.contains(uid));
            context.latest_policies.retain(|uid| policies.contains(uid));
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error = of_watch(error), "watching KratosSessionPolicy failed; it is tried again"),
    }
}

/// After a complete list: objects that went while nobody watched brought no event.
fn forget_gone(context: &Context) {
    let identities: HashSet<_> =
        context.identities.state().iter().filter_map(|object| object.meta().uid.clone()).collect();
    context.memory.retain(|uid| identities.contains(uid));
    context.latest_identities.retain(|uid| identities.contains(uid));
    let instances: HashSet<_> = context.instances.state().iter().map(|object| Place::of(&**object)).collect();
    for place in context.registry.places().into_iter().filter(|place| !instances.contains(place)) {
        context.registry.remove(&place);
        context.leads.forget(&place);
        context.pokes.identities(references::referring(context, &place), Priority::Arrived);
    }
}

fn instance_seen(event: &watcher::Result<Event<InstanceObject>>, context: &Context) {
    match event {
        Ok(Event::Delete(object)) => {
            let place = Place::of(object);
            if let Some(uid) = &object.meta().uid {
                context.latest_instances.forget(uid);
            }
            context.registry.remove(&place);
            context.leads.forget(&place);
            context.pokes.identities(references::referring(context, &place), Priority::Arrived);
        }
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            context.latest_instances.caught_up(object);
            protect::seen(&Place::of(object), context);
        }
        Ok(Event::InitDone) => {
            let _ = context.listed.instances.set(());
            forget_gone(context);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error = of_watch(error), "watching KratosInstance failed; it is tried again"),
    }
}

/// The operator's own identities of a namespace.
fn within(namespace: &str, context: &Context) -> Vec<Place> {
    let all = context.identities.state();
    let is_within = |object: &IdentityObject| object.meta().namespace.as_deref() == Some(namespace);
    let within = all.iter().filter(|object| is_within(object) && context.is_own(&***object));
    within.map(|object| Place::of(&**object)).collect()
}

fn stream<T: Send + 'static>(receiver: UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// An object that was changed since it was read is looked at again at once; where Kubernetes didn't answer as it
/// should, in a moment. (The client has retried by itself before.)
fn retry(error: &kube::Error) -> Action {
    let after = if kube_write::is_outdated(error) { OUTDATED } else { NO_ANSWER };
    Action::requeue(backoff::spread(after))
}

fn log<K: Resource<DynamicType = ()>>(
    kind: &'static str,
    result: &Result<(ObjectRef<K>, Action), controller::Error<kube::Error, watcher::Error>>,
) -> future::Ready<()> {
    match result {
        // Gone between the request and the look; the watch has said so.
        Ok(_) | Err(controller::Error::ObjectNotFound(_)) => {}
        Err(controller::Error::ReconcilerFailed(error, object)) if kube_write::is_outdated(error) => {
            tracing::debug!(kind, %object, "the object was changed meanwhile; it is looked at again");
        }
        Err(controller::Error::ReconcilerFailed(error, object)) => {
            tracing::warn!(kind, %object, error = brief(error), "a reconcile failed; it is tried again");
        }
        Err(controller::Error::QueueError(error)) => tracing::warn!(kind, error = of_watch(error), "watching failed"),
        Err(_) => tracing::warn!(kind, "a reconcile couldn't be begun"),
    }
    future::ready(())
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
