//! What the engine of identities is given of Kubernetes: the watches' stores, live reads, Secrets, the protection's answers,
//! events.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;

use super::controller::Controller;
use super::{finalizer, read_secrets};
use crate::api::identity::KratosIdentity;
use crate::api::recorded_event::RecordedEvent;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::engine::cluster::{Answered, Engine, Intents, Listener, Secrets};
use crate::engine::failure::ReconcileError;
use crate::identity::claim::Claimant;
use crate::identity::plan::Plan;
use crate::identity::recovery::{OwnSecret, SecretObservation, Version};
use crate::identity::secrets;
use crate::instance::Handle;
use crate::kubernetes::kube_write::own_secret;

/// The engine, within this cluster.
pub fn engine(controller: &Controller) -> Engine<'_> {
    Engine {
        terms: &controller.terms,
        memory: &controller.memory,
        adoption_locks: &controller.adoption_locks,
        leadership: &controller.leadership,
        secrets: controller,
        instances: controller.admission.as_ref(),
        others: controller.neighbours.as_ref(),
        deletions: controller.deletions.as_ref(),
        intents: controller,
        listener: controller,
    }
}

impl Secrets for Controller {
    fn of_manifest<'a>(
        &'a self,
        resource: &'a KratosIdentity,
    ) -> BoxFuture<'a, Result<secrets::Secrets, ReconcileError>> {
        read_secrets::read(resource, self).boxed()
    }

    fn observe<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, SecretObservation> {
        own_secret::observe(&self.client, secret).boxed()
    }

    fn write<'a>(
        &'a self,
        secret: &'a OwnSecret,
        replaces: Option<&'a Version>,
        data: BTreeMap<String, ByteString>,
        is_trial: bool,
    ) -> Answered<'a, ()> {
        let written = own_secret::write(&self.client, secret, replaces, data, is_trial);
        async move { written.await.inspect_err(|error| self.access.note_refused(error)) }.boxed()
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

    fn relies_on(&self, resource: &NamespacedName, name: &str) {
        self.rotation.relies_on(resource, name);
    }
}

impl Intents for Controller {
    fn ensure_finalizer<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
        claimant: &'a Claimant,
        plan: &'a Plan,
    ) -> BoxFuture<'a, Result<(), ReconcileError>> {
        finalizer::ensure_finalizer(resource, (instance, claimant), plan, self).boxed()
    }
}

impl Listener for Controller {
    fn happened(&self, resource: &KratosIdentity, event: RecordedEvent) {
        self.events.publish(resource, event);
    }

    fn look_at(&self, resources: Vec<NamespacedName>) {
        self.queues.enqueue_identities(resources, Priority::Arrived);
    }

    fn corrected(&self) {
        self.metrics.drift_corrected();
    }
}
