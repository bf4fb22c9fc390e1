//! What the watches have brought, and what our own writes were answered since: one place, for all controllers.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::core::Selector;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::SetOnce;

use crate::api::decode::Metadata;
use crate::api::objects::{IdentityObject, InstanceObject, PolicyObject};
use crate::base::place::Place;
use crate::kubernetes::latest::Latest;
use crate::kubernetes::selector;

/// Each is set once the first complete list of its kind is in the store. (A store's own way to wait wakes one waiter only.)
#[derive(Debug, Default)]
pub struct Listed {
    pub identities: SetOnce<()>,
    pub instances: SetOnce<()>,
    pub namespaces: SetOnce<()>,
}

/// See the module.
pub struct Seen {
    /// All of them; of those that aren't its own only the outline (see [`selector::outline`]).
    pub identities: Store<IdentityObject>,
    pub instances: Store<InstanceObject>,
    pub policies: Store<PolicyObject>,
    pub namespaces: Store<Metadata<Namespace>>,
    pub latest_identities: Latest<IdentityObject>,
    pub latest_instances: Latest<InstanceObject>,
    pub latest_policies: Latest<PolicyObject>,
    pub listed: Listed,
    /// Set once this process leads, and what the watches show is no older than that. Until then nothing is reconciled.
    pub caught_up: SetOnce<()>,
    /// The instance of resources that name none.
    pub default_instance: Option<Place>,
    watch_selector: Selector,
}

/// Where the watches keep what they bring.
pub struct Stores {
    pub identities: Store<IdentityObject>,
    pub instances: Store<InstanceObject>,
    pub policies: Store<PolicyObject>,
    pub namespaces: Store<Metadata<Namespace>>,
}

impl Seen {
    /// `watch_selector`: which identities are this operator's own.
    pub fn new(stores: Stores, watch_selector: Selector, default_instance: Option<Place>) -> Self {
        let Stores { identities, instances, policies, namespaces } = stores;
        Self {
            identities,
            instances,
            policies,
            namespaces,
            latest_identities: Latest::default(),
            latest_instances: Latest::default(),
            latest_policies: Latest::default(),
            listed: Listed::default(),
            caught_up: SetOnce::new(),
            default_instance,
            watch_selector,
        }
    }

    /// Whether a resource is this operator's to reconcile.
    pub fn is_own(&self, identity: &impl Resource) -> bool {
        selector::selects(&self.watch_selector, identity)
    }

    /// An identity, as the watch shows it.
    pub fn identity(&self, place: &Place) -> Option<Arc<IdentityObject>> {
        self.identities.get(&ObjectRef::new(&place.name).within(&place.namespace))
    }

    /// An instance, as the watch and our own writes show it.
    pub fn instance(&self, place: &Place) -> Option<Arc<InstanceObject>> {
        let seen = self.instances.get(&ObjectRef::new(&place.name).within(&place.namespace))?;
        Some(self.latest_instances.of(&seen))
    }

    /// A resource as it is now, as far as the watch and our own writes show. `None`: it is gone, or another operator's.
    pub fn own(&self, uid: &str, place: &Place) -> Option<Arc<IdentityObject>> {
        let seen = self.identity(place)?;
        let latest = self.latest_identities.of(&seen);
        (latest.meta().uid.as_deref() == Some(uid) && self.is_own(&*seen) && self.is_own(&*latest)).then_some(latest)
    }

    /// An object as it is now, as far as the watch and our own writes show. `None`: it is gone, or another one is in its place.
    pub fn newest<K>(&self, store: &Store<K>, latest: &Latest<K>, object: &impl Resource) -> Option<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let Place { namespace, name } = Place::of(object);
        let newest = latest.of(&store.get(&ObjectRef::new(&name).within(&namespace))?);
        (newest.meta().uid == object.meta().uid).then_some(newest)
    }

    /// The namespaces that are being deleted, as far as is known.
    pub fn leaving_namespaces(&self) -> BTreeSet<String> {
        let all = self.namespaces.state().into_iter();
        let leaving = all.filter(|namespace| namespace.metadata.deletion_timestamp.is_some());
        leaving.filter_map(|namespace| namespace.metadata.name.clone()).collect()
    }

    /// Where its own resources stand, of all instances.
    pub fn own_places(&self) -> Vec<Place> {
        let all = self.identities.state();
        all.iter().filter(|object| self.is_own(&***object)).map(|object| Place::of(&**object)).collect()
    }
}
