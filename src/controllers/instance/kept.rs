//! Reads and writes the ConfigMap beside an instance that its protection is kept in. Each write is guarded by the version that
//! was read. Decides nothing.
//!
//! Until there is one, the instance's status counts: what an earlier version wrote, or what is left after somebody deleted the
//! ConfigMap. A namespace that is being deleted takes its ConfigMaps away, and the rights to them, before its instances and
//! identities can go: there all of it is kept in the status, as in earlier versions.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::request::Request;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tracing::Instrument;

use super::controller::Controller;
use crate::api::KratosInstance;
use crate::api::objects::InstanceObject;
use crate::base::kube_error;
use crate::instance::kept::{Content, Kept};
use crate::instance::protection::State;
use crate::instance::protection::config_map::{self, ProtectionObject};
use crate::kubernetes::kube_write::{self, FIELD_MANAGER, writing};

/// Reads it as it is now. `known`: what was read or written last.
pub async fn read(
    instance: &KratosInstance,
    known: Option<&Kept>,
    controller: &Controller,
) -> Result<Kept, kube::Error> {
    if is_leaving(instance, controller)
        && let Some(known) = known
    {
        return left(instance, known, controller).await;
    }
    let uid = instance.uid().unwrap_or_default();
    let api = Api::<ProtectionObject>::namespaced(controller.client.clone(), &namespace(instance));
    match api.get_opt(&config_map::name(&uid)).await {
        Ok(Some(object)) => Ok(Kept::new(instance, content(object, &uid))),
        Ok(None) => of_status(instance, controller).await,
        Err(error) if kube_error::is_forbidden(&error) && is_leaving(instance, controller) => {
            of_status(instance, controller).await
        }
        Err(error) => Err(error),
    }
}

/// Writes `state` in the place of what was read. 409 or 404 where that isn't there any more (see [`is_outdated`]).
pub async fn write(
    instance: &KratosInstance,
    before: &Kept,
    state: &State,
    controller: &Controller,
) -> Result<Kept, kube::Error> {
    if is_leaving(instance, controller) {
        return write_status(instance, state, controller).await;
    }
    let uid = instance.uid().unwrap_or_default();
    let written = match &before.content {
        Content::ConfigMap(_, version) => {
            let api = Api::<ProtectionObject>::namespaced(controller.client.clone(), &namespace(instance));
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = Patch::Merge(config_map::patch(version, state));
            api.patch(&config_map::name(&uid), &params, &patch).instrument(writing("patch_protection")).await
        }
        Content::Status(_) | Content::Odd => create(&config_map::new(instance, state), instance, controller).await,
    };
    match written {
        Ok(object) => Ok(Kept::new(instance, content(object, &uid))),
        Err(error) if kube_error::is_forbidden(&error) && is_leaving(instance, controller) => {
            write_status(instance, state, controller).await
        }
        Err(error) => Err(error),
    }
}

async fn write_status(instance: &KratosInstance, state: &State, controller: &Controller) -> Result<Kept, kube::Error> {
    let api: Api<InstanceObject> = Api::namespaced(controller.client.clone(), &namespace(instance));
    let status = json!({ "protection": state.in_full() });
    let written: InstanceObject = kube_write::guarded_status(&api, instance, &status).await?;
    controller.seen.instance_mutations.note(written);
    Ok(Kept::new(instance, Content::Status(state.clone())))
}

/// Whether a write failed because somebody else has written meanwhile: what there is is to be read anew.
pub fn is_outdated(error: &kube::Error) -> bool {
    kube_write::is_conflict(error) || matches!(error, kube::Error::Api(status) if status.code == 404)
}

async fn create(
    map: &ConfigMap,
    instance: &KratosInstance,
    controller: &Controller,
) -> Result<ProtectionObject, kube::Error> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let body = serde_json::to_vec(map).map_err(kube::Error::SerdeError)?;
    let requests = Request::new(ConfigMap::url_path(&(), Some(&namespace(instance))));
    let request = requests.create(&params, body).map_err(kube::Error::BuildRequest)?;
    controller.client.request(request).instrument(writing("create_protection")).await
}

/// What the status says now: by it the first ConfigMap is made.
async fn of_status(instance: &KratosInstance, controller: &Controller) -> Result<Kept, kube::Error> {
    let api: Api<InstanceObject> = Api::namespaced(controller.client.clone(), &namespace(instance));
    let live = api.get_opt(&instance.name_any()).await?;
    let live = live.and_then(|object| object.0.ok()).filter(|live| live.uid() == instance.uid());
    let status = live.as_ref().and_then(|live| live.status.as_ref());
    let state = State::of_status(status.and_then(|status| status.protection.as_ref()));
    Ok(Kept::new(instance, Content::Status(state)))
}

/// The same in a namespace that is being deleted: what is known of the ConfigMap, which is gone or going, counts until all of it is
/// in the status.
async fn left(instance: &KratosInstance, known: &Kept, controller: &Controller) -> Result<Kept, kube::Error> {
    let told = of_status(instance, controller).await?;
    let is_all_there = told.state().is_some_and(|state| State::of_status(Some(&state.shown())) != *state);
    Ok(match &known.content {
        Content::ConfigMap(state, _) if !is_all_there => Kept::new(instance, Content::Status(state.clone())),
        Content::ConfigMap(..) | Content::Status(_) | Content::Odd => told,
    })
}

fn content(object: ProtectionObject, uid: &str) -> Content {
    object.of(uid).map_or(Content::Odd, |(state, version)| Content::ConfigMap(state, version))
}

/// Whether the instance's namespace is on its way out. It isn't coming back.
fn is_leaving(instance: &KratosInstance, controller: &Controller) -> bool {
    controller.seen.leaving_namespaces().contains(&namespace(instance))
}

fn namespace(instance: &KratosInstance) -> String {
    instance.namespace().unwrap_or_default()
}
