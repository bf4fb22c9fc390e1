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
use crate::base::namespaced_name::NamespacedName;
use crate::kubernetes::mutation_cache::MutationCache;
use crate::kubernetes::selector;

/// Each is set once the first complete list of its kind is in the store. (A store's own way to wait wakes one waiter only.)
#[derive(Debug, Default)]
pub struct HasSynced {
    pub identities: SetOnce<()>,
    pub instances: SetOnce<()>,
    pub namespaces: SetOnce<()>,
}

/// See the module.
pub struct Informers {
    /// All of them; of those that aren't its own only the outline (see [`selector::outline`]).
    pub identities: Store<IdentityObject>,
    pub instances: Store<InstanceObject>,
    pub policies: Store<PolicyObject>,
    pub namespaces: Store<Metadata<Namespace>>,
    pub identity_mutations: MutationCache<IdentityObject>,
    pub instance_mutations: MutationCache<InstanceObject>,
    pub policy_mutations: MutationCache<PolicyObject>,
    pub has_synced: HasSynced,
    /// Set once this process leads, and what the watches show is no older than that. Until then nothing is reconciled.
    pub cache_synced: SetOnce<()>,
    /// The instance of resources that name none.
    pub default_instance: Option<NamespacedName>,
    watch_selector: Selector,
}

/// Where the watches keep what they bring.
pub struct Stores {
    pub identities: Store<IdentityObject>,
    pub instances: Store<InstanceObject>,
    pub policies: Store<PolicyObject>,
    pub namespaces: Store<Metadata<Namespace>>,
}

impl Informers {
    /// `watch_selector`: which identities are this operator's own.
    pub fn new(stores: Stores, watch_selector: Selector, default_instance: Option<NamespacedName>) -> Self {
        let Stores { identities, instances, policies, namespaces } = stores;
        Self {
            identities,
            instances,
            policies,
            namespaces,
            identity_mutations: MutationCache::default(),
            instance_mutations: MutationCache::default(),
            policy_mutations: MutationCache::default(),
            has_synced: HasSynced::default(),
            cache_synced: SetOnce::new(),
            default_instance,
            watch_selector,
        }
    }

    /// Whether a resource is this operator's to reconcile.
    pub fn is_own(&self, identity: &impl Resource) -> bool {
        selector::selects(&self.watch_selector, identity)
    }

    /// An identity, as the watch shows it.
    pub fn identity(&self, key: &NamespacedName) -> Option<Arc<IdentityObject>> {
        self.identities.get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// An instance, as the watch and our own writes show it.
    pub fn instance(&self, key: &NamespacedName) -> Option<Arc<InstanceObject>> {
        let seen = self.instances.get(&ObjectRef::new(&key.name).within(&key.namespace))?;
        Some(self.instance_mutations.newest(&seen))
    }

    /// A resource as it is now, as far as the watch and our own writes show. `None`: it is gone, or another operator's.
    pub fn own(&self, uid: &str, key: &NamespacedName) -> Option<Arc<IdentityObject>> {
        let seen = self.identity(key)?;
        let latest = self.identity_mutations.newest(&seen);
        (latest.meta().uid.as_deref() == Some(uid) && self.is_own(&*seen) && self.is_own(&*latest)).then_some(latest)
    }

    /// An object as it is now, as far as the watch and our own writes show. `None`: it is gone, or another one is in its place.
    pub fn newest<K>(&self, store: &Store<K>, latest: &MutationCache<K>, object: &impl Resource) -> Option<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let NamespacedName { namespace, name } = NamespacedName::of(object);
        let newest = latest.newest(&store.get(&ObjectRef::new(&name).within(&namespace))?);
        (newest.meta().uid == object.meta().uid).then_some(newest)
    }

    /// The namespaces that are being deleted, as far as is known.
    pub fn leaving_namespaces(&self) -> BTreeSet<String> {
        let all = self.namespaces.state().into_iter();
        let leaving = all.filter(|namespace| namespace.metadata.deletion_timestamp.is_some());
        leaving.filter_map(|namespace| namespace.metadata.name.clone()).collect()
    }

    /// Where its own resources stand, of all instances.
    pub fn own_keys(&self) -> Vec<NamespacedName> {
        let all = self.identities.state();
        all.iter().filter(|object| self.is_own(&***object)).map(|object| NamespacedName::of(&**object)).collect()
    }
}
