//! Begins what goes on beside the reconciles of an instance.

use std::sync::Arc;
use std::time::Instant;

use super::controller::Controller;
use super::{protect, recount, surroundings};
use crate::base::flow::fair_semaphore::FairSemaphore;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::instance::{grace_periods, scan, schemas};
use crate::instance::handle::{Handle, Shared};
use crate::kratos::{Batcher, Client, Reader};

/// What creates and reads through a client, in a batch.
pub fn collect(
    client: &Client,
    hashing: Arc<FairSemaphore>,
    key: &NamespacedName,
    controller: &Controller,
) -> (Batcher, Reader) {
    let (batcher, collects) = Batcher::new(client.clone(), hashing);
    controller.tasks.spawn(format!("creates of {key}"), collects);
    let (reader, collects) = Reader::new(client.clone());
    controller.tasks.spawn(format!("reads of {key}"), collects);
    (batcher, reader)
}

/// What goes on until the instance is gone.
pub fn begin(handle: &Arc<Handle>, controller: &Arc<Controller>) {
    let around = surroundings::around(controller);
    spawn_restarting("schemas", handle, (&around, controller), schemas::keep_reading);
    spawn_restarting("grace periods", handle, (&around, controller), grace_periods::keep_deleting);
    spawn_restarting("listing", handle, (&around, controller), scan::keep_listing);
    spawn_restarting("counts", handle, (controller, controller), recount::keep_counting);
    spawn_restarting("protection", handle, (controller, controller), protect::keep_protecting);
}

/// One that panics isn't everybody else's end.
fn spawn_restarting<T, A>(
    what: &str,
    handle: &Handle,
    (around, controller): (&Arc<A>, &Controller),
    task: impl Fn(NamespacedName, Arc<Shared>, Arc<A>) -> T + Send + 'static,
) where
    A: ?Sized + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let (key, shared, within) = (handle.key.clone(), Arc::clone(&handle.shared), Arc::clone(around));
    let mut is_first = true;
    controller.tasks.spawn_restarting(format!("{what} of {key}"), move || {
        // What the one before had in hand is found again by a listing.
        if !std::mem::take(&mut is_first) {
            shared.listing.want(Instant::now());
        }
        task(key.clone(), Arc::clone(&shared), Arc::clone(&within))
    });
}
