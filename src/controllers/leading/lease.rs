//! Which of several operators over one Kratos leads for an instance: a Lease beside each instance. Its holder does what
//! concerns everybody's identities. Each operator reconciles its own resources whether or not it holds it.
//!
//! If one operator reconciles everything there is no Lease, and it always leads.

pub mod candidate;
pub mod term;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ObjectMeta;
use kube::core::Selector;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::candidate::{Candidate, LeaseOutcome};
use self::term::{GIVEN_UP_AFTER, RENEWED_EVERY};
use crate::base::backoff;
use crate::base::flow::boot_instant::BootInstant;
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::base::supervise::Tasks;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::policy_triggers::PolicyTriggers;
use crate::controllers::shared::work_queues::WorkQueues;
use crate::instance::Registry;
use crate::kubernetes::kube_write::FIELD_MANAGER;

/// A turn that takes longer is given up.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is tried again where it is forbidden, should nobody tell that it was granted.
const WHILE_FORBIDDEN: Duration = Duration::from_secs(45);
/// The longest name of an object.
const LONGEST_NAME: usize = 253;

/// For which instances this process speaks.
pub struct InstanceLeases {
    /// `None`: for all of them, since nobody else reconciles anything.
    me: Option<String>,
    by_key: Mutex<HashMap<NamespacedName, Arc<InstanceLease>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    led: Led,
}

/// What it takes to stand for an instance, and whom leading concerns.
#[derive(Clone)]
pub struct Led {
    pub client: kube::Client,
    pub registry: Arc<Registry>,
    pub queues: WorkQueues,
    pub policy_triggers: PolicyTriggers,
    pub access: Arc<Access>,
    pub tasks: Tasks,
}

#[derive(Debug)]
struct InstanceLease {
    /// Until when this process leads, if it does.
    until: watch::Sender<Option<BootInstant>>,
    stop: CancellationToken,
}

impl InstanceLease {
    fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| !until.has_passed())
    }
}

impl InstanceLeases {
    /// `selector`: what this operator reconciles; unless that is everything, others are thought to reconcile the rest.
    pub fn new(selector: &Selector, led: Led) -> Self {
        Self { me: (!selector.selects_all()).then(identity), by_key: Mutex::default(), tasks: Mutex::default(), led }
    }

