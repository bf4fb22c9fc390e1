//! What the engine needs of the cluster around it, as a few traits. The controllers implement them with Kubernetes;
//! [`super::in_memory`] implements them with values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Namespace;

use super::failure::ReconcileError;
use super::identity::adoption_locks::AdoptionLocks;
use super::identity::memory::Memory;
use crate::api::decode::Metadata;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::recorded_event::RecordedEvent;
use crate::base::flow::leadership::Leadership;
use crate::base::namespaced_name::NamespacedName;
use crate::identity::claim::Claimant;
use crate::identity::plan::Plan;
use crate::identity::recovery::{OwnSecret, SecretObservation, Version};
use crate::identity::secrets;
use crate::instance::Handle;
use crate::instance::protection::Deletion;
use crate::instance::protector::Answer;

/// What a cluster answers, or why it didn't.
pub type Answered<'a, T> = BoxFuture<'a, Result<T, kube::Error>>;

/// What doesn't change while the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which cluster this is.
    pub cluster_id: String,
    /// The instance of resources that name none.
    pub default_instance: Option<NamespacedName>,
    /// The namespaces that are worked in. `None`: all of them.
    pub namespaces: Option<BTreeSet<String>>,
    /// Whether recoveries are issued into Secrets.
    pub writes_recovery_secrets: bool,
    /// Whether others reconcile what isn't one's own.
    pub is_shared: bool,
}

impl Terms {
    /// Whether a namespace is worked in.
    pub fn works_in(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }
}

/// Secrets, by reference.
pub trait Secrets: Send + Sync {
    /// What a manifest refers to, and the operator's key.
    fn of_manifest<'a>(
        &'a self,
        resource: &'a KratosIdentity,
    ) -> BoxFuture<'a, Result<secrets::Secrets, ReconcileError>>;

    /// What stands under the name of a Secret that is to be a resource's own.
    fn observe<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, SecretObservation>;

    /// Writes it, in place of the version given, or anew. A trial changes nothing.
    fn write<'a>(
        &'a self,
        secret: &'a OwnSecret,
        replaces: Option<&'a Version>,
        data: BTreeMap<String, ByteString>,
        is_trial: bool,
    ) -> Answered<'a, ()>;

    /// Deletes it, if it is there and the resource's own.
    fn delete<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, ()>;

    /// Gives it to another resource, of this name and uid.
    fn pass_on<'a>(&'a self, secret: &'a OwnSecret, to: (&'a str, &'a str)) -> Answered<'a, ()>;

    /// Has a resource reconciled again once a Secret that it relies on is gone.
    fn relies_on(&self, resource: &NamespacedName, name: &str);
}

/// The instances, and what they admit.
pub trait Instances: Send + Sync {
    /// The instance that stands there, if it can be called and admits the namespace.
    fn admitting<'a>(
        &'a self,
        instance: &'a NamespacedName,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Handle>, ReconcileError>>;

    /// The instance that stands there, if it can be called.
    fn callable(&self, instance: &NamespacedName) -> Option<Arc<Handle>>;

    /// Whether there is an instance at all: asked live where none was seen.
    fn is_there<'a>(&'a self, instance: &'a NamespacedName) -> Answered<'a, bool>;

    /// Who a resource is to an instance.
    fn claimant<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
    ) -> BoxFuture<'a, Result<Claimant, ReconcileError>>;

    /// Notes that the namespace with the uid `to` takes back what `from` has left. Which one does, since another may have been
    /// first; `None`: it couldn't be noted.
    fn take_back<'a>(&'a self, instance: &'a Handle, from: &'a str, to: &'a str) -> Answered<'a, Option<String>>;
}

/// Who else is there: resources and namespaces.
pub trait Others: Send + Sync {
    /// All resources that were seen, whoever reconciles them.
    fn all(&self) -> Vec<Arc<IdentityObject>>;

    /// A resource as it was seen.
    fn seen(&self, resource: &NamespacedName) -> Option<Arc<IdentityObject>>;

    /// A resource as it is now.
    fn live<'a>(&'a self, resource: &'a NamespacedName) -> Answered<'a, Option<IdentityObject>>;

    /// Which resources were seen to name this one in `spec.replaces`.
    fn successors(&self, resource: &NamespacedName) -> Vec<NamespacedName>;

    /// The resources of a namespace that name one in `spec.replaces`, by a list that began after `since`.
    fn naming<'a>(&'a self, namespace: &'a str, name: &'a str, since: Instant) -> Answered<'a, Vec<KratosIdentity>>;

    /// The namespaces that were seen.
    fn namespaces(&self) -> Vec<Arc<Metadata<Namespace>>>;

    /// A namespace as it was seen.
    fn namespace(&self, name: &str) -> Option<Arc<Metadata<Namespace>>>;

    /// A namespace's labels: as it was seen, or live.
    fn labels<'a>(&'a self, namespace: &'a str) -> Answered<'a, BTreeMap<String, String>>;

    /// The uid of a namespace that is there, live.
    fn namespace_uid<'a>(&'a self, namespace: &'a str) -> Answered<'a, Option<String>>;

    /// A namespace as it is now.
    fn live_namespace<'a>(&'a self, name: &'a str) -> Answered<'a, Option<Metadata<Namespace>>>;
}

/// Whether a deletion is granted.
pub trait Deletions: Send + Sync {
    /// Whether so many identities are gone that it may be the wrong Kratos.
    fn misses_identities(&self, instance: &Handle) -> bool;

    /// Whether the identity of a resource that is being deleted may be touched already.
    fn is_granted(&self, instance: &Handle, deletion: &Deletion) -> bool;

    /// Whether the resource goes without its identity being touched, as far as is known already.
    fn is_kept(&self, instance: &Handle, deletion: &Deletion) -> bool;

    /// Asks, and waits for the answer.
    fn ask<'a>(&'a self, instance: &'a Handle, deletion: Deletion) -> BoxFuture<'a, Answer>;

    /// Notes that a resource has its identity again.
    fn restored(&self, instance: &Handle, uid: &str);
}

/// The intent, which is noted before anything is made.
pub trait Intents: Send + Sync {
    /// Notes that a plan is about to be run. Refused where the resource isn't one's own any more, or mustn't be given anything.
    fn ensure_finalizer<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
        claimant: &'a Claimant,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<(), ReconcileError>>;
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// Something happened to a resource.
    fn happened(&self, resource: &KratosIdentity, event: RecordedEvent);

    /// Other resources must be reconciled.
    fn look_at(&self, resources: Vec<NamespacedName>);

    /// What somebody had changed was put right.
    fn corrected(&self);
}

/// What the engine works with. What it remembers is given to it as well: it outlives a reconcile.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    pub terms: &'a Terms,
    pub memory: &'a Memory,
    /// Turns at taking identities over.
    pub adoption_locks: &'a AdoptionLocks,
    pub leadership: &'a Leadership,
    pub secrets: &'a dyn Secrets,
    pub instances: &'a dyn Instances,
    pub others: &'a dyn Others,
    pub deletions: &'a dyn Deletions,
    pub intents: &'a dyn Intents,
    pub listener: &'a dyn Listener,
}
