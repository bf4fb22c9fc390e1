//! An instance that can be called: its settings, its client, and what is remembered between reconciles.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::circuit_breaker::CircuitBreaker;
use super::conflicts::Conflicts;
use super::counts::Counts;
use super::credentials::{Credentials, Versions};
use super::grace_periods::GracePeriods;
use super::listing::Listing;
use super::managed::Managed;
use super::protector::Protector;
use super::rules::Rules;
use super::schemas::Schemas;
use super::settings::Settings;
use super::waiting::Waiting;
use crate::api::ReadyCondition;
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::flow::permit_queue::PermitQueue;
use crate::base::namespaced_name::NamespacedName;
use crate::kratos::{Batcher, Class, Client, CredentialType, Error, IdentityFilter, Reader};

/// No identity has this id: asking for it goes through Kratos' authentication and its database and finds nothing.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// One instance as it stands now. Made anew when its resource changes; what is remembered is shared by all of them.
#[derive(Debug)]
pub struct Handle {
    pub key: NamespacedName,
    pub settings: Settings,
    /// The last credentials that could be read; they outlive their Secret, so that a namespace that is deleted as a
    /// whole still gets its identities dealt with.
    pub credentials: Credentials,
    pub client: Client,
    /// What creates through the client.
    pub batcher: Batcher,
    /// What reads through the client where many are read at the same time.
    pub reader: Reader,
    /// Bounds the changes and deletions that are under way.
    pub writes: Arc<FairSemaphore>,
    /// Bounds the requests under way that have the server hash a password, be it of a change or of a batch of creates. Of
    /// those that change, each is called when its turn has come.
    pub hashing: Arc<PermitQueue<NamespacedName>>,
    /// Bounds the resources whose creates with a password to hash gather for a request, or are under way in one. Each is called
    /// when its turn has come.
    pub creating: Arc<PermitQueue<NamespacedName>>,
    /// The rules for resources of other namespaces, or why they can't be asked: then nothing of theirs is admitted.
    pub rules: Arc<Result<Rules, ReadyCondition>>,
    /// Whether the instance is being deleted: what is there is still deleted, nothing is created or changed.
    pub is_deleting: bool,
    pub calls: Arc<dyn Calls>,
    pub shared: Arc<Shared>,
}

impl Handle {
    /// Whether the server has SAML links, and deletes passwords and links but for the last thing to log in with (v25.4
    /// and later). Found out by a read that shows nothing: earlier ones don't know the word. Asked once.
    pub async fn removes_first_factors(&self) -> Result<bool, Error> {
        let known = *self.shared.newer();
        if let Some(is_newer) = known {
            return Ok(is_newer);
        }
        let filter =
            IdentityFilter { include_credential: vec![CredentialType::Saml], ..IdentityFilter::by_ids([NOBODY]) };
        let asked = std::pin::pin!(self.client.list_identities(filter)).try_next().await;
        let is_newer = match asked {
            Ok(_) => true,
            Err(error) if error.class() == Class::Rejected => false,
            Err(error) => return Err(error),
        };
        *self.shared.newer() = Some(is_newer);
        Ok(is_newer)
    }
}

/// What outlives a change of the instance's resource.
#[derive(Debug, Default)]
pub struct Shared {
    pub circuit_breaker: CircuitBreaker,
    pub listing: Listing,
    pub managed: Managed,
    pub counts: Counts,
    /// Identities whose grace period runs.
    pub grace_periods: GracePeriods,
    pub protector: Protector,
    pub schemas: Schemas,
    pub secrets: ReadSecrets,
    pub run_limits: RunLimits,
    /// Resources that wait for the circuit breaker to close, for the instance to be held or for a listing to be completed.
    pub waiting: Waiting,
    /// Resources that another identity stands in the way of.
    pub conflicts: Conflicts,
    /// Fields that this server turned out not to know, and methods that are switched off.
    pub lacking: Mutex<HashSet<&'static str>>,
    /// Whether the instance carries our finalizer. No identity is created before.
    is_held: AtomicBool,
    /// Whether it is v25.4 or later, once that was asked for.
    newer: Mutex<Option<bool>>,
    /// The last reconcile that somebody asked for and that was taken: its status may have to wait for something else.
    looked_for: Mutex<Option<String>>,
    /// Held by whoever notes that a namespace takes identities back.
    pub reclaiming: tokio::sync::Mutex<()>,
    /// Ends the listings.
    pub stopped: CancellationToken,
}

