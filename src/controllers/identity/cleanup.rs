//! A resource that is being deleted, in Kubernetes: once the engine has dealt with its identity (`engine/identity/cleanup.rs`) the
//! finalizer goes. Doesn't depend on a status.

use std::borrow::Cow;

use kube::{Api, ResourceExt};

use super::controller::Controller;
use super::record::{api, finish, subject};
use super::surroundings;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, has_finalizer};
use crate::controllers::queue::{ReconcileResult, Requeue};
use crate::engine::identity::cleanup::{Cleanup, clean_up, event, with_escape};
use crate::engine::identity::course::Course;
use crate::engine::identity::inputs::uid;
use crate::kubernetes::kube_write;

/// Reconciles a resource that is being deleted.
pub async fn reconcile(resource: &KratosIdentity, controller: &Controller) -> Result<ReconcileResult, kube::Error> {
    if !has_finalizer(resource, IDENTITY_FINALIZER) {
        return Ok(Requeue::OnChange.into());
    }
    if controller.memory.is_untouched(&uid(resource)) {
        let _permit = controller.kubernetes.acquire(&resource.namespace().unwrap_or_default()).await;
        kube_write::remove_finalizer(&api(resource, controller), resource, IDENTITY_FINALIZER).await?;
        return Ok(Requeue::OnChange.into());
    }
    let mut latest = latest(resource, controller).await?;
    let (latest, released) = loop {
        let Some(resource) = latest else { return Ok(Requeue::OnChange.into()) };
        match clean_up(&resource, surroundings::engine(controller)).await {
            Ok(Cleanup::Superseded(newest)) => latest = newest.map(|newest| Cow::Owned(*newest)),
            released => break (resource, released),
        }
    };
    let latest: &KratosIdentity = &latest;
    match released {
        Ok(release) => {
            let _permit = controller.kubernetes.acquire(&latest.namespace().unwrap_or_default()).await;
            kube_write::remove_finalizer(&api(latest, controller), latest, IDENTITY_FINALIZER).await?;
            controller.events.publish(latest, event(&release));
            Ok(Requeue::OnChange.into())
        }
        Err(failure) => finish(latest, Err(with_escape(failure)), Course::default(), controller).await,
    }
}

/// The resource as it is to be dealt with. Whoever was told to wait may have been told how to go another way: then it is
/// read afresh, since a policy that was changed a moment ago counts. `None`: it is gone.
async fn latest<'a>(
    resource: &'a KratosIdentity,
    controller: &Controller,
) -> Result<Option<Cow<'a, KratosIdentity>>, kube::Error> {
    if !subject(resource).is_settled() {
        return Ok(Some(Cow::Borrowed(resource)));
    }
    let api: Api<IdentityObject> = api(resource, controller);
    let _permit = controller.kubernetes.acquire(&resource.namespace().unwrap_or_default()).await;
    let found = api.get_opt(&resource.name_any()).await?.and_then(|object| object.0.ok());
    Ok(found.filter(|found| found.uid() == resource.uid()).map(Cow::Owned))
}
