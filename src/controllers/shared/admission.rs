//! Which instance admits a resource by its namespace, and who the resource is to it. Reads only. Whether the instance's rules admit
//! the identity is asked later (`engine/identity/admission.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::informers::Informers;
use super::neighbours::Neighbours;
use super::options::Options;
use super::reclaim;
use crate::api::Reason;
use crate::api::identity::KratosIdentity;
use crate::api::objects::InstanceObject;
use crate::api::words::shown;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::{Answered, Instances};
use crate::engine::failure::ReconcileError;
use crate::engine::identity::inputs::{PLACE, later, not_permitted, not_ready};
use crate::identity::claim::Claimant;
use crate::instance::{Entry, Handle, Registry, consent};

/// See the module.
pub struct Admission {
    pub client: kube::Client,
    pub cluster_id: String,
    pub options: Arc<Options>,
    pub seen: Arc<Informers>,
    pub registry: Arc<Registry>,
    pub neighbours: Arc<Neighbours>,
}

impl Admission {
    /// The instance of a resource, if it exists, was reconciled, and admits the resource's namespace.
    async fn instance(&self, key: &NamespacedName, namespace: &str) -> Result<Arc<Handle>, ReconcileError> {
        let handle = match self.registry.get(key) {
            Some(Entry::Usable(handle)) => handle,
            Some(Entry::Unusable(condition)) if condition.reason == Reason::NotPermitted => {
                return Err(ReconcileError::Refused(not_permitted(key, namespace)));
            }
            Some(Entry::Unusable(condition)) if condition.reason == Reason::Suspended => {
                return Err(self.suspended(key, &self.neighbours.labels_of(namespace).await?, namespace));
            }
            // Its own status says why; identities that are Ready aren't rewritten.
            Some(Entry::Unusable(_)) => {
                return Err(ReconcileError::Waiting(not_ready(key, "isn't usable; see its status")));
            }
            None => return Err(self.unseen(key, namespace).await),
        };
        if !consent::admits(
            handle.settings.allowed_namespaces.as_ref(),
            &key.namespace,
            namespace,
            &self.neighbours.labels_of(namespace).await?,
        ) {
            return Err(ReconcileError::Refused(not_permitted(key, namespace)));
        }
        Ok(handle)
    }

    /// An instance that is suspended. Whom it doesn't admit isn't told so.
    fn suspended(&self, key: &NamespacedName, labels: &BTreeMap<String, String>, namespace: &str) -> ReconcileError {
        let object = self.seen.instances.get(&ObjectRef::new(&key.name).within(&key.namespace));
        let spec = object.as_deref().and_then(|object| object.0.as_ref().ok()).map(|instance| &instance.spec);
        let allowed = spec.and_then(|spec| spec.allowed_namespaces.as_ref());
        if !consent::admits(allowed, &key.namespace, namespace, labels) {
            return ReconcileError::Refused(not_permitted(key, namespace));
        }
        let what =
            "is suspended (its spec.suspend is true): nothing is sent to its Kratos, and this waits until that ends";
        ReconcileError::Waiting(not_ready(key, what))
    }

    /// An instance that isn't in the registry: gone, or not reconciled yet by a process that just started.
    async fn unseen(&self, key: &NamespacedName, namespace: &str) -> ReconcileError {
        let object = ObjectRef::new(&key.name).within(&key.namespace);
        if !self.options.works_in(&key.namespace) {
            later(not_ready(key, "is in a namespace that the operator doesn't work in (--namespaces)"))
        } else if self.seen.instances.get(&object).is_some() {
            ReconcileError::Waiting(not_ready(key, "hasn't been looked at yet; the operator waits for it"))
        } else {
            let hint = self.meant(key, namespace).await.map(|meant| hint(key, &meant)).unwrap_or_default();
            later(not_ready(key, &format!("doesn't exist; the operator waits for it{hint}")))
        }
    }

    /// The instance that may be meant: of that name in another namespace the operator's default one, or one that admits the
    /// resource's namespace; of another name the only one there that does. Of others nothing is said.
    async fn meant(&self, key: &NamespacedName, namespace: &str) -> Option<NamespacedName> {
        let default = self.seen.default_instance.clone().filter(|default| default.name == key.name);
        if default.is_some() {
            return default.filter(|default| default != key);
        }
        let all = self.registry.keys();
        let (namesakes, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|other| other.name == key.name);
        let neighbours: Vec<_> = others.into_iter().filter(|other| other.namespace == key.namespace).collect();
        if namesakes.is_empty() && neighbours.is_empty() {
            return None;
        }
        let labels = self.neighbours.labels_of(namespace).await.ok()?;
        let admits = |other: &NamespacedName| {
            let handle = self.registry.handle(other);
            handle.is_some_and(|handle| {
                consent::admits(handle.settings.allowed_namespaces.as_ref(), &other.namespace, namespace, &labels)
            })
        };
        let only = |mut places: Vec<NamespacedName>| if places.len() == 1 { places.pop() } else { None };
        let namesake = namesakes.into_iter().filter(admits).min();
        namesake.or_else(|| only(neighbours.into_iter().filter(admits).collect()))
    }

    /// Who is asking. The namespace's uid is what tells a namespace from one that was re-created under its name.
    async fn who(&self, resource: &KratosIdentity, instance: &Handle) -> Result<Claimant, ReconcileError> {
        let namespace = resource.namespace().unwrap_or_default();
        let seen = self.seen.namespaces.get(&ObjectRef::new(&namespace)).and_then(|seen| seen.meta().uid.clone());
        let namespace_uid = match seen {
            Some(uid) => uid,
            None => self.neighbours.there(&namespace).await?.uid().unwrap_or_default(),
        };
        Ok(Claimant {
            owner: instance.settings.owner_name.clone(),
            cluster: self.cluster_id.clone(),
            name: resource.name_any(),
            uid: resource.uid().unwrap_or_default(),
            reclaim_from: instance.settings.reclaim_from.clone(),
            reclaim_namespaces: reclaim::open_to(instance, &namespace_uid, &self.seen),
            beside_instance: instance.key.namespace == namespace,
            namespace_uid,
            namespace,
        })
    }
}

/// What is asked of somebody who may have meant another instance, and where that is to be corrected.
fn hint(key: &NamespacedName, meant: &NamespacedName) -> String {
    let field = if key.name == meant.name { "namespace" } else { "name" };
    format!(". Did you mean {} (spec.instanceRef.{field})?", shown(&meant.to_string(), PLACE))
}

impl Instances for Admission {
    fn admitting<'a>(
        &'a self,
        instance: &'a NamespacedName,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Handle>, ReconcileError>> {
        self.instance(instance, namespace).boxed()
    }

    fn callable(&self, instance: &NamespacedName) -> Option<Arc<Handle>> {
        self.registry.handle(instance)
    }

    fn is_there<'a>(&'a self, key: &'a NamespacedName) -> Answered<'a, bool> {
        async move {
            if self.seen.instances.get(&ObjectRef::new(&key.name).within(&key.namespace)).is_some() {
                return Ok(true);
            }
            let api = Api::<InstanceObject>::namespaced(self.client.clone(), &key.namespace);
            Ok(api.get_opt(&key.name).await?.is_some())
        }
        .boxed()
    }

    fn claimant<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
    ) -> BoxFuture<'a, Result<Claimant, ReconcileError>> {
        self.who(resource, instance).boxed()
    }

    fn take_back<'a>(&'a self, instance: &'a Handle, from: &'a str, to: &'a str) -> Answered<'a, Option<String>> {
        reclaim::take(instance, from, to, (&self.client, &self.seen)).boxed()
    }
}
