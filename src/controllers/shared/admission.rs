//! Which instance admits a resource, and who the resource is to it. Reads only.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::neighbours::Neighbours;
use super::options::Options;
use super::reclaim;
use super::seen::Seen;
use crate::api::Reason;
use crate::api::identity::KratosIdentity;
use crate::api::objects::InstanceObject;
use crate::base::place::Place;
use crate::engine::cluster::{Answered, Instances};
use crate::engine::failure::Halt;
use crate::engine::identity::inputs::{later, not_permitted, not_ready};
use crate::identity::claim::Claimant;
use crate::instance::{Entry, Handle, Registry, consent};

/// See the module.
pub struct Admission {
    pub client: kube::Client,
    pub cluster_id: String,
    pub options: Arc<Options>,
    pub seen: Arc<Seen>,
    pub registry: Arc<Registry>,
    pub neighbours: Arc<Neighbours>,
}

impl Admission {
    /// The instance of a resource, if it is there, looked at, and admits the resource's namespace.
    async fn instance(&self, place: &Place, namespace: &str) -> Result<Arc<Handle>, Halt> {
        let handle = match self.registry.get(place) {
            Some(Entry::Usable(handle)) => handle,
            Some(Entry::Unusable(verdict)) if verdict.reason == Reason::NotPermitted => {
                return Err(Halt::Refused(not_permitted(place, namespace)));
            }
            Some(Entry::Unusable(verdict)) if verdict.reason == Reason::Suspended => {
                return Err(self.suspended(place, &self.neighbours.labels_of(namespace).await?, namespace));
            }
            // Its own status says why; identities that are Ready aren't rewritten.
            Some(Entry::Unusable(_)) => return Err(Halt::Waiting(not_ready(place, "isn't usable; see its status"))),
            None => return Err(self.unseen(place, namespace).await),
        };
        if !consent::admits(
            handle.settings.allowed_namespaces.as_ref(),
            &place.namespace,
            namespace,
            &self.neighbours.labels_of(namespace).await?,
        ) {
            return Err(Halt::Refused(not_permitted(place, namespace)));
        }
        Ok(handle)
    }

    /// An instance that is suspended. Whom it doesn't admit isn't told so.
    fn suspended(&self, place: &Place, labels: &BTreeMap<String, String>, namespace: &str) -> Halt {
        let object = self.seen.instances.get(&ObjectRef::new(&place.name).within(&place.namespace));
        let spec = object.as_deref().and_then(|object| object.0.as_ref().ok()).map(|instance| &instance.spec);
        let allowed = spec.and_then(|spec| spec.allowed_namespaces.as_ref());
        if !consent::admits(allowed, &place.namespace, namespace, labels) {
            return Halt::Refused(not_permitted(place, namespace));
        }
        let what =
            "is suspended (its spec.suspend is true): nothing is sent to its Kratos, and this waits until that ends";
        Halt::Waiting(not_ready(place, what))
    }

    /// An instance that isn't in the registry: gone, or not looked at yet by a process that just started.
    async fn unseen(&self, place: &Place, namespace: &str) -> Halt {
        let object = ObjectRef::new(&place.name).within(&place.namespace);
        if !self.options.works_in(&place.namespace) {
            later(not_ready(place, "is in a namespace that the operator doesn't work in (--namespaces)"))
        } else if self.seen.instances.get(&object).is_some() {
            Halt::Waiting(not_ready(place, "hasn't been looked at yet; it is waited for"))
        } else {
            let meant = self.meant(place, namespace).await;
            let hint =
                meant.map(|meant| format!(". Did you mean {meant} (spec.instanceRef.namespace)?")).unwrap_or_default();
            later(not_ready(place, &format!("doesn't exist; it is waited for{hint}")))
        }
    }

    /// The instance of that name in another namespace that may be meant: the operator's default one, or one that admits the resource's
    /// namespace. Of others nothing is said.
    async fn meant(&self, place: &Place, namespace: &str) -> Option<Place> {
        let default = self.seen.default_instance.clone().filter(|default| default.name == place.name);
        if default.is_some() {
            return default.filter(|default| default != place);
        }
        let namesakes: Vec<_> = self.registry.places().into_iter().filter(|other| other.name == place.name).collect();
        if namesakes.is_empty() {
            return None;
        }
        let labels = self.neighbours.labels_of(namespace).await.ok()?;
        let admits = |other: &Place| {
            let handle = self.registry.handle(other);
            handle.is_some_and(|handle| {
                consent::admits(handle.settings.allowed_namespaces.as_ref(), &other.namespace, namespace, &labels)
            })
        };
        namesakes.into_iter().filter(admits).min()
    }

    /// Who is asking. The namespace's uid is what tells a namespace from one that was re-created under its name.
    async fn who(&self, resource: &KratosIdentity, instance: &Handle) -> Result<Claimant, Halt> {
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
            beside_instance: instance.place.namespace == namespace,
            namespace_uid,
            namespace,
        })
    }
}

impl Instances for Admission {
    fn admitting<'a>(&'a self, instance: &'a Place, namespace: &'a str) -> BoxFuture<'a, Result<Arc<Handle>, Halt>> {
        self.instance(instance, namespace).boxed()
    }

    fn callable(&self, instance: &Place) -> Option<Arc<Handle>> {
        self.registry.handle(instance)
    }

    fn is_there<'a>(&'a self, place: &'a Place) -> Answered<'a, bool> {
        async move {
            if self.seen.instances.get(&ObjectRef::new(&place.name).within(&place.namespace)).is_some() {
                return Ok(true);
            }
            let api = Api::<InstanceObject>::namespaced(self.client.clone(), &place.namespace);
            Ok(api.get_opt(&place.name).await?.is_some())
        }
        .boxed()
    }

    fn claimant<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
    ) -> BoxFuture<'a, Result<Claimant, Halt>> {
        self.who(resource, instance).boxed()
    }

    fn take_back<'a>(&'a self, instance: &'a Handle, from: &'a str, to: &'a str) -> Answered<'a, Option<String>> {
        reclaim::take(instance, from, to, (&self.client, &self.seen)).boxed()
    }
}
