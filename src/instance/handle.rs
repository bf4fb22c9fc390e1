//! An instance that can be called: its settings, its client, and what is remembered between reconciles.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::connect::Credentials;
use super::gate::Gate;
use super::listing::Listing;
use super::managed::Managed;
use super::pending::Pending;
use super::rules::Rules;
use super::schemas::Schemas;
use super::settings::Settings;
use crate::api::Verdict;
use crate::kratos::{Batcher, Client};
use crate::place::Place;

/// One instance as it stands now. Made anew when its resource changes; what is remembered is shared by all of them.
#[derive(Debug)]
pub struct Handle {
    pub place: Place,
    pub settings: Settings,
    /// The last credentials that could be read; they outlive their Secret, so that a namespace that is deleted as a
    /// whole still gets its identities dealt with.
    pub credentials: Credentials,
    pub client: Client,
    /// What creates through the client.
    pub batcher: Batcher,
    /// The rules for resources of other namespaces, or why they can't be asked: then nothing of theirs is admitted.
    pub rules: Arc<Result<Rules, Verdict>>,
    /// Whether the instance carries our finalizer. No identity is created before.
    pub is_held: bool,
    /// Whether the instance is being deleted: what is there is still deleted, nothing is created or changed.
    pub is_deleting: bool,
    pub shared: Arc<Shared>,
}

/// What outlives a change of the instance's resource.
#[derive(Debug, Default)]
pub struct Shared {
    pub gate: Gate,
    pub listing: Listing,
    pub managed: Managed,
    /// Identities whose grace period runs.
    pub pending: Pending,
    pub schemas: Schemas,
    /// Resources that wait for the gate to open or for a listing to be completed.
    pub waiting: Waiting,
    /// Fields that this server turned out not to know.
    pub lacking: Mutex<HashSet<&'static str>>,
    /// Ends the listings.
    pub stopped: CancellationToken,
}

impl Shared {
    /// Notes that the server doesn't know a field.
    pub fn lacks(&self, field: &'static str) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(field);
    }

    /// Whether the server is known not to know a field.
    pub fn is_lacking(&self, field: &str) -> bool {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).contains(field)
    }

    /// Forgets what the server can't do: it may have been replaced by a newer one.
    pub fn may_be_another_server(&self) {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A set of resources that are to be looked at again when something happens.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<HashSet<Place>>);

impl Waiting {
    pub fn add(&self, place: &Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
    }

    pub fn remove(&self, place: &Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    pub fn take(&self) -> HashSet<Place> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
