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

use self::candidate::{Candidate, Standing};
use self::term::{GIVEN_UP_AFTER, RENEWED_EVERY};
use crate::base::backoff;
use crate::base::flow::moment::Moment;
use crate::base::kube_error;
use crate::base::place::Place;
use crate::base::supervise::Tasks;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::pokes::Pokes;
use crate::controllers::shared::policy_pokes::PolicyPokes;
use crate::instance::Registry;
use crate::kubernetes::kube_write::FIELD_MANAGER;

/// A turn that takes longer is given up.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is tried again where it is forbidden, should nobody tell that it was granted.
const WHILE_FORBIDDEN: Duration = Duration::from_secs(45);
/// The longest name of an object.
const LONGEST_NAME: usize = 253;

/// For which instances this process speaks.
pub struct Leads {
    /// `None`: for all of them, since nobody else reconciles anything.
    me: Option<String>,
    by_place: Mutex<HashMap<Place, Arc<Lead>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    led: Led,
}

/// What it takes to stand for an instance, and whom leading concerns.
#[derive(Clone)]
pub struct Led {
    pub client: kube::Client,
    pub registry: Arc<Registry>,
    pub pokes: Pokes,
    pub policy_pokes: PolicyPokes,
    pub access: Arc<Access>,
    pub tasks: Tasks,
}

#[derive(Debug)]
struct Lead {
    /// Until when this process leads, if it does.
    until: watch::Sender<Option<Moment>>,
    stop: CancellationToken,
}

impl Lead {
    fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| !until.has_come())
    }
}

impl Leads {
    /// `selector`: what this operator reconciles; unless that is everything, others are thought to reconcile the rest.
    pub fn new(selector: &Selector, led: Led) -> Self {
        Self { me: (!selector.selects_all()).then(identity), by_place: Mutex::default(), tasks: Mutex::default(), led }
    }

    /// Has this process stand for an instance, where there are several.
    pub fn stand(&self, instance: &impl Resource<DynamicType = ()>) {
        let Some(me) = &self.me else { return };
        let place = Place::of(instance);
        let mut by_place = self.by_place();
        if by_place.contains_key(&place) {
            return;
        }
        let lead = Arc::new(Lead { until: watch::Sender::new(None), stop: CancellationToken::new() });
        by_place.insert(place.clone(), Arc::clone(&lead));
        drop(by_place);
        let metadata = ObjectMeta {
            name: Some(name(&place.name, &instance.uid().unwrap_or_default())),
            namespace: Some(place.namespace.clone()),
            owner_references: Some(instance.owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        };
        let api = Api::namespaced(self.led.client.clone(), &place.namespace);
        // An instance that is new has none: nobody has spoken for it.
        let candidate = Candidate::new(me.clone(), api, Lease { metadata, spec: None }, false);
        let name = format!("Lease of {place}");
        let task = self.led.tasks.keep(name, keep_standing(place, candidate, lead, self.led.clone()));
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// Whether other operators reconcile what this one doesn't.
    pub fn is_shared(&self) -> bool {
        self.me.is_some()
    }

    /// Whether this process concludes for an instance now.
    pub fn is_leading(&self, place: &Place) -> bool {
        !self.is_shared() || self.by_place().get(place).is_some_and(|lead| lead.is_held())
    }

    /// Whether this process may write what is about an instance as a whole. An instance that nobody leads, since it can't
    /// be used, is spoken of by all alike.
    pub fn may_speak(&self, place: &Place) -> bool {
        self.by_place().get(place).is_none_or(|lead| lead.is_held())
    }

    /// Returns once this process leads.
    pub async fn led(&self, place: &Place) {
        if !self.is_shared() {
            return;
        }
        let Some(lead) = self.lead(place) else { return std::future::pending().await };
        let mut until = lead.until.subscribe();
        // The sender lives as long as the lead does.
        let _ = until.wait_for(|until| until.is_some_and(|until| !until.has_come())).await;
    }

    /// Works only while this process may speak for an instance; `None`: it may not (any more), and what was under way is
    /// dropped before another one begins.
    pub async fn while_speaking<T>(&self, place: &Place, work: impl Future<Output = T>) -> Option<T> {
        let Some(lead) = self.lead(place) else { return Some(work.await) };
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
    pub async fn lost(&self, place: &Place) {
        match self.lead(place) {
            Some(lead) => lost(&lead).await,
            None => std::future::pending().await,
        }
    }

    /// Forgets an instance that is gone.
    pub fn forget(&self, place: &Place) {
        if let Some(lead) = self.by_place().remove(place) {
            lead.stop.cancel();
        }
    }

    /// Lets others lead at once.
    pub async fn release(&self) {
        for lead in self.by_place().values() {
            lead.stop.cancel();
        }
        let tasks = std::mem::take(&mut *self.tasks());
        futures::future::join_all(tasks).await;
    }

    fn lead(&self, place: &Place) -> Option<Arc<Lead>> {
        self.by_place().get(place).cloned()
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_place(&self) -> MutexGuard<'_, HashMap<Place, Arc<Lead>>> {
        self.by_place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a Lease calls this process: unlike any other, and any that it was before.
pub fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| FIELD_MANAGER.to_owned());
    format!("{host}_{:016x}", rand::random::<u64>())
}

async fn lost(lead: &Lead) {
    let mut changed = lead.until.subscribe();
    while let Some(until) = { *changed.borrow_and_update() }.filter(|until| !until.has_come()) {
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

async fn keep_standing(place: Place, mut candidate: Candidate, lead: Arc<Lead>, led: Led) {
    let mut is_refused = false;
    while !lead.stop.is_cancelled() {
        let begun = Moment::now();
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, candidate.stand(Duration::ZERO)).await;
        let was_held = lead.is_held();
        let forbidden = matches!(&answer, Ok(Err(error)) if kube_error::is_forbidden(error));
        match answer {
            Ok(Ok(standing)) => {
                lead.until.send_replace((standing == Standing::Held).then_some(begun + GIVEN_UP_AFTER));
                is_refused = false;
            }
            // What the Lease says now isn't known: it is read anew. What was held runs out by itself.
            Ok(Err(error)) => {
                candidate.doubt();
                led.access.note_refused(&error);
                if !std::mem::replace(&mut is_refused, true) {
                    tracing::warn!(
                        instance = %place, error = kube_error::brief(&error),
                        "the Lease that says which operator speaks for the instance can't be read or written; it is \
                         tried again. Grant the operator get, create and update on leases (coordination.k8s.io)"
                    );
                }
            }
            Err(_) => candidate.doubt(),
        }
        match (was_held, lead.is_held()) {
            (false, true) => begin(&place, &led),
            (true, false) => tracing::info!(instance = %place, "another operator speaks for the instance"),
            _ => {}
        }
        let again = async {
            if forbidden {
                led.access.granted_within(backoff::spread(WHILE_FORBIDDEN)).await;
            } else {
                tokio::time::sleep(backoff::spread(RENEWED_EVERY)).await;
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
        tracing::debug!(instance = %place, error = kube_error::brief(&error), "the Lease wasn't released; it runs out");
    }
}

/// What follows from leading: everything about everybody is looked at.
fn begin(place: &Place, led: &Led) {
    tracing::info!(instance = %place, "this operator speaks for the instance");
    if let Some(handle) = led.registry.handle(place) {
        handle.shared.listing.want(Instant::now());
        handle.shared.protector.reconsider();
    }
    led.pokes.instance(place);
    led.policy_pokes.instance_changed(place);
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
