//! Lists an instance's identities, again and again: regularly for drift, and whenever somebody must know what is
//! there. One listing at a time, and none while the gate is closed.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;

use super::handle::{Handle, Shared};
use super::listing::Scan;
use crate::backoff;
use crate::context::Context;
use crate::identity::mark::{Found, Mark};
use crate::kratos::{Error, IdentityFilter};
use crate::place::Place;
use crate::queue::Priority;

/// Identities in a page.
const PAGE_SIZE: usize = 500;

/// Lists until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_listing(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    while let Some(handle) = current(&place, &shared, &context) {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = when_due(&handle) => list(&place, &shared, &context).await,
            // Settings may have changed with it: the next round takes the handle anew.
            () = shared.listing.changed() => {}
        }
    }
}

pub(super) fn current(place: &Place, shared: &Arc<Shared>, context: &Context) -> Option<Arc<Handle>> {
    let handle = context.registry.handle(place)?;
    (Arc::ptr_eq(&handle.shared, shared) && !shared.stopped.is_cancelled()).then_some(handle)
}

async fn when_due(handle: &Handle) {
    let due = handle.shared.listing.due(backoff::spread(handle.settings.resync_interval));
    tokio::time::sleep_until(due.into()).await;
    handle.shared.gate.opened().await;
}

/// One listing, and what follows from it.
async fn list(place: &Place, shared: &Arc<Shared>, context: &Context) {
    let Some(handle) = current(place, shared, context) else { return };
    let mut changed = Vec::new();
    match scan(&handle, &mut changed, context).await {
        Ok(scan) => {
            let listed = scan.ids();
            changed.extend(shared.managed.missing(scan.begun(), |id| listed.contains(id)));
            drop(listed);
            let had_failed = shared.listing.failure().is_some();
            shared.listing.complete(scan);
            if had_failed {
                context.pokes.instance(place);
            }
            context.pokes.identities(changed, Priority::Routine);
            context.pokes.identities(shared.waiting.take(), Priority::Arrived);
        }
        Err(error) => {
            tracing::warn!(instance = %place, %error, "listing identities failed");
            shared.listing.failed(error.to_string());
            if error.instance_suspect() {
                shared.gate.close();
            } else {
                shared.gate.suspect();
            }
            context.pokes.instance(place);
        }
    }
}

async fn scan(handle: &Handle, changed: &mut Vec<Place>, context: &Context) -> Result<Scan, Error> {
    let mut scan = Scan::begin(Instant::now());
    let filter = IdentityFilter { page_size: Some(PAGE_SIZE), ..IdentityFilter::default() };
    let mut pages = std::pin::pin!(handle.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        let page = page?;
        for identity in &page.items {
            changed.extend(handle.shared.managed.changed(identity, page.requested_at));
            match Mark::read(&identity.metadata_admin) {
                Found::Mark(mark) if mark.owner == handle.settings.owner_name => {
                    scan.note(&mark, &identity.id);
                    handle.shared.pending.seen(&mark, identity, &context.cluster_id);
                }
                _ => {}
            }
        }
    }
    Ok(scan)
}
