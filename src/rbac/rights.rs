//! Which verbs on which resources. Pure. A right stands here beside the reason for it, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::GROUP as OURS;

const CORE: &str = "";
const EVENTS: &str = "events.k8s.io";
const LEASES: &str = "coordination.k8s.io";

/// Verbs by API group and resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>);

impl Rights {
    /// What users write, and what is done because of it.
    pub fn over_resources(&mut self, watches_secrets: bool) {
        // The finalizer is a patch of the resource; nothing else of it is written.
        for kind in ["kratosidentities", "kratosinstances"] {
            self.add(OURS, kind, &["get", "list", "watch", "patch"]);
        }
        self.add(OURS, "kratossessionpolicies", &["get", "list", "watch"]);
        for status in ["kratosidentities/status", "kratosinstances/status", "kratossessionpolicies/status"] {
            self.add(OURS, status, &["patch"]);
        }
        // What manifests refer to is read; a recovery's Secret is written, replaced and deleted.
        self.add(CORE, "secrets", &["get", "create", "update", "delete"]);
        if watches_secrets {
            self.add(CORE, "secrets", &["list", "watch"]);
        }
        self.add(EVENTS, "events", &["create", "patch"]);
    }

    /// Labels and uids of namespaces, kube-system's among them.
    pub fn over_all_namespaces(&mut self) {
        self.add(CORE, "namespaces", &["get", "list", "watch"]);
    }

    /// Labels and uid of the namespace that the role stands in: no role can grant more than `get` on it.
    pub fn over_its_namespace(&mut self) {
        self.add(CORE, "namespaces", &["get"]);
    }

    /// What instances refer to, and the Lease beside each that says which shard speaks for it.
    pub fn over_instances(&mut self, is_shard: bool) {
        self.add(CORE, "secrets", &["get"]);
        self.add(CORE, "configmaps", &["get"]);
        if is_shard {
            self.add(LEASES, "leases", &["get", "create", "update"]);
        }
    }

    /// The key that digests of passwords are made with, and the Lease that says which replica leads.
    pub fn over_own_namespace(&mut self, elects: bool) {
        self.add(CORE, "secrets", &["get", "create"]);
        if elects {
            self.add(LEASES, "leases", &["get", "create", "update"]);
        }
    }

    /// These rights without those.
    pub fn without(mut self, others: &Self) -> Self {
        for (what, verbs) in &mut self.0 {
            verbs.retain(|verb| !others.0.get(what).is_some_and(|others| others.contains(verb)));
        }
        self.0.retain(|_, verbs| !verbs.is_empty());
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Resources of one group with the same verbs share a rule.
    pub fn into_rules(self) -> Vec<PolicyRule> {
        let mut shared = BTreeMap::<_, Vec<_>>::new();
        for ((group, resource), verbs) in self.0 {
            shared.entry((group, verbs)).or_default().push(resource);
        }
        let rules = shared.into_iter();
        rules.map(|((group, verbs), resources)| super::rule((group, resources, verbs.into_iter().collect()))).collect()
    }

    fn add(&mut self, group: &'static str, resource: &'static str, verbs: &[&'static str]) {
        self.0.entry((group, resource)).or_default().extend(verbs);
    }
}
