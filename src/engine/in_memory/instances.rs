//! Instances that are kept in memory: each has a Kratos.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use futures::{FutureExt, TryStreamExt};

use super::InMemory;
use crate::api::identity::KratosIdentity;
use crate::api::instance::KratosInstanceSpec;
use crate::api::recorded_event::RecordedEvent;
use crate::api::{ReadyCondition, Reason};
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::flow::fence::FenceToken;
use crate::base::flow::permit_queue::PermitQueue;
use crate::base::namespaced_name::NamespacedName;
use crate::base::supervise::Tasks;
use crate::engine::cluster::{Answered, Instances, Others};
use crate::engine::failure::ReconcileError;
use crate::engine::identity::inputs::{not_permitted, not_ready, uid};
use crate::engine::instance::surroundings::Surroundings;
use crate::engine::instance::{grace_periods, scan, schemas};
use crate::identity::claim::Claimant;
use crate::instance::calls::Calls;
use crate::instance::credentials::Credentials;
use crate::instance::handle::{NOBODY, Shared};
use crate::instance::{Entry, Handle, connect, consent, settings};
use crate::kratos::{Batcher, Class, IdentityFilter, Observer, Reader};

/// How many requests of one kind one instance is asked for at the same time.
const AT_ONCE: usize = 8;

/// Calls nobody, and counts nothing.
#[derive(Debug)]
struct Silent;

impl Calls for Silent {
    fn instance(&self) {}

    fn waiting(&self, _resources: Vec<NamespacedName>) {}

    fn happened(&self, _happening: RecordedEvent) {}
}

impl Observer for Silent {
    fn answered(&self, _operation: &'static str, _failed: Option<Class>, _took: Duration) {}

    fn created_together(&self, _creates: usize) {}
}

impl InMemory {
    /// Connects an instance, once its Kratos answers, and begins to read what is there: `tasks` run that.
    pub async fn connect(
        self: &Arc<Self>,
        key: &NamespacedName,
        spec: &KratosInstanceSpec,
        credentials: Credentials,
        tasks: &Tasks,
    ) -> Result<Arc<Handle>, ReadyCondition> {
        let settings = settings::parse(spec)?;
        let sent_by = (self.leadership.clone(), FenceToken::default());
        let client = connect::client(&settings, &credentials, (Arc::new(Silent), None), sent_by)?;
        let rules = connect::rules(&settings).await;
        let probe = client.list_identities(IdentityFilter::by_ids([NOBODY]));
        let probed = std::pin::pin!(probe).try_next().await;
        probed.map_err(|error| ReadyCondition::new(Reason::KratosUnavailable, error.to_string()))?;
        let turns = || {
            let tasks = tasks.clone();
            Arc::new(PermitQueue::new(AT_ONCE, |_: &NamespacedName| (), move |waits| drop(tasks.spawn("turns", waits))))
        };
        let (hashing, creating) = (turns(), turns());
        let (batcher, collects) = Batcher::new(client.clone(), hashing.limit());
        tasks.spawn("creates", collects);
        let (reader, collects) = Reader::new(client.clone());
        tasks.spawn("reads", collects);
        let shared = Arc::<Shared>::default();
        shared.circuit_breaker.probed(true, settings.resync_interval);
        shared.hold(true);
        let handle = Arc::new(Handle {
            key: key.clone(),
            settings,
            credentials,
            client,
            batcher,
            reader,
            writes: Arc::new(FairSemaphore::new(AT_ONCE)),
            hashing,
            creating,
            rules,
            is_deleting: false,
            calls: Arc::new(Silent),
            shared: Arc::clone(&shared),
        });
        self.registry.set(key.clone(), Entry::Usable(Arc::clone(&handle)));
        let around = || Arc::clone(self) as Arc<dyn Surroundings>;
        tasks.spawn("schemas", schemas::keep_reading(key.clone(), Arc::clone(&shared), around()));
        tasks.spawn("listing", scan::keep_listing(key.clone(), Arc::clone(&shared), around()));
        tasks.spawn("grace periods", grace_periods::keep_deleting(key.clone(), shared, around()));
        Ok(handle)
    }

    /// Ends what goes on for an instance.
    pub fn disconnect(&self, key: &NamespacedName) {
        self.registry.remove(key);
    }

    async fn admitted(&self, instance: &NamespacedName, namespace: &str) -> Result<Arc<Handle>, ReconcileError> {
        let Some(handle) = self.registry.handle(instance) else {
            return Err(ReconcileError::Waiting(not_ready(instance, "doesn't exist; it is waited for")));
        };
        let allowed = handle.settings.allowed_namespaces.as_ref();
        if consent::admits(allowed, &instance.namespace, namespace, &self.labels(namespace).await?) {
            Ok(handle)
        } else {
            Err(ReconcileError::Refused(not_permitted(instance, namespace)))
        }
    }
}

impl Instances for InMemory {
    fn admitting<'a>(
        &'a self,
        instance: &'a NamespacedName,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Handle>, ReconcileError>> {
        self.admitted(instance, namespace).boxed()
    }

    fn callable(&self, instance: &NamespacedName) -> Option<Arc<Handle>> {
        self.registry.handle(instance)
    }

    fn is_there<'a>(&'a self, instance: &'a NamespacedName) -> Answered<'a, bool> {
        ready(Ok(self.registry.handle(instance).is_some())).boxed()
    }

    fn claimant<'a>(
        &'a self,
        resource: &'a KratosIdentity,
        instance: &'a Handle,
    ) -> BoxFuture<'a, Result<Claimant, ReconcileError>> {
        let NamespacedName { namespace, name } = NamespacedName::of(resource);
        async move {
            Ok(Claimant {
                owner: instance.settings.owner_name.clone(),
                cluster: self.terms.cluster_id.clone(),
                name,
                uid: uid(resource),
                reclaim_from: instance.settings.reclaim_from.clone(),
                reclaim_namespaces: instance.settings.reclaim_namespaces.clone(),
                beside_instance: instance.key.namespace == namespace,
                namespace_uid: self.namespace_uid(&namespace).await?.unwrap_or_default(),
                namespace,
            })
        }
        .boxed()
    }

    /// Whoever asks is the first.
    fn take_back<'a>(&'a self, _instance: &'a Handle, _from: &'a str, to: &'a str) -> Answered<'a, Option<String>> {
        ready(Ok(Some(to.to_owned()))).boxed()
    }
}
