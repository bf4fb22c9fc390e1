//! Has policies run when something happened that they are about.

use std::sync::Arc;

use kube::Resource;

use super::informers::Informers;
use super::policy_runs::Runs;
use super::work_queues::WorkQueues;
use crate::api::objects::PolicyObject;
use crate::api::session_policy::KratosSessionPolicy;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::engine::policy::inputs::instance_key;

/// See the module.
#[derive(Clone)]
pub struct PolicyTriggers {
    seen: Arc<Informers>,
    queues: WorkQueues,
    runs: Arc<Runs>,
}

impl PolicyTriggers {
    pub fn new(seen: Arc<Informers>, queues: WorkQueues, runs: Arc<Runs>) -> Self {
        Self { seen, queues, runs }
    }

    /// An instance came, went, or is another one: they run at once.
    pub fn instance_changed(&self, instance: &NamespacedName) {
        self.enqueue(
            instance,
            |_| true,
            |policy| {
                if let Some(uid) = &policy.meta().uid {
                    self.runs.want(uid);
                }
            },
        );
    }

    /// An identity that a resource of this namespace manages became inactive.
    pub fn deactivated(&self, instance: &NamespacedName, namespace: &str) {
        self.enqueue(instance, |policy| *policy == instance.namespace || *policy == namespace, |_| ());
    }

    /// The labels of a namespace have changed: consent and the instances' rules depend on those of a policy's own namespace,
    /// and a policy may select by those of any.
    pub fn namespace_changed(&self, namespace: &str) {
        let selects = |policy: &KratosSessionPolicy| policy.spec.identities.namespace_selector.is_some();
        let is_own = |policy: &KratosSessionPolicy| policy.metadata.namespace.as_deref() == Some(namespace);
        self.enqueue_where(|policy| is_own(policy) || selects(policy), |_| ());
    }

    fn enqueue(
        &self,
        instance: &NamespacedName,
        stands_where: impl Fn(&String) -> bool,
        before: impl Fn(&PolicyObject),
    ) {
        let default = self.seen.default_instance.as_ref();
        let refers = |policy: &KratosSessionPolicy| {
            instance_key(policy, default).as_ref() == Some(instance)
                && policy.metadata.namespace.as_ref().is_some_and(&stands_where)
        };
        self.enqueue_where(refers, before);
    }

    fn enqueue_where(&self, is_meant: impl Fn(&KratosSessionPolicy) -> bool, before: impl Fn(&PolicyObject)) {
        let policies = self.seen.policies.state();
        let meant = policies.iter().filter(|object| object.0.as_ref().is_ok_and(&is_meant));
        let places = meant.map(|object| {
            before(object);
            NamespacedName::of(&**object)
        });
        self.queues.enqueue_policies(places, Priority::Arrived);
    }
}
