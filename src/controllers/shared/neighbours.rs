//! Who else is there, of Kubernetes: as the watches show it, and live where something hangs on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::informers::Informers;
use super::replaces_index::ReplacesIndex;
use super::replaces_lister::ReplacesLister;
use crate::api::decode::Metadata;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::{Answered, Others};

/// See the module.
pub struct Neighbours {
    client: kube::Client,
    requests: Arc<FairSemaphore>,
    seen: Arc<Informers>,
    replaces_index: Arc<ReplacesIndex>,
    replaces_lister: ReplacesLister,
}

impl Neighbours {
    /// `requests`: bounds the requests of reconciles of many resources at once.
    pub fn new(
        client: kube::Client,
        requests: Arc<FairSemaphore>,
        seen: Arc<Informers>,
        replaces_index: Arc<ReplacesIndex>,
    ) -> Self {
        Self { client, requests, seen, replaces_index, replaces_lister: ReplacesLister::default() }
    }

    /// The labels of a namespace.
    pub async fn labels_of(&self, namespace: &str) -> Result<BTreeMap<String, String>, kube::Error> {
        if let Some(seen) = self.seen.namespaces.get(&ObjectRef::new(namespace)) {
            return Ok(seen.labels().clone());
        }
        Ok(self.there(namespace).await?.labels().clone())
    }

    /// A namespace that may not be read isn't known, which is neither gone nor refused.
    pub async fn there(&self, namespace: &str) -> Result<Metadata<Namespace>, kube::Error> {
        Api::<Metadata<Namespace>>::all(self.client.clone()).get(namespace).await
    }
}

impl Others for Neighbours {
    fn all(&self) -> Vec<Arc<IdentityObject>> {
        self.seen.identities.state()
    }

    fn seen(&self, resource: &NamespacedName) -> Option<Arc<IdentityObject>> {
        Some(self.seen.identity_mutations.newest(&self.seen.identity(resource)?))
    }

    fn live<'a>(
        &'a self,
        NamespacedName { namespace, name }: &'a NamespacedName,
    ) -> Answered<'a, Option<IdentityObject>> {
        let api = Api::<IdentityObject>::namespaced(self.client.clone(), namespace);
        async move { api.get_opt(name).await }.boxed()
    }

    fn successors(&self, resource: &NamespacedName) -> Vec<NamespacedName> {
        self.replaces_index.of(resource)
    }

    fn naming<'a>(&'a self, namespace: &'a str, name: &'a str, since: Instant) -> Answered<'a, Vec<KratosIdentity>> {
        async move {
            let named = self.replaces_lister.list(namespace, since, &self.client).await?;
            let is_named =
                |it: &&KratosIdentity| it.spec.replaces.as_ref().is_some_and(|replaces| replaces.name == name);
            Ok(named.iter().filter(is_named).cloned().collect())
        }
        .boxed()
    }

    fn namespaces(&self) -> Vec<Arc<Metadata<Namespace>>> {
        self.seen.namespaces.state()
    }

    fn namespace(&self, name: &str) -> Option<Arc<Metadata<Namespace>>> {
        self.seen.namespaces.get(&ObjectRef::new(name))
    }

    fn labels<'a>(&'a self, namespace: &'a str) -> Answered<'a, BTreeMap<String, String>> {
        self.labels_of(namespace).boxed()
    }

    fn namespace_uid<'a>(&'a self, namespace: &'a str) -> Answered<'a, Option<String>> {
        async move {
            let _permit = self.requests.acquire(namespace).await;
            Ok(self.there(namespace).await?.uid())
        }
        .boxed()
    }

    fn live_namespace<'a>(&'a self, name: &'a str) -> Answered<'a, Option<Metadata<Namespace>>> {
        let api = Api::<Metadata<Namespace>>::all(self.client.clone());
        async move { api.get_opt(name).await }.boxed()
    }
}
