//! Has policies run when something happened that they are about.

use std::sync::Arc;

use kube::Resource;

use super::pokes::Pokes;
use super::policy_runs::Runs;
use super::seen::Seen;
use crate::api::objects::PolicyObject;
use crate::api::session_policy::KratosSessionPolicy;
use crate::base::place::Place;
use crate::controllers::queue::Priority;
use crate::engine::policy::inputs::instance_place;

/// See the module.
#[derive(Clone)]
pub struct PolicyPokes {
    seen: Arc<Seen>,
    pokes: Pokes,
    runs: Arc<Runs>,
}

impl PolicyPokes {
    pub fn new(seen: Arc<Seen>, pokes: Pokes, runs: Arc<Runs>) -> Self {
        Self { seen, pokes, runs }
    }

    /// An instance came, went, or is another one: they run at once.
    pub fn instance_changed(&self, instance: &Place) {
        self.poke(
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
    pub fn deactivated(&self, instance: &Place, namespace: &str) {
        self.poke(instance, |policy| *policy == instance.namespace || *policy == namespace, |_| ());
    }

    /// The labels of a namespace are others: consent and the instances' rules look at those of a policy's own namespace, and a
    /// policy may select by those of any.
    pub fn namespace_changed(&self, namespace: &str) {
        let selects = |policy: &KratosSessionPolicy| policy.spec.identities.namespace_selector.is_some();
        let is_own = |policy: &KratosSessionPolicy| policy.metadata.namespace.as_deref() == Some(namespace);
        self.poke_those(|policy| is_own(policy) || selects(policy), |_| ());
    }

    fn poke(&self, instance: &Place, stands_where: impl Fn(&String) -> bool, before: impl Fn(&PolicyObject)) {
        let default = self.seen.default_instance.as_ref();
        let refers = |policy: &KratosSessionPolicy| {
            instance_place(policy, default).as_ref() == Some(instance)
                && policy.metadata.namespace.as_ref().is_some_and(&stands_where)
        };
        self.poke_those(refers, before);
    }

    fn poke_those(&self, is_meant: impl Fn(&KratosSessionPolicy) -> bool, before: impl Fn(&PolicyObject)) {
        let policies = self.seen.policies.state();
        let meant = policies.iter().filter(|object| object.0.as_ref().is_ok_and(&is_meant));
        let places = meant.map(|object| {
            before(object);
            Place::of(&**object)
        });
        self.pokes.policies(places, Priority::Arrived);
    }
}
