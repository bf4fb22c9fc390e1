//! What the engine of instances is given of Kubernetes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::{protect, references};
use crate::base::place::{Place, PlaceKeys};
use crate::controllers::context::Context;
use crate::controllers::queue::Priority;
use crate::engine::cluster::Terms;
use crate::engine::instance::surroundings::{Residents, Speaks, Surroundings};
use crate::identity::mark::Mark;
use crate::instance::{Handle, Registry};

/// The cluster, as the engine of instances sees it.
pub fn around(context: &Arc<Context>) -> Arc<dyn Surroundings> {
    Arc::clone(context) as Arc<dyn Surroundings>
}

impl Residents for Context {
    fn known(&self) -> BoxFuture<'_, ()> {
        async move {
            self.listed.identities.wait().await;
        }
        .boxed()
    }

    fn keys(&self, instance: &Place) -> PlaceKeys {
        references::keys(self, instance)
    }

    fn drifted(&self, instance: &Place) -> u64 {
        references::drifted(self, instance)
    }

    fn is_there(&self, mark: &Mark) -> bool {
        let found = self.identities.get(&ObjectRef::new(&mark.name).within(&mark.namespace));
        found.is_some_and(|found| found.uid().as_ref() == Some(&mark.uid))
    }

    fn is_of_former_namespace(&self, mark: &Mark) -> bool {
        let is_known = mark.cluster == self.cluster_id && self.options.works_in(&mark.namespace);
        let there = || self.namespaces.get(&ObjectRef::new(&mark.namespace));
        // Namespaces that weren't listed yet aren't gone.
        is_known
            && self.listed.namespaces.initialized()
            && there().and_then(|found| found.uid()).as_ref() != Some(&mark.namespace_uid)
    }

    fn expected(&self, instance: &Handle) -> HashMap<String, Place> {
        protect::expected(instance, self)
    }

    fn take_census(&self, instance: &Handle, counted: (usize, &HashMap<String, Place>), begun: Instant) {
        protect::take_census(instance, counted, begun, self);
    }

    fn look_at(&self, changed: &PlaceKeys) {
        self.pokes.identities(references::at(self, changed), Priority::Routine);
    }
}

impl Speaks for Context {
    fn is_leading(&self, instance: &Place) -> bool {
        self.leads.is_leading(instance)
    }

    fn led<'a>(&'a self, instance: &'a Place) -> BoxFuture<'a, ()> {
        self.leads.led(instance).boxed()
    }

    fn lost<'a>(&'a self, instance: &'a Place) -> BoxFuture<'a, ()> {
        self.leads.lost(instance).boxed()
    }
}

impl Surroundings for Context {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}
