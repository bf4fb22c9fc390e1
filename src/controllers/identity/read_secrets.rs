//! Reads the Secrets that a resource refers to, in its own namespace and no other. Keeps no content.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

use super::controller::Controller;
use crate::api::USE_LABEL;
use crate::api::decode::{self, Stored};
use crate::api::identity::KratosIdentity;
use crate::api::instance::KeyRef;
use crate::base::kube_error;
use crate::base::namespaced_name::{self, NamespacedName};
use crate::engine::failure::ReconcileError;
use crate::identity::desired;
use crate::identity::secrets::{Entry, Secrets};

/// Reads what a manifest refers to, each Secret once, and the operator's key. Where the manifest gives no password that key may
/// lack: what it would be used for is left out.
pub async fn read(resource: &KratosIdentity, controller: &Controller) -> Result<Secrets, ReconcileError> {
    let references = desired::secret_references(&resource.spec);
    let secrets = read_references(&NamespacedName::of(resource), &references, controller).await?;
    let secrets = secrets.with_least(controller.options.min_password_length.into());
    let has_password = resource.spec.credentials.as_ref().is_some_and(|credentials| credentials.password.is_some());
    let own = (&controller.client, controller.options.namespace.as_str());
    let key = controller.operator_key.get(own, has_password, |error| controller.access.note_refused(error)).await?;
    Ok(match key {
        Ok(key) => secrets.with_key(key),
        Err(condition) if has_password => return Err(condition.into()),
        Err(_) => secrets,
    })
}

/// One that isn't there, or may not be read, is waited for.
async fn read_references(
    identity: &NamespacedName,
    references: &[KeyRef],
    controller: &Controller,
) -> Result<Secrets, kube::Error> {
    let names: BTreeSet<_> = references.iter().map(|reference| reference.name.as_str()).collect();
    controller.rotation.reads(identity, &names);
    let mut secrets = Secrets::default();
    for name in names {
        let found = read_one(identity, name, controller).await?;
        for reference in references.iter().filter(|reference| reference.name == name) {
            secrets.insert(reference, entry(&found, &reference.key));
        }
    }
    Ok(secrets)
}

async fn read_one(
    identity: &NamespacedName,
    name: &str,
    controller: &Controller,
) -> Result<Result<Stored<Secret>, &'static str>, kube::Error> {
    if !namespaced_name::is_name(name) {
        return Ok(Err("that is no name of a Secret"));
    }
    let api = Api::<Stored<Secret>>::namespaced(controller.client.clone(), &identity.namespace);
    let secret = match api.get_opt(name).await {
        Ok(secret) => secret,
        Err(error) if kube_error::is_forbidden(&error) => {
            controller.access.note_refused(&error);
            return Ok(Err("the operator's account may not get it (RBAC)"));
        }
        Err(error) if decode::is_unreadable(&error) => return Ok(Err(decode::UNREADABLE)),
        Err(error) => return Err(error),
    };
    controller.rotation.has_read(identity, name, secret.as_ref().and_then(ResourceExt::resource_version));
    let Some(secret) = secret else { return Ok(Err("the Secret doesn't exist")) };
    let is_labelled = secret.labels().get(USE_LABEL).is_some_and(|value| value == "true");
    if controller.options.require_secret_label && !is_labelled {
        return Ok(Err("the Secret lacks the label kratos-operator.dev/use: \"true\", without which it isn't read"));
    }
    Ok(Ok(secret))
}

fn entry(found: &Result<Stored<Secret>, &'static str>, key: &str) -> Entry {
    match found {
        Err(why) => Entry::NotReady(why),
        Ok(secret) => match secret.value(key) {
            Ok(bytes) => Entry::Value(bytes.0.clone()),
            Err(lacking) => Entry::NotReady(lacking.words()),
        },
    }
}