impl Shared {
    /// Whether the instance carries our finalizer. Where it doesn't, the resource is enqueued once it does.
    pub fn is_held_for(&self, key: &NamespacedName) -> bool {
        let is_held = || self.is_held.load(Ordering::SeqCst);
        if is_held() {
            return true;
        }
        // First in line, then the reconcile: one that is held in between isn't missed.
        self.waiting.add(key);
        let is_held = is_held();
        if is_held {
            self.waiting.remove(key);
        }
        is_held
    }

    /// Notes whether the instance carries our finalizer. Returns whether it does from now on.
    pub fn hold(&self, is_held: bool) -> bool {
        !self.is_held.swap(is_held, Ordering::SeqCst) && is_held
    }

    /// Notes that the server doesn't know a field, or that a method is switched off.
    pub fn lacks(&self, field: &'static str) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(field);
    }

    /// Notes that the server knows it after all.
    pub fn has(&self, field: &'static str) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).remove(field);
    }

    /// Whether the server is known not to know a field.
    pub fn is_lacking(&self, field: &str) -> bool {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).contains(field)
    }

    /// Forgets what the server can't do: it may have been replaced by a newer one.
    pub fn may_be_another_server(&self) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.newer() = None;
    }

    /// Whether a reconcile that is asked for is still to be taken.
    pub fn is_to_be_looked_for(&self, requested_at: &str) -> bool {
        self.looked_for().as_deref() != Some(requested_at)
    }

    /// Notes that it was taken.
    pub fn has_looked_for(&self, requested_at: &str) {
        *self.looked_for() = Some(requested_at.to_owned());
    }

    fn looked_for(&self) -> MutexGuard<'_, Option<String>> {
        self.looked_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newer(&self) -> MutexGuard<'_, Option<bool>> {
        self.newer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which versions of its Secrets an instance has read.
#[derive(Debug, Default)]
pub struct ReadSecrets(Mutex<(Versions, bool)>);

impl ReadSecrets {
    /// A Secret has this version now; `None`: it is gone. Returns whether another one was read, which is to be read again then.
    pub fn outdate(&self, name: &str, version: Option<&str>) -> bool {
        let mut state = self.state();
        let is_another = state.0.get(name).is_some_and(|read| read.as_deref() != version);
        state.1 |= is_another;
        is_another
    }

    /// Whether any is to be read again.
    pub fn is_outdated(&self) -> bool {
        self.state().1
    }

    /// They are about to be read: what changes from now on may be missed by that.
    pub fn are_being_read(&self) {
        self.state().1 = false;
    }

    /// These versions were read; `None`: they couldn't be, and are to be read again.
    pub fn have_been_read(&self, versions: Option<&Versions>) {
        let mut state = self.state();
        match versions {
            Some(versions) => state.0.clone_from(versions),
            None => state.1 = true,
        }
    }

    fn state(&self) -> MutexGuard<'_, (Versions, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many runs of session policies ask Kratos for something at the same time: more make none of them faster, and have
/// everybody else wait. Each sends some requests at once.
const RUNS: usize = 4;
/// Those that end all sessions, beside the others.
const URGENT_RUNS: usize = 2;

/// What runs of session policies take turns at.
#[derive(Debug)]
pub struct RunLimits {
    pub regular: Arc<FairSemaphore>,
    pub urgent: Arc<FairSemaphore>,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self { regular: Arc::new(FairSemaphore::new(RUNS)), urgent: Arc::new(FairSemaphore::new(URGENT_RUNS)) }
    }
}
