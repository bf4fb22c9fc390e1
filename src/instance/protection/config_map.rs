//! The ConfigMap that an instance's protection is kept in: its name, its form, and what is read from it. Pure.
//!
//! Whoever may write ConfigMaps may have written anything. One that isn't the instance's, or whose content isn't what we write,
//! grants nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::state::State;
use crate::api::KratosInstance;
use crate::api::decode::Stored;

/// Where the state stands in its data.
pub const KEY: &str = "state.json";
/// Which instance it is of, for people: the name says its uid.
pub const INSTANCE: &str = "kratos-operator.dev/protection-of";
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/managed-by", "kratos-operator"), ("app.kubernetes.io/component", "protection")];

/// What it is called, by the uid of its instance: no other one is called so, and it is never too long.
pub fn name(uid: &str) -> String {
    format!("kratosinstance-{uid}")
}

/// Which one, in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub uid: String,
    pub resource_version: String,
}

/// As it was read.
#[derive(Clone, Debug)]
pub struct ProtectionObject {
    metadata: ObjectMeta,
    /// `None`: it is nothing that we write.
    state: Option<State>,
}

impl ProtectionObject {
    /// What it says about the instance of this uid, and in which version. `None`: nothing that may be believed.
    pub fn of(self, uid: &str) -> Option<(State, Version)> {
        let mut owners = self.metadata.owner_references.into_iter().flatten();
        let is_its_own = owners.any(|owner| owner.controller == Some(true) && owner.uid == uid);
        let (uid, resource_version) = (self.metadata.uid?, self.metadata.resource_version?);
        let state = self.state.filter(|_| is_its_own)?;
        Some((state, Version { uid, resource_version }))
    }
}

impl<'de> Deserialize<'de> for ProtectionObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::<ConfigMap>::deserialize(deserializer)?;
        let state = stored.value(KEY).ok().and_then(|text| State::read(text));
        Ok(Self { metadata: stored.metadata, state })
    }
}

/// As a ConfigMap is.
impl Resource for ProtectionObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        ConfigMap::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ConfigMap::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ConfigMap::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ConfigMap::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A new one. The garbage collector removes it with its instance.
pub fn new(instance: &KratosInstance, state: &State) -> ConfigMap {
    let ObjectMeta { name: of, uid, namespace, .. } = &instance.metadata;
    let (of, uid) = (of.clone().unwrap_or_default(), uid.clone().unwrap_or_default());
    let owner = OwnerReference {
        api_version: KratosInstance::api_version(&()).into_owned(),
        kind: KratosInstance::kind(&()).into_owned(),
        name: of.clone(),
        uid: uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let metadata = ObjectMeta {
        name: Some(name(&uid)),
        namespace: namespace.clone(),
        labels: Some(owned(LABELS)),
        annotations: Some([(INSTANCE.to_owned(), of)].into()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some([(KEY.to_owned(), state.text())].into()), ..ConfigMap::default() }
}

/// The merge patch that replaces the state in this version, and in no other one.
pub fn patch(version: &Version, state: &State) -> Value {
    let Version { uid, resource_version } = version;
    json!({
        "metadata": {"uid": uid, "resourceVersion": resource_version, "labels": owned(LABELS)},
        "data": {KEY: state.text()},
    })
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
