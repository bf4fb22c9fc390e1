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

/// What rights are for. Which of these an operator needs depends on its options; [`super::Wanted`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What users write, and what is done because of it.
    Resources,
    /// A changed Secret is noticed at once.
    WatchedSecrets,
    /// A recovery's Secret is written, replaced and deleted.
    RecoverySecrets,
    /// Labels and uids of namespaces, kube-system's among them.
    AllNamespaces,
    /// Labels and uid of the namespace that the role stands in: no role can grant more than `get` on it.
    ItsNamespace,
    /// What instances refer to, and what their protection is kept in.
    Instances,
    /// The Lease beside each instance that says which shard speaks for it.
    Shards,
    /// The key that digests of passwords are made with.
    Key,
    /// The Lease that says which replica leads.
    Election,
}

impl Part {
    pub const ALL: [Self; 9] = [
        Self::Resources,
        Self::WatchedSecrets,
        Self::RecoverySecrets,
        Self::AllNamespaces,
        Self::ItsNamespace,
        Self::Instances,
        Self::Shards,
        Self::Key,
        Self::Election,
    ];

    /// As the chart names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::WatchedSecrets => "watchedSecrets",
            Self::RecoverySecrets => "recoverySecrets",
            Self::AllNamespaces => "allNamespaces",
            Self::ItsNamespace => "itsNamespace",
            Self::Instances => "instances",
            Self::Shards => "shards",
            Self::Key => "key",
            Self::Election => "election",
        }
    }
}

impl Rights {
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut rights = Self::default();
        parts.into_iter().for_each(|part| rights.add_part(part));
        rights
    }

    fn add_part(&mut self, part: Part) {
        match part {
            Part::Resources => {
                // The finalizer is a patch of the resource; nothing else of it is written.
                for kind in ["kratosidentities", "kratosinstances"] {
                    self.add(OURS, kind, &["get", "list", "watch", "patch"]);
                }
                self.add(OURS, "kratossessionpolicies", &["get", "list", "watch"]);
                for status in ["kratosidentities/status", "kratosinstances/status", "kratossessionpolicies/status"] {
                    self.add(OURS, status, &["patch"]);
                }
                self.add(CORE, "secrets", &["get"]);
                self.add(EVENTS, "events", &["create", "patch"]);
            }
            Part::WatchedSecrets => self.add(CORE, "secrets", &["list", "watch"]),
            Part::RecoverySecrets => self.add(CORE, "secrets", &["get", "create", "update", "patch", "delete"]),
            Part::AllNamespaces => self.add(CORE, "namespaces", &["get", "list", "watch"]),
            Part::ItsNamespace => self.add(CORE, "namespaces", &["get"]),
            Part::Instances => {
                self.add(CORE, "secrets", &["get"]);
                // The one that an instance's protection is kept in is made and written.
                self.add(CORE, "configmaps", &["get", "create", "patch"]);
            }
            Part::Shards | Part::Election => self.add(LEASES, "leases", &["get", "create", "update"]),
            Part::Key => self.add(CORE, "secrets", &["get", "create"]),
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
        rules.map(|((group, verbs), resources)| rule((group, resources, verbs.into_iter().collect()))).collect()
    }

    fn add(&mut self, group: &'static str, resource: &'static str, verbs: &[&'static str]) {
        self.0.entry((group, resource)).or_default().extend(verbs);
    }
}

/// A rule of a role.
pub fn rule((group, resources, verbs): (&str, Vec<&str>, Vec<&str>)) -> PolicyRule {
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}
