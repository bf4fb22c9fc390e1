//! A resource that is being deleted: its identity first, then the finalizer. Doesn't depend on a status.

use std::borrow::Cow;

use kube::{Api, ResourceExt};

use super::controller::Controller;
use super::record::{api, finish, subject};
use super::surroundings;
use crate::api::identity::KratosIdentity;
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, carries};
use crate::controllers::queue::{Looked, Next};
use crate::engine::identity::course::Course;
use crate::engine::identity::inputs::uid;
use crate::engine::identity::release::{Release, happening, release, with_escape};
use crate::kubernetes::kube_write;

/// Reconciles a resource that is being deleted.
pub async fn reconcile(resource: &KratosIdentity, controller: &Controller) -> Result<Looked, kube::Error> {
    if !carries(resource, IDENTITY_FINALIZER) {
        return Ok(Next::WhenAsked.into());
    }
    if controller.memory.is_untouched(&uid(resource)) {
        let _permit = controller.kubernetes.acquire(&resource.namespace().unwrap_or_default()).await;
        kube_write::remove_finalizer(&api(resource, controller), resource, IDENTITY_FINALIZER).await?;
        return Ok(Next::WhenAsked.into());
    }
    let mut latest = latest(resource, controller).await?;
    let (latest, released) = loop {
        let Some(resource) = latest else { return Ok(Next::WhenAsked.into()) };
        match release(&resource, surroundings::engine(controller)).await {
            Ok(Release::Superseded(newest)) => latest = newest.map(|newest| Cow::Owned(*newest)),
            released => break (resource, released),
        }
    };
    let latest: &KratosIdentity = &latest;
    match released {
        Ok(release) => {
            let _permit = controller.kubernetes.acquire(&latest.namespace().unwrap_or_default()).await;
            kube_write::remove_finalizer(&api(latest, controller), latest, IDENTITY_FINALIZER).await?;
            controller.events.publish(latest, happening(&release));
            Ok(Next::WhenAsked.into())
        }
        Err(halt) => finish(latest, Err(with_escape(halt)), Course::default(), controller).await,
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
