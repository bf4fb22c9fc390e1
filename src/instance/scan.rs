//! Lists an instance's identities, again and again: regularly for drift, and whenever somebody must know what is
//! there. One listing at a time, and none while the gate is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;

use super::handle::{Handle, Shared};
use super::listing::Scan;
use super::protect;
use crate::backoff;
use crate::context::Context;
use crate::identity::mark::{Found, Mark};
use crate::kratos::{CredentialType, Error, IdentityFilter};
use crate::place::Place;

/// Identities in a page.
const PAGE_SIZE: usize = 500;
/// How often to look whether identities that are missing are back.
const LOOK_FOR_MISSING: Duration = Duration::from_mins(1);

/// Lists until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_listing(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    while let Some(handle) = current(&place, &shared, &context) {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = when_due(&handle, &context) => list(&place, &shared, &context).await,
            // Settings may have changed with it: the next round takes the handle anew.
            () = shared.listing.changed() => {}
        }
    }
}

pub(super) fn current(place: &Place, shared: &Arc<Shared>, context: &Context) -> Option<Arc<Handle>> {
    let handle = context.registry.handle(place)?;
    (Arc::ptr_eq(&handle.shared, shared) && !shared.stopped.is_cancelled()).then_some(handle)
}

async fn when_due(handle: &Handle, context: &Context) {
    let regular = handle.settings.resync_interval;
    let misses = protect::misses_identities(handle, context);
    let interval = if misses { regular.min(LOOK_FOR_MISSING) } else { regular };
    let due = handle.shared.listing.due(backoff::spread(interval));
    tokio::time::sleep_until(due.into()).await;
    handle.shared.gate.opened().await;
    // What the listing is compared with must be known.
    context.identities_listed.wait().await;
}

/// One listing, and what follows from it.
async fn list(place: &Place, shared: &Arc<Shared>, context: &Context) {
    let Some(handle) = current(place, shared, context) else { return };
    let mut changed = Vec::new();
    let mut expected = protect::expected(&handle, context);
    let managed = expected.len();
    match scan(&handle, (&mut expected, &mut changed), context).await {
        Ok(scan) => {
            protect::take_census(&handle, (managed, &expected), scan.begun(), context);
            let misses = protect::misses_identities(&handle, context);
            if !misses {
                let listed = scan.ids();
                changed.extend(shared.managed.missing(scan.begun(), |id| listed.contains(id)));
                changed.extend(expected.into_values());
            }
            let had_failed = shared.listing.failure().is_some();
            shared.listing.complete(scan);
            if had_failed {
                context.pokes.instance(place);
            }
            // Where identities are missed they would only wait on.
            if !misses {
                changed.extend(shared.waiting.take());
            }
            context.pokes.identities(changed);
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

/// Takes those that it sees out of `expected`, and adds those that changed.
async fn scan(
    handle: &Handle,
    (expected, changed): (&mut HashMap<String, Place>, &mut Vec<Place>),
    context: &Context,
) -> Result<Scan, Error> {
    let mut scan = Scan::begin(Instant::now());
    let shows_credentials = handle.shared.managed.watches();
    // Any kind has all of them named, with their identifiers. This one's contents are public keys; those of others are
    // seeds, codes, hashes and tokens, and aren't asked for.
    let include_credential = if shows_credentials { vec![CredentialType::Webauthn] } else { Vec::new() };
    let filter = IdentityFilter { page_size: Some(PAGE_SIZE), include_credential, ..IdentityFilter::default() };
    let mut pages = std::pin::pin!(handle.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        let page = page?;
        for identity in &page.items {
            expected.remove(&identity.id);
            changed.extend(handle.shared.managed.changed(identity, page.requested_at, shows_credentials));
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
