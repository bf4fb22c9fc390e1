//! Secrets that the operator writes for a resource: observed, written, deleted. Their content is never read. A Secret that
//! isn't controlled by this very resource (by uid) is never touched.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::request::{self, Request};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tracing::Instrument;

use super::{FIELD_MANAGER, writing};
use crate::api::KratosIdentity;
use crate::api::decode::Metadata;
use crate::identity::recovery::{OwnSecret, SecretObservation, Version};

/// What is there now.
pub async fn observe(client: &kube::Client, secret: &OwnSecret) -> Result<SecretObservation, kube::Error> {
    let api = Api::<Metadata<Secret>>::namespaced(client.clone(), &secret.namespace);
    let found = match api.get_opt(&secret.name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(SecretObservation::Absent),
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(SecretObservation::Hidden),
        Err(error) => return Err(error),
    };
    let (_, owner) = &secret.owner;
    let is_ours = found.owner_references().iter().any(|by| by.controller == Some(true) && by.uid == *owner);
    Ok(match (found.uid(), found.resource_version()) {
        (Some(uid), Some(resource_version)) if is_ours => SecretObservation::Ours(Version { uid, resource_version }),
        _ => SecretObservation::Foreign,
    })
}

/// Writes it: replaces the given version, or creates it; 409 where something else is there by now. A trial (dry run) only says
/// whether it would be accepted.
pub async fn write(
    client: &kube::Client,
    secret: &OwnSecret,
    replaces: Option<&Version>,
    data: BTreeMap<String, ByteString>,
    is_trial: bool,
) -> Result<(), kube::Error> {
    let (name, uid) = secret.owner.clone();
    let owner = owned_by(name, uid);
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
    put(client, &secret.namespace, &params, &object).instrument(writing("write_secret")).await
}

/// Creates a Secret, or replaces the one whose `resourceVersion` it carries.
pub async fn put(
    client: &kube::Client,
    namespace: &str,
    params: &PostParams,
    secret: &Secret,
) -> Result<(), kube::Error> {
    let body = serde_json::to_vec(secret).map_err(kube::Error::SerdeError)?;
    let request = match (&secret.metadata.resource_version, &secret.metadata.name) {
        (Some(_), Some(name)) => requests(namespace).replace(name, params, body),
        _ => requests(namespace).create(params, body),
    };
    send(client, request).await
}

/// Deletes it, if it is there and the resource's own; 409 where it has changed meanwhile.
pub async fn delete(client: &kube::Client, secret: &OwnSecret) -> Result<(), kube::Error> {
    let SecretObservation::Ours(Version { uid, resource_version }) = observe(client, secret).await? else {
        return Ok(());
    };
    let this = Preconditions { resource_version: Some(resource_version), uid: Some(uid) };
    let request = requests(&secret.namespace).delete(&secret.name, &DeleteParams::default().preconditions(this));
    match send(client, request).instrument(writing("delete_secret")).await {
        Ok(()) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes another resource its controller, if it is there and this resource's own; 409 where it has changed meanwhile.
pub async fn pass_on(client: &kube::Client, secret: &OwnSecret, (name, uid): (&str, &str)) -> Result<(), kube::Error> {
    let SecretObservation::Ours(version) = observe(client, secret).await? else { return Ok(()) };
    let patch = json!({"metadata": {
        "uid": version.uid, "resourceVersion": version.resource_version,
        "ownerReferences": [owned_by(name.to_owned(), uid.to_owned())],
    }});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let request = requests(&secret.namespace).patch(&secret.name, &params, &Patch::Merge(patch));
    send(client, request).instrument(writing("patch_secret")).await
}

fn owned_by(name: String, uid: String) -> OwnerReference {
    OwnerReference {
        api_version: KratosIdentity::api_version(&()).into_owned(),
        kind: KratosIdentity::kind(&()).into_owned(),
        name,
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn requests(namespace: &str) -> Request {
    Request::new(Secret::url_path(&(), Some(namespace)))
}

/// Sends a write. The answer isn't parsed: other writers of Secrets may have nested `managedFields` to any depth.
async fn send(
    client: &kube::Client,
    request: Result<http::Request<Vec<u8>>, request::Error>,
) -> Result<(), kube::Error> {
    client.request_text(request.map_err(kube::Error::BuildRequest)?).await.map(drop)
}
