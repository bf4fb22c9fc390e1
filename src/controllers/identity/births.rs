//! Tells which identities are born to this process, from what the watch brings; `identity/birth.rs` says why that is safe.

use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Error, Event};
use kube::{Api, Resource};

use crate::api::has_finalizer;
use crate::api::objects::IdentityObject;
use crate::api::{IDENTITY_FINALIZER, KratosIdentityStatus};
use crate::base::backoff;
use crate::base::kube_error::{self, brief};
use crate::base::namespaced_name::NamespacedName;
use crate::base::resource_version::ResourceVersion;
use crate::controllers::identity::controller::Controller;
use crate::identity::birth::is_born;
use crate::kubernetes::watch_backoff::WatchBackoff;

/// How often it is tried again where it is forbidden, should nobody tell that it was granted.
const WHILE_FORBIDDEN: Duration = Duration::from_mins(1);

/// Reads a consistent list once this process leads: what is created after it is its own. Until then all
/// resources that carry the finalizer wait for a listing.
pub async fn begin(controller: Arc<Controller>) {
    controller.leadership.gained().await;
    let client = || controller.client.clone();
    // Versions of a kind are the same in all namespaces: any that may be listed will do.
    let apis: Vec<Api<IdentityObject>> = match &controller.options.namespaces {
        None => vec![Api::all(client())],
        Some(names) => names.iter().map(|name| Api::namespaced(client(), name)).collect(),
    };
    let mut backoff = WatchBackoff::default();
    for api in apis.iter().cycle() {
        // Without a version asked for, the answer is as of now. One object is as good as all.
        match api.list(&ListParams::default().limit(1)).await {
            Ok(list) => {
                if let Some(version) = ResourceVersion::of_list(&list.metadata) {
                    controller.leading.begin(version);
                } else {
                    tracing::info!(
                        "the API server's resource versions can't be compared; new identities that carry the finalizer \
                         from birth wait for a listing"
                    );
                }
                return;
            }
            Err(error) if kube_error::is_forbidden(&error) => {
                controller.access.note_refused(&error);
                controller.access.granted_within(backoff::jitter(WHILE_FORBIDDEN)).await;
                continue;
            }
            // The definition lacks, which the watch says. Nothing is born before it is there.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                controller.seen.has_synced.identities.wait().await;
            }
            // An API server that is away is said by its heartbeat.
            Err(error) => {
                tracing::debug!(error = brief(&error), "listing one KratosIdentity failed; it is tried again");
            }
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

/// To be told of all that a watch says, before anybody makes something of it. `namespace`: whose watch it is; `None`: of all.
pub(super) fn note_gaps(
    namespace: Option<&str>,
    told: &watcher::Result<Option<Event<IdentityObject>>>,
    controller: &Controller,
) {
    match told {
        Ok(Some(Event::InitDone)) => controller.leading.watch_is_whole(namespace, true),
        // One that was cut goes on where it was. What can't be read is left out, and an error that the server tells isn't an
        // event; one that is forbidden is begun anew.
        Ok(None) | Err(Error::WatchFailed(kube::Error::SerdeError(_)) | Error::WatchError(_)) => {
            controller.leading.watch_is_whole(namespace, false);
        }
        _ => {}
    }
}

/// To be told of each event before the store has it.
pub(super) fn note(event: &watcher::Result<Event<IdentityObject>>, controller: &Controller) {
    let Ok(Event::Apply(object)) = event else { return };
    if !controller.seen.is_own(object) || !has_finalizer(object, IDENTITY_FINALIZER) {
        return;
    }
    let NamespacedName { namespace, name } = NamespacedName::of(object);
    let is_stored = controller.seen.identities.get(&ObjectRef::new(&name).within(&namespace)).is_some();
    let arrival = controller.leading.arrival(&namespace, is_stored, is_reported(object));
    if is_born(object, arrival, controller.leading.since()) {
        controller.memory.born(object.meta().uid.as_deref().unwrap_or_default());
    }
}

/// Whether an operator has written the status: the definition's default speaks of no generation.
fn is_reported(object: &IdentityObject) -> bool {
    let observed = |status: &KratosIdentityStatus| status.observed_generation.is_some_and(|generation| generation > 0);
    match &object.0 {
        Ok(identity) => identity.status.as_ref().is_some_and(observed),
        Err(unreadable) => unreadable.status().as_ref().is_some_and(observed),
    }
}
