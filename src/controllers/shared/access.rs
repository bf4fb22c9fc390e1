//! Which permissions the operator lacks. Each is told once, shown by the instances, and checked until it is granted. The check
//! is a review, which every account may create and which can't be refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use kube::runtime::watcher;
use tokio::sync::{Notify, watch};

use super::informers::Informers;
use super::work_queues::WorkQueues;
use crate::api::condition::Failure;
use crate::base::backoff;
use crate::base::kube_error::{self, Refusal, Right};
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::{Priority, ReconcileResult, Requeue};
use crate::instance::Registry;
use crate::kubernetes::watch_error;
use crate::telemetry::health::Health;

/// How often it is asked whether what lacks was granted.
const ASKED_EVERY: Duration = Duration::from_secs(20);
/// A wait and a review, however long the API server takes for it, are less.
const TURNS_WITHIN: Duration = Duration::from_mins(2);
/// How often a reconcile that was refused something is repeated, should nobody tell that it was granted.
pub const WHILE_REFUSED: Duration = Duration::from_mins(5);
/// What wasn't refused again for so long isn't needed any more, or nobody can tell.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// How many rights are remembered: those of many namespaces.
const MOST: usize = 512;

/// See the module.
#[derive(Debug)]
pub struct Access {
    lacking: Mutex<BTreeMap<Right, Lack>>,
    granted: watch::Sender<()>,
    queues: WorkQueues,
    registry: Arc<Registry>,
    namespaces_changed: Arc<Notify>,
}

#[derive(Clone, Debug)]
struct Lack {
    /// The object that was meant: roles may name objects.
    name: Option<String>,
    last: Instant,
}

impl Access {
    /// When a right is found to lack, the instances say so, and namespaces that can't be watched are asked for.
    pub fn new(queues: WorkQueues, registry: Arc<Registry>, namespaces_changed: Arc<Notify>) -> Self {
        let (lacking, granted) = (Mutex::default(), watch::Sender::new(()));
        Self { lacking, granted, queues, registry, namespaces_changed }
    }

    /// The rights that lack, in order.
    pub fn lacking(&self) -> Vec<Right> {
        self.lock().keys().cloned().collect()
    }

    /// Returns when something was granted, or after so long.
    pub async fn granted_within(&self, longest: Duration) {
        let mut granted = self.granted.subscribe();
        let _ = tokio::time::timeout(longest, granted.changed()).await;
    }

    /// Notes what the operator may not, if that is why a request failed.
    pub fn note_refused(&self, error: &kube::Error) {
        if let Some(refusal) = kube_error::refused(error) {
            self.note_lack(refusal);
        }
    }

    /// The same of a watch.
    pub fn note_refused_watch(&self, error: &watcher::Error) {
        if let Some(refusal) = watch_error::refused_watch(error) {
            self.note_lack(refusal);
        }
    }

    fn note_lack(&self, refusal: Refusal) {
        let right = refusal.right.clone();
        if self.note(refusal) {
            tracing::warn!("the operator may not {right}; grant its account what `kratos-operator rbac` prints");
            self.queues.enqueue_instances(self.registry.keys(), Priority::Arrived);
            // It may be on its way out.
            self.namespaces_changed.notify_one();
        }
    }

    /// Notes a refusal. Returns whether that the right lacks is news.
    fn note(&self, refusal: Refusal) -> bool {
        let mut lacking = self.lock();
        if lacking.len() >= MOST && !lacking.contains_key(&refusal.right) {
            return false;
        }
        let lack = Lack { name: refusal.name, last: Instant::now() };
        lacking.insert(refusal.right, lack).is_none()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Right, Lack>> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reconcile came to that may have been refused something: it isn't repeated until that is granted, but for now
/// and then.
pub fn as_granted(
    access: &Access,
    result: Result<ReconcileResult, kube::Error>,
) -> Result<ReconcileResult, kube::Error> {
    let Err(error) = &result else { return result };
    access.note_refused(error);
    if kube_error::refused(error).is_none() {
        return result;
    }
    Ok(ReconcileResult { requeue: Requeue::After(backoff::jitter(WHILE_REFUSED)), failure: Some(Failure::Retried) })
}

/// Asks whether what lacks was granted, and has whoever waits for it go on, for as long as it is polled.
pub async fn keep_asking(access: Arc<Access>, seen: Arc<Informers>, client: kube::Client, health: Health) {
    let api = Api::<SelfSubjectAccessReview>::all(client);
    let heartbeat = health.expect("rights that lack", TURNS_WITHIN);
    loop {
        heartbeat.beat();
        tokio::time::sleep(backoff::jitter(ASKED_EVERY)).await;
        let lacking = access.lock().clone();
        let mut is_news = false;
        for (right, lack) in lacking {
            heartbeat.beat();
            let is_granted = is_granted(&api, &right, lack.name).await;
            if is_granted || lack.last.elapsed() > FORGOTTEN {
                access.lock().remove(&right);
                is_news = true;
            }
            if is_granted {
                tracing::info!("the operator may {right} now");
                go_on(right.namespace.as_deref(), &access.queues, &seen);
            }
        }
        if is_news {
            access.granted.send_replace(());
            access.queues.enqueue_instances(access.registry.keys(), Priority::Arrived);
        }
    }
}

/// An answer that is none leaves the right lacking.
async fn is_granted(api: &Api<SelfSubjectAccessReview>, right: &Right, name: Option<String>) -> bool {
    let Right { verb, resource, group, namespace } = right.clone();
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource.to_owned(), Some(subresource.to_owned())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        verb: Some(verb),
        group: Some(group),
        resource: Some(resource),
        subresource,
        namespace,
        name,
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let answer = api.create(&PostParams::default(), &review).await;
    answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed))
}

/// Whatever is in that namespace may have waited for it; without one, whatever is anywhere.
fn go_on(namespace: Option<&str>, queues: &WorkQueues, seen: &Informers) {
    let is_there = |key: &NamespacedName| namespace.is_none_or(|namespace| key.namespace == namespace);
    let identities = seen.own_keys().into_iter().filter(&is_there);
    queues.enqueue_identities(identities, Priority::Routine);
    let policies = seen.policies.state().into_iter().map(|policy| NamespacedName::of(&*policy));
    queues.enqueue_policies(policies.filter(is_there), Priority::Routine);
}
