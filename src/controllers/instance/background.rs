//! Begins what goes on beside the reconciles of an instance.

use std::sync::Arc;
use std::time::Instant;

use super::controller::Controller;
use super::{protect, recount, surroundings};
use crate::base::flow::limit::Limit;
use crate::base::place::Place;
use crate::engine::instance::{grace, scan, schemas};
use crate::instance::handle::{Handle, Shared};
use crate::kratos::{Batcher, Client, Reader};

/// What creates and reads through a client, in company.
pub fn collect(client: &Client, hashing: Arc<Limit>, place: &Place, controller: &Controller) -> (Batcher, Reader) {
    let (batcher, collects) = Batcher::new(client.clone(), hashing);
    controller.tasks.keep(format!("creates of {place}"), collects);
    let (reader, collects) = Reader::new(client.clone());
    controller.tasks.keep(format!("reads of {place}"), collects);
    (batcher, reader)
}

/// What goes on until the instance is gone.
pub fn begin(handle: &Arc<Handle>, controller: &Arc<Controller>) {
    let around = surroundings::around(controller);
    keep_up("schemas", handle, (&around, controller), schemas::keep_reading);
    keep_up("grace periods", handle, (&around, controller), grace::keep_deleting);
    keep_up("listing", handle, (&around, controller), scan::keep_listing);
    keep_up("counts", handle, (controller, controller), recount::keep_counting);
    keep_up("protection", handle, (controller, controller), protect::keep_protecting);
}

/// One that panics isn't everybody else's end.
fn keep_up<T, A>(
    what: &str,
    handle: &Handle,
    (around, controller): (&Arc<A>, &Controller),
    task: impl Fn(Place, Arc<Shared>, Arc<A>) -> T + Send + 'static,
) where
    A: ?Sized + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let (place, shared, within) = (handle.place.clone(), Arc::clone(&handle.shared), Arc::clone(around));
    let mut is_first = true;
    controller.tasks.keep_up(format!("{what} of {place}"), move || {
        // What the one before had in hand is found again by a listing.
        if !std::mem::take(&mut is_first) {
            shared.listing.want(Instant::now());
        }
        task(place.clone(), Arc::clone(&shared), Arc::clone(&within))
    });
}
