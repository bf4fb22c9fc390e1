//! Secrets that are kept in memory. What stands there is whoever's wrote it first.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use k8s_openapi::ByteString;

use super::InMemory;
use super::kept::Kept;
use crate::api::identity::KratosIdentity;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::{Answered, Secrets};
use crate::engine::failure::ReconcileError;
use crate::identity::recovery::{OwnSecret, SecretObservation, Version};
use crate::identity::{desired, secrets};

fn key(secret: &OwnSecret) -> NamespacedName {
    NamespacedName::new(secret.namespace.as_str(), secret.name.as_str())
}

impl InMemory {
    /// Changes a Secret, if it is the resource's own.
    fn change(&self, secret: &OwnSecret, change: impl FnOnce(Kept) -> Option<Kept>) {
        let (mut state, key) = (self.state(), key(secret));
        if state.secrets.get(&key).is_some_and(|kept| kept.owner.as_ref() == Some(&secret.owner.1))
            && let Some(changed) = state.secrets.remove(&key).and_then(change)
        {
            state.secrets.insert(key, changed);
        }
    }
}

impl Secrets for InMemory {
    fn of_manifest<'a>(
        &'a self,
        resource: &'a KratosIdentity,
    ) -> BoxFuture<'a, Result<secrets::Secrets, ReconcileError>> {
        let mut found = secrets::Secrets::default().with_key(self.key.clone());
        let namespace = resource.metadata.namespace.clone().unwrap_or_default();
        for reference in desired::secret_references(&resource.spec) {
            let value = self.secret(&NamespacedName::new(namespace.as_str(), reference.name.as_str()), &reference.key);
            let entry = value.map_or(secrets::Entry::NotReady("it doesn't exist"), secrets::Entry::Value);
            found.insert(&reference, entry);
        }
        ready(Ok(found)).boxed()
    }

    fn observe<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, SecretObservation> {
        let state = self.state();
        let seen = match state.secrets.get(&key(secret)) {
            None => SecretObservation::Absent,
            Some(Kept { owner: Some(owner), version, .. }) if *owner == secret.owner.1 => {
                SecretObservation::Ours(Version { uid: owner.clone(), resource_version: version.to_string() })
            }
            Some(_) => SecretObservation::Foreign,
        };
        ready(Ok(seen)).boxed()
    }

    fn write<'a>(
        &'a self,
        secret: &'a OwnSecret,
        _replaces: Option<&'a Version>,
        data: BTreeMap<String, ByteString>,
        is_trial: bool,
    ) -> Answered<'a, ()> {
        if !is_trial {
            let mut state = self.state();
            let kept = state.secrets.entry(key(secret)).or_default();
            kept.values = data.into_iter().map(|(key, value)| (key, value.0)).collect();
            kept.owner = Some(secret.owner.1.clone());
            kept.version += 1;
        }
        ready(Ok(())).boxed()
    }

    fn delete<'a>(&'a self, secret: &'a OwnSecret) -> Answered<'a, ()> {
        self.change(secret, |_| None);
        ready(Ok(())).boxed()
    }

    fn pass_on<'a>(&'a self, secret: &'a OwnSecret, (_, uid): (&'a str, &'a str)) -> Answered<'a, ()> {
        self.change(secret, |kept| Some(Kept { owner: Some(uid.to_owned()), version: kept.version + 1, ..kept }));
        ready(Ok(())).boxed()
    }

    /// Nobody is called.
    fn relies_on(&self, _resource: &NamespacedName, _name: &str) {}
}
