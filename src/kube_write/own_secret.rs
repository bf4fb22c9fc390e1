//! Secrets that the operator writes for a resource: looked at, written, deleted. Their content is never read, and a Secret
//! that isn't controlled by this very resource (its uid) is never touched.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use tracing::Instrument;

use super::{FIELD_MANAGER, writing};
use crate::api::KratosIdentity;
use crate::identity::recovery::{OwnSecret, SecretSeen, Version};

/// What stands there.
pub async fn look(client: &kube::Client, secret: &OwnSecret) -> Result<SecretSeen, kube::Error> {
    let found = match api(client, secret).get_metadata_opt(&secret.name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(SecretSeen::Absent),
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(SecretSeen::Hidden),
        Err(error) => return Err(error),
    };
    let (_, owner) = &secret.owner;
    let is_ours = found.owner_references().iter().any(|by| by.controller == Some(true) && by.uid == *owner);
    Ok(match (found.uid(), found.resource_version()) {
        (Some(uid), Some(resource_version)) if is_ours => SecretSeen::Ours(Version { uid, resource_version }),
        _ => SecretSeen::Foreign,
    })
}

/// Writes it, in place of the version given, or anew; 409 where something else stands there by now. A trial says whether
/// it would be accepted, and changes nothing.
pub async fn write(
    client: &kube::Client,
    secret: &OwnSecret,
    replaces: Option<&Version>,
    data: BTreeMap<String, ByteString>,
    is_trial: bool,
) -> Result<(), kube::Error> {
    let (name, uid) = secret.owner.clone();
    let owner = OwnerReference {
        api_version: KratosIdentity::api_version(&()).into_owned(),
        kind: KratosIdentity::kind(&()).into_owned(),
        name,
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    };
    let labels = [("app.kubernetes.io/managed-by", "kratos-operator"), ("app.kubernetes.io/component", "recovery")];
    let metadata = ObjectMeta {
        name: Some(secret.name.clone()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        owner_references: Some(vec![owner]),
        uid: replaces.map(|version| version.uid.clone()),
        resource_version: replaces.map(|version| version.resource_version.clone()),
        ..ObjectMeta::default()
    };
    let object = Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() };
    let params = PostParams { dry_run: is_trial, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let api = api(client, secret);
    let written = async {
        match replaces {
            Some(_) => api.replace(&secret.name, &params, &object).await.map(drop),
            None => api.create(&params, &object).await.map(drop),
        }
    };
    written.instrument(writing("write_secret")).await
}

/// Deletes it, if it is there and the resource's own; 409 where it changed meanwhile.
pub async fn delete(client: &kube::Client, secret: &OwnSecret) -> Result<(), kube::Error> {
    let SecretSeen::Ours(Version { uid, resource_version }) = look(client, secret).await? else { return Ok(()) };
    let this = Preconditions { resource_version: Some(resource_version), uid: Some(uid) };
    let (api, params) = (api(client, secret), DeleteParams::default().preconditions(this));
    match api.delete(&secret.name, &params).instrument(writing("delete_secret")).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

fn api(client: &kube::Client, secret: &OwnSecret) -> Api<Secret> {
    Api::namespaced(client.clone(), &secret.namespace)
}
