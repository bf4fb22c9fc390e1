//! Resources and namespaces that are kept in memory, and what is told of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::{BoxFuture, pending, ready};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;

use super::InMemory;
use crate::api::IDENTITY_FINALIZER;
use crate::api::decode::{Decoded, Metadata};
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::recorded_event::RecordedEvent;
use crate::api::session_policy::{KratosSessionPolicy, KratosSessionPolicyStatus};
use crate::base::namespaced_name::{KeyHash, KeyHashes, NamespacedName};
use crate::engine::cluster::{Answered, Deletions, Intents, Listener, Others, Terms};
use crate::engine::failure::ReconcileError;
use crate::engine::identity::inputs::uid;
use crate::engine::identity::memory::Creators;
use crate::engine::instance::surroundings::{Residents, Speaks, Surroundings};
use crate::engine::policy::surroundings as policies;
use crate::identity::claim::Claimant;
use crate::identity::mark::Mark;
use crate::identity::plan::Plan;
use crate::identity::reference;
use crate::instance::protection::Deletion;
use crate::instance::protector::Answer;
use crate::instance::{Handle, Registry};

impl InMemory {
    /// The resources of an instance.
    fn of(&self, instance: &NamespacedName) -> Vec<KratosIdentity> {
        let (state, default) = (self.state(), self.terms.default_instance.as_ref());
        let of = state.resources.values().filter(|resource| reference::is_of(resource, instance, default));
        of.cloned().collect()
    }
}

impl Others for InMemory {
    fn all(&self) -> Vec<Arc<IdentityObject>> {
        self.state().resources.values().map(|resource| Arc::new(Decoded(Ok(resource.clone())))).collect()
    }

    fn seen(&self, resource: &NamespacedName) -> Option<Arc<IdentityObject>> {
        self.resource(resource).map(|resource| Arc::new(Decoded(Ok(resource))))
    }

    fn live<'a>(&'a self, resource: &'a NamespacedName) -> Answered<'a, Option<IdentityObject>> {
        ready(Ok(self.resource(resource).map(|resource| Decoded(Ok(resource))))).boxed()
    }

    fn successors(&self, resource: &NamespacedName) -> Vec<NamespacedName> {
        let state = self.state();
        let names = |other: &KratosIdentity| {
            let replaces = other.spec.replaces.as_ref();
            replaces.is_some_and(|replaces| replaces.name == resource.name)
                && other.namespace().as_ref() == Some(&resource.namespace)
        };
        state.resources.values().filter(|other| names(other)).map(NamespacedName::of).collect()
    }

    fn naming<'a>(&'a self, namespace: &'a str, name: &'a str, _since: Instant) -> Answered<'a, Vec<KratosIdentity>> {
        let named = self.successors(&NamespacedName::new(namespace, name));
        ready(Ok(named.iter().filter_map(|key| self.resource(key)).collect())).boxed()
    }

    fn namespaces(&self) -> Vec<Arc<Metadata<Namespace>>> {
        self.state().namespaces.values().map(|metadata| Arc::new(metadata.clone().into())).collect()
    }

    fn namespace(&self, name: &str) -> Option<Arc<Metadata<Namespace>>> {
        self.state().namespaces.get(name).map(|metadata| Arc::new(metadata.clone().into()))
    }

    fn labels<'a>(&'a self, namespace: &'a str) -> Answered<'a, BTreeMap<String, String>> {
        let labels = self.namespace(namespace).map(|namespace| namespace.labels().clone());
        ready(Ok(labels.unwrap_or_default())).boxed()
    }

    fn namespace_uid<'a>(&'a self, namespace: &'a str) -> Answered<'a, Option<String>> {
        ready(Ok(self.namespace(namespace).and_then(|namespace| namespace.uid()))).boxed()
    }

    fn live_namespace<'a>(&'a self, name: &'a str) -> Answered<'a, Option<Metadata<Namespace>>> {
        ready(Ok(self.namespace(name).as_deref().cloned())).boxed()
    }
}