    /// Has this process stand for an instance, where there are several.
    pub fn campaign(&self, instance: &impl Resource<DynamicType = ()>) {
        let Some(me) = &self.me else { return };
        let key = NamespacedName::of(instance);
        let mut by_key = self.by_key();
        if by_key.contains_key(&key) {
            return;
        }
        let lead = Arc::new(InstanceLease { until: watch::Sender::new(None), stop: CancellationToken::new() });
        by_key.insert(key.clone(), Arc::clone(&lead));
        drop(by_key);
        let metadata = ObjectMeta {
            name: Some(name(&key.name, &instance.uid().unwrap_or_default())),
            namespace: Some(key.namespace.clone()),
            owner_references: Some(instance.owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        };
        let api = Api::namespaced(self.led.client.clone(), &key.namespace);
        // An instance that is new has none: nobody has spoken for it.
        let candidate = Candidate::new(me.clone(), api, Lease { metadata, spec: None }, false);
        let name = format!("Lease of {key}");
        let task = self.led.tasks.spawn(name, keep_campaigning(key, candidate, lead, self.led.clone()));
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// Whether other operators reconcile what this one doesn't.
    pub fn is_sharded(&self) -> bool {
        self.me.is_some()
    }

    /// Whether this process concludes for an instance now.
    pub fn is_leading(&self, key: &NamespacedName) -> bool {
        !self.is_sharded() || self.by_key().get(key).is_some_and(|lead| lead.is_held())
    }

    /// Whether this process may write what is about an instance as a whole. An instance that nobody leads, since it can't
    /// be used, is spoken of by all alike.
    pub fn may_lead(&self, key: &NamespacedName) -> bool {
        self.by_key().get(key).is_none_or(|lead| lead.is_held())
    }

    /// Returns once this process leads.
    pub async fn until_leading(&self, key: &NamespacedName) {
        if !self.is_sharded() {
            return;
        }
        let Some(lead) = self.lead(key) else { return std::future::pending().await };
        let mut until = lead.until.subscribe();
        // The sender lives as long as the lead does.
        let _ = until.wait_for(|until| until.is_some_and(|until| !until.has_passed())).await;
    }

    /// Works only while this process may speak for an instance; `None`: it may not (any more), and what was under way is
    /// dropped before another one begins.
    pub async fn while_leading<T>(&self, key: &NamespacedName, work: impl Future<Output = T>) -> Option<T> {
        let Some(lead) = self.lead(key) else { return Some(work.await) };
        if !lead.is_held() {
            return None;
        }
        tokio::select! {
            biased;
            () = lost(&lead) => None,
            done = work => Some(done),
        }
    }

    /// Returns once this process may not speak for an instance (any more).
    pub async fn lost(&self, key: &NamespacedName) {
        match self.lead(key) {
            Some(lead) => lost(&lead).await,
            None => std::future::pending().await,
        }
    }

    /// Forgets an instance that is gone.
    pub fn forget(&self, key: &NamespacedName) {
        if let Some(lead) = self.by_key().remove(key) {
            lead.stop.cancel();
        }
    }

    /// Lets others lead at once.
    pub async fn release(&self) {
        for lead in self.by_key().values() {
            lead.stop.cancel();
        }
        let tasks = std::mem::take(&mut *self.tasks());
        futures::future::join_all(tasks).await;
    }

    fn lead(&self, key: &NamespacedName) -> Option<Arc<InstanceLease>> {
        self.by_key().get(key).cloned()
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<NamespacedName, Arc<InstanceLease>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a Lease calls this process: unlike any other, and any that it was before.
pub fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| FIELD_MANAGER.to_owned());
    format!("{host}_{:016x}", rand::random::<u64>())
}

async fn lost(lead: &InstanceLease) {
    let mut changed = lead.until.subscribe();
    while let Some(until) = { *changed.borrow_and_update() }.filter(|until| !until.has_passed()) {
        tokio::select! {
            () = tokio::time::sleep(until.remaining()) => {}
            _ = changed.changed() => {}
        }
    }
}

/// Where the Lease of an instance stands, beside it.
fn name(instance: &str, uid: &str) -> String {
    let name = format!("{FIELD_MANAGER}-{instance}");
    if name.len() <= LONGEST_NAME { name } else { format!("{FIELD_MANAGER}-{uid}") }
}

async fn keep_campaigning(key: NamespacedName, mut candidate: Candidate, lead: Arc<InstanceLease>, parts: Led) {
    let mut is_refused = false;
    while !lead.stop.is_cancelled() {
        let begun = BootInstant::now();
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, candidate.try_acquire_or_renew(Duration::ZERO)).await;
        let was_held = lead.is_held();
        let forbidden = matches!(&answer, Ok(Err(error)) if kube_error::is_forbidden(error));
        match answer {
            Ok(Ok(outcome)) => {
                lead.until.send_replace((outcome == LeaseOutcome::Held).then_some(begun + GIVEN_UP_AFTER));
                is_refused = false;
            }
            // What the Lease says now isn't known: it is read anew. What was held runs out by itself.
            Ok(Err(error)) => {
                candidate.doubt();
                parts.access.note_refused(&error);
                if !std::mem::replace(&mut is_refused, true) {
                    tracing::warn!(
                        instance = %key, error = kube_error::brief(&error),
                        "the Lease that says which operator speaks for the instance can't be read or written; it is \
                         tried again. Grant the operator get, create and update on leases (coordination.k8s.io)"
                    );
                }
            }
            Err(_) => candidate.doubt(),
        }
        match (was_held, lead.is_held()) {
            (false, true) => begin(&key, &parts),
            (true, false) => tracing::info!(instance = %key, "another operator speaks for the instance"),
            _ => {}
        }
        let again = async {
            if forbidden {
                parts.access.granted_within(backoff::jitter(WHILE_FORBIDDEN)).await;
            } else {
                tokio::time::sleep(backoff::jitter(RENEWED_EVERY)).await;
            }
        };
        tokio::select! {
            () = lead.stop.cancelled() => {}
            () = again => {}
        }
    }
    let was_held = lead.until.send_replace(None).is_some();
    let released = async {
        while !candidate.release(Duration::ZERO).await? {}
        Ok::<_, kube::Error>(())
    };
    if was_held && let Ok(Err(error)) = tokio::time::timeout(REQUEST_TIMEOUT, released).await {
        tracing::debug!(instance = %key, error = kube_error::brief(&error), "the Lease wasn't released; it runs out");
    }
}

/// What follows from leading: all resources are reconciled.
fn begin(key: &NamespacedName, led: &Led) {
    tracing::info!(instance = %key, "this operator speaks for the instance");
    if let Some(handle) = led.registry.handle(key) {
        handle.shared.listing.want(Instant::now());
        handle.shared.protector.reconsider();
    }
    led.queues.enqueue_instance(key);
    led.policy_triggers.instance_changed(key);
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_lease_is_named_after_its_instance_where_that_fits() {
        assert_eq!(name("default", "6f1c"), "kratos-operator-default");
        assert_eq!(name(&"a".repeat(237), "6f1c").len(), 253);
        assert_eq!(name(&"a".repeat(238), "6f1c"), "kratos-operator-6f1c");
    }
}
