//! What the engine is given of Kubernetes: the watches' stores, live reads, Secrets, the protection's answers, events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::{hold, inputs, read_secrets};
use crate::api::decode::Metadata;
use crate::api::happening::Happening;
use crate::api::identity::KratosIdentity;
use crate::api::objects::{IdentityObject, InstanceObject};
use crate::base::place::Place;
use crate::controllers::context::Context;
use crate::controllers::instance::{protect, reclaim, replacements};
use crate::controllers::queue::Priority;
use crate::engine::cluster::{Answered, Deletions, Engine, Instances, Intents, Listener, Others, Secrets};
use crate::engine::failure::Halt;
use crate::identity::claim::Claimant;
use crate::identity::plan::Plan;
use crate::identity::recovery::{OwnSecret, SecretSeen, Version};
use crate::identity::secrets;
use crate::instance::Handle;
use crate::instance::protection::Deletion;
use crate::instance::protector::Answer;
use crate::kubernetes::kube_write::own_secret;

/// The engine, within this cluster.
pub fn engine(context: &Context) -> Engine<'_> {
    Engine {
        terms: &context.terms,
        memory: &context.memory,
        turns: &context.turns,
        leadership: &context.leadership,
        secrets: context,
        instances: context,
        others: context,
        deletions: context,
        intents: context,
        listener: context,
    }
}

impl Secrets for Context {
    fn of_manifest<'a>(&'a self, resource: &'a KratosIdentity) -> BoxFuture<'a, Result<secrets::Secrets, Halt>> {
        read_secrets::read(resource, self).boxed()
    }

    fn look<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, SecretSeen> {
        own_secret::look(&self.client, secret).boxed()
    }

    fn write<'a>(
        &'a self,
        secret: &'a OwnSecret,
        replaces: Option<&'a Version>,
        data: BTreeMap<String, ByteString>,
        is_trial: bool,
    ) -> Answered<'a, ()> {
        let written = own_secret::write(&self.client, secret, replaces, data, is_trial);
        async move { written.await.inspect_err(|error| self.note_refused(error)) }.boxed()
    }

    fn delete<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, ()> {
        own_secret::delete(&self.client, secret).boxed()
    }

    fn pass_on<'a>(&'a self, secret: &'a OwnSecret, to: (&'a str, &'a str)) -> Answered<'a, ()> {
        async move {
            let _permit = self.kubernetes.acquire(&secret.namespace).await;
            own_secret::pass_on(&self.client, secret, to).await
        }
        .boxed()
    }

    fn relies_on(&self, resource: &Place, name: &str) {
        self.rotation.relies_on(resource, name);
    }
}

impl Instances for Context {
    fn admitting<'a>(&'a self, instance: &'a Place, namespace: &'a str) -> BoxFuture<'a, Result<Arc<Handle>, Halt>> {
        inputs::instance(instance, namespace, self).boxed()
    }

    fn callable(&self, instance: &Place) -> Option<Arc<Handle>> {
        self.registry.handle(instance)
    }

    fn is_there<'a>(&'a self, Place { namespace, name }: &'a Place) -> Answered<'a, bool> {
        async move {
            if self.instances.get(&ObjectRef::new(name).within(namespace)).is_some() {
                return Ok(true);
            }
            let api = Api::<InstanceObject>::namespaced(self.client.clone(), namespace);
            Ok(api.get_opt(name).await?.is_some())
        }
        .boxed()
    }

    fn claimant<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
    ) -> BoxFuture<'a, Result<Claimant, Halt>> {
        inputs::claimant(resource, instance, self).boxed()
    }

    fn take_back<'a>(&'a self, instance: &'a Handle, from: &'a str, to: &'a str) -> Answered<'a, Option<String>> {
        reclaim::take(instance, from, to, self).boxed()
    }
}

impl Others for Context {
    fn all(&self) -> Vec<Arc<IdentityObject>> {
        self.identities.state()
    }

    fn seen(&self, Place { namespace, name }: &Place) -> Option<Arc<IdentityObject>> {
        let seen = self.identities.get(&ObjectRef::new(name).within(namespace))?;
        Some(self.latest_identities.of(&seen))
    }

    fn live<'a>(&'a self, Place { namespace, name }: &'a Place) -> Answered<'a, Option<IdentityObject>> {
        let api = Api::<IdentityObject>::namespaced(self.client.clone(), namespace);
        async move { api.get_opt(name).await }.boxed()
    }

    fn successors(&self, resource: &Place) -> Vec<Place> {
        self.successors.of(resource)
    }

    fn naming<'a>(&'a self, namespace: &'a str, name: &'a str, since: Instant) -> Answered<'a, Vec<KratosIdentity>> {
        replacements::naming(namespace, name, since, self).boxed()
    }

    fn namespaces(&self) -> Vec<Arc<Metadata<Namespace>>> {
        self.namespaces.state()
    }

    fn namespace(&self, name: &str) -> Option<Arc<Metadata<Namespace>>> {
        self.namespaces.get(&ObjectRef::new(name))
    }

    fn labels<'a>(&'a self, namespace: &'a str) -> Answered<'a, BTreeMap<String, String>> {
        inputs::labels(namespace, self).boxed()
    }

    fn namespace_uid<'a>(&'a self, namespace: &'a str) -> Answered<'a, Option<String>> {
        async move {
            let _permit = self.kubernetes.acquire(namespace).await;
            Ok(inputs::live_namespace(namespace, self).await?.uid())
        }
        .boxed()
    }

    fn live_namespace<'a>(&'a self, name: &'a str) -> Answered<'a, Option<Metadata<Namespace>>> {
        let api = Api::<Metadata<Namespace>>::all(self.client.clone());
        async move { api.get_opt(name).await }.boxed()
    }
}

impl Deletions for Context {
    fn misses_identities(&self, instance: &Handle) -> bool {
        protect::misses_identities(instance, self)
    }

    fn is_granted(&self, instance: &Handle, deletion: &Deletion) -> bool {
        protect::is_granted(instance, deletion, self)
    }

    fn is_kept(&self, instance: &Handle, deletion: &Deletion) -> bool {
        protect::is_kept(instance, deletion, self)
    }

    fn ask<'a>(&'a self, instance: &'a Handle, deletion: Deletion) -> BoxFuture<'a, Answer> {
        protect::ask(instance, deletion, self).boxed()
    }

    fn restored(&self, instance: &Handle, uid: &str) {
        protect::restored(instance, uid, self);
    }
}

impl Intents for Context {
    fn hold<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
        claimant: &'a Claimant,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<(), Halt>> {
        hold::hold(resource, (instance, claimant), plan, self).boxed()
    }
}

impl Listener for Context {
    fn happened(&self, resource: &KratosIdentity, happening: Happening) {
        self.events.publish(resource, happening);
    }

    fn look_at(&self, resources: Vec<Place>) {
        self.pokes.identities(resources, Priority::Arrived);
    }

    fn corrected(&self) {
        self.metrics.drift_corrected();
    }
}