impl Deletions for InMemory {
    fn misses_identities(&self, _instance: &Handle) -> bool {
        false
    }

    fn is_granted(&self, _instance: &Handle, _deletion: &Deletion) -> bool {
        true
    }

    fn is_kept(&self, _instance: &Handle, _deletion: &Deletion) -> bool {
        false
    }

    fn ask<'a>(&'a self, _instance: &'a Handle, _deletion: Deletion) -> BoxFuture<'a, Answer> {
        ready(Answer::Granted).boxed()
    }

    fn restored(&self, _instance: &Handle, _uid: &str) {}
}

impl Intents for InMemory {
    /// The finalizer, as in a cluster: a later reconcile knows by it that something may have been created.
    fn ensure_finalizer<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        _instance: &'a Handle,
        _claimant: &'a Claimant,
        _plan: &'a Plan,
    ) -> BoxFuture<'a, Result<(), ReconcileError>> {
        if let Some(resource) = self.state().resources.get_mut(&NamespacedName::of(resource)) {
            let finalizers = resource.metadata.finalizers.get_or_insert_default();
            if !finalizers.iter().any(|finalizer| finalizer == IDENTITY_FINALIZER) {
                finalizers.push(IDENTITY_FINALIZER.to_owned());
            }
        }
        self.memory.update(&uid(resource), |remembered| remembered.creators = Creators::Us);
        ready(Ok(())).boxed()
    }
}

impl policies::Intents for InMemory {
    /// The policy is its owner's: it is given back with the status.
    fn begin<'a>(
        &'a self,
        policy: &'a KratosSessionPolicy,
        status: &'a KratosSessionPolicyStatus,
    ) -> Answered<'a, Option<KratosSessionPolicy>> {
        let begun = KratosSessionPolicy { status: Some(status.clone()), ..policy.clone() };
        ready(Ok(Some(begun))).boxed()
    }
}

impl Listener for InMemory {
    fn happened(&self, resource: &KratosIdentity, event: RecordedEvent) {
        self.state().happened.push((NamespacedName::of(resource), event));
    }

    fn look_at(&self, _resources: Vec<NamespacedName>) {}

    fn corrected(&self) {}
}

impl Residents for InMemory {
    fn known(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn keys(&self, instance: &NamespacedName) -> KeyHashes {
        self.of(instance).iter().map(KeyHash::of).collect()
    }

    fn drifted(&self, _instance: &NamespacedName) -> u64 {
        0
    }

    fn is_there(&self, mark: &Mark) -> bool {
        let there = self.resource(&NamespacedName::new(mark.namespace.as_str(), mark.name.as_str()));
        there.is_some_and(|resource| uid(&resource) == mark.uid)
    }

    fn is_of_former_namespace(&self, mark: &Mark) -> bool {
        let uid = self.namespace(&mark.namespace).and_then(|namespace| namespace.uid());
        mark.cluster == self.terms.cluster_id && uid.as_ref() != Some(&mark.namespace_uid)
    }

    fn expected(&self, instance: &Handle) -> HashMap<String, NamespacedName> {
        let of = self.of(&instance.key).into_iter();
        of.filter_map(|resource| Some((resource.status.as_ref()?.identity_id.clone()?, NamespacedName::of(&resource))))
            .collect()
    }

    fn take_census(&self, _instance: &Handle, _counted: (usize, &HashMap<String, NamespacedName>), _begun: Instant) {}

    fn look_at(&self, _changed: &KeyHashes) {}
}

impl Speaks for InMemory {
    fn is_leading(&self, _instance: &NamespacedName) -> bool {
        true
    }

    fn led<'a>(&'a self, _instance: &'a NamespacedName) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }

    fn lost<'a>(&'a self, _instance: &'a NamespacedName) -> BoxFuture<'a, ()> {
        pending().boxed()
    }
}

impl Surroundings for InMemory {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn others(&self) -> &dyn Others {
        self
    }
}
