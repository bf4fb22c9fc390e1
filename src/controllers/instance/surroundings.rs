//! What the engine of instances is given of Kubernetes: implements the traits of `engine/instance/surroundings.rs`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::controller::Controller;
use super::{protect, shown};
use crate::base::namespaced_name::{KeyHashes, NamespacedName};
use crate::controllers::queue::Priority;
use crate::controllers::shared::references;
use crate::engine::cluster::{Deletions, Others, Terms};
use crate::engine::instance::surroundings::{Residents, Speaks, Surroundings};
use crate::identity::mark::Mark;
use crate::instance::protection::Deletion;
use crate::instance::protector::Answer;
use crate::instance::{Handle, Registry};

/// The cluster, as the engine of instances sees it.
pub fn around(controller: &Arc<Controller>) -> Arc<dyn Surroundings> {
    Arc::clone(controller) as Arc<dyn Surroundings>
}

impl Residents for Controller {
    fn known(&self) -> BoxFuture<'_, ()> {
        async move {
            self.seen.has_synced.identities.wait().await;
        }
        .boxed()
    }

    fn keys(&self, instance: &NamespacedName) -> KeyHashes {
        references::key_hashes(&self.seen, instance)
    }

    fn drifted(&self, instance: &NamespacedName) -> u64 {
        references::drifted(&self.seen, instance)
    }

    fn is_there(&self, mark: &Mark) -> bool {
        let found = self.seen.identities.get(&ObjectRef::new(&mark.name).within(&mark.namespace));
        found.is_some_and(|found| found.uid().as_ref() == Some(&mark.uid))
    }

    fn is_of_former_namespace(&self, mark: &Mark) -> bool {
        let is_known = mark.cluster == self.terms.cluster_id && self.options.works_in(&mark.namespace);
        let there = || self.seen.namespaces.get(&ObjectRef::new(&mark.namespace));
        // Namespaces that weren't listed yet aren't gone.
        is_known
            && self.seen.has_synced.namespaces.initialized()
            && there().and_then(|found| found.uid()).as_ref() != Some(&mark.namespace_uid)
    }

    fn expected(&self, instance: &Handle) -> HashMap<String, NamespacedName> {
        shown::expected(instance, self)
    }

    fn take_census(&self, instance: &Handle, counted: (usize, &HashMap<String, NamespacedName>), begun: Instant) {
        protect::take_census(instance, counted, begun, self);
    }

    fn look_at(&self, changed: &KeyHashes) {
        self.queues.enqueue_identities(references::at(&self.seen, changed), Priority::Routine);
    }
}

impl Speaks for Controller {
    fn is_leading(&self, instance: &NamespacedName) -> bool {
        self.instance_leases.is_leading(instance)
    }

    fn led<'a>(&'a self, instance: &'a NamespacedName) -> BoxFuture<'a, ()> {
        self.instance_leases.until_leading(instance).boxed()
    }

    fn lost<'a>(&'a self, instance: &'a NamespacedName) -> BoxFuture<'a, ()> {
        self.instance_leases.lost(instance).boxed()
    }
}

impl Surroundings for Controller {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn others(&self) -> &dyn Others {
        self.neighbours.as_ref()
    }
}

impl Deletions for Controller {
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
