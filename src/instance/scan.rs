//! Reads what is ours in an instance, again and again: regularly for drift, and as a whole whenever somebody must know
//! what is there. One read at a time, and none while the gate is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use uuid::Uuid;

use super::by_ids;
use super::counts::{self, Standing};
use super::handle::{Handle, Shared};
use super::listing::Scan;
use super::{protect, references, shown};
use crate::api::instance::LastResync;
use crate::backoff;
use crate::context::Context;
use crate::identity::mark::{Found, Mark};
use crate::kratos::{CredentialType, Error, Identity, IdentityFilter};
use crate::place::{Place, PlaceKeys};
use crate::queue::Priority;
use crate::trace::Trace;

/// Identities in a page.
const PAGE_SIZE: usize = 500;
/// Whose requests these are, to the gate.
const LISTING: &str = "listing";
/// How often to look whether identities that are missing are back.
const LOOK_FOR_MISSING: Duration = Duration::from_mins(1);

/// Reads until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_listing(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    while let Some(handle) = current(&place, &shared, &context) {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = when_due(&handle, &context) => {
                Trace::of_background("resync", &place).run(resync(&place, &shared, &context)).await;
            }
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
    let due = handle.shared.listing.due(backoff::spread(interval), handle.settings.full_scan_interval);
    tokio::time::sleep_until(due.into()).await;
    handle.shared.gate.opened().await;
    // What the listing is compared with must be known.
    context.listed.identities.wait().await;
}

/// One read of what is ours, and what follows from it.
async fn resync(place: &Place, shared: &Arc<Shared>, context: &Context) {
    let Some(handle) = current(place, shared, context) else { return };
    let resources = references::keys(context, place);
    shared.managed.retain(|key| resources.contains(&key));
    let (begun, started_at) = (Instant::now(), Time(Timestamp::now()));
    let ids = by_ids::ids(shared);
    // Whether they are back shows in a complete listing alone.
    let is_full = protect::misses_identities(&handle, context)
        || shared.listing.is_full_due(Instant::now(), handle.settings.full_scan_interval)
        || !by_ids::is_cheaper(ids.len(), shared.listing.pages());
    let mut changed = PlaceKeys::new();
    let read = if is_full {
        list(&handle, started_at, &mut changed, context).await
    } else {
        by_ids::read(&handle, ids, started_at, &mut changed, context).await
    };
    match read {
        Ok(requests) => {
            let milliseconds = begun.elapsed().as_millis();
            let differ = changed.len();
            tracing::debug!(is_full, requests, differ, milliseconds, "identities were compared");
            shared.gate.served(LISTING);
            context.pokes.instance(place);
            context.pokes.identities(references::at(context, &changed), Priority::Routine);
            // Where identities are missed they would only wait on.
            if !protect::misses_identities(&handle, context) {
                context.ask_waiting(shared.waiting.take());
            }
        }
        Err(error) => {
            tracing::warn!(%error, "listing identities failed");
            shared.listing.failed(error.to_string());
            shared.gate.failed(LISTING, &error);
            context.pokes.instance(place);
        }
    }
}

/// A complete listing. Adds the resources that are to be looked at. Returns the requests it took.
async fn list(handle: &Handle, started_at: Time, changed: &mut PlaceKeys, context: &Context) -> Result<u64, Error> {
    let shared = &handle.shared;
    let mut expected = shown::expected(handle, context);
    let managed = expected.len();
    let (mut scan, requests) = scan(handle, (&mut expected, changed), context).await?;
    protect::take_census(handle, (managed, &expected), scan.begun(), context);
    if !protect::misses_identities(handle, context) {
        let listed = scan.ids();
        shared.pending.listed(|id| Uuid::parse_str(id).is_ok_and(|id| listed.contains(&id)));
        changed.extend(shared.managed.missing(scan.begun(), |id| listed.contains(id)));
        changed.extend(expected.values().map(Place::key));
    }
    if context.leads.is_leading(&handle.place) {
        let drifted = references::drifted(context, &handle.place);
        shared.counts.listed(std::mem::take(&mut scan.tally), drifted, LastResync { started_at, requests });
    }
    shared.listing.complete(scan);
    Ok(requests)
}

/// What every identity that is listed is to show of its credentials, where any is watched. One kind has all of them named,
/// with their identifiers. This one's contents are public keys; those of others are seeds, codes, hashes and tokens, and
/// aren't asked for.
pub(super) fn watched(shared: &Shared) -> Vec<CredentialType> {
    if shared.managed.watches() { vec![CredentialType::Webauthn] } else { Vec::new() }
}

/// Takes those that it sees out of `expected`, and adds those that changed.
async fn scan(
    handle: &Handle,
    (expected, changed): (&mut HashMap<String, Place>, &mut PlaceKeys),
    context: &Context,
) -> Result<(Scan, u64), Error> {
    let mut scan = Scan::begin(Instant::now());
    let include_credential = watched(&handle.shared);
    let shows_credentials = !include_credential.is_empty();
    let filter = IdentityFilter { page_size: Some(PAGE_SIZE), include_credential, ..IdentityFilter::default() };
    let mut pages = std::pin::pin!(handle.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        let page = page?;
        scan.pages += 1;
        for identity in &page.items {
            expected.remove(&identity.id);
            changed.extend(handle.shared.managed.changed(identity, page.requested_at, shows_credentials));
            let (found, standing) = take_in(handle, identity, page.requested_at, context);
            if let Found::Mark(mark) = &found
                && standing != Standing::Unmanaged
            {
                scan.note(mark, &identity.id);
                if is_of_former_namespace(mark, context) {
                    scan.tally.add_former(mark);
                }
            }
            scan.tally.add(standing, &found, &identity.id);
        }
    }
    let is_leading = context.leads.is_leading(&handle.place);
    let confirmed = if is_leading { confirm_orphans(handle, &mut scan, context).await? } else { 0 };
    let requests = scan.pages as u64 + confirmed;
    Ok((scan, requests))
}

/// What an identity is to us; one whose grace period runs is looked after.
pub(super) fn take_in(handle: &Handle, identity: &Identity, seen: Instant, context: &Context) -> (Found, Standing) {
    let found = Mark::read(&identity.metadata_admin);
    let (owner, cluster) = (&handle.settings.owner_name, &context.cluster_id);
    let mut standing = counts::standing(&found, owner, cluster, |mark| is_there(mark, context));
    if let Found::Mark(mark) = &found
        && standing == Standing::Orphaned
        && !context.options.works_in(&mark.namespace)
    {
        standing = Standing::Elsewhere;
    }
    match &found {
        Found::Mark(mark) if standing == Standing::Leaving => handle.shared.pending.seen(mark, identity, cluster),
        _ => handle.shared.pending.ended(&identity.id, seen),
    }
    (found, standing)
}

/// Whether a mark of this cluster names a namespace that is gone, or was made anew under its name.
fn is_of_former_namespace(mark: &Mark, context: &Context) -> bool {
    let is_known = mark.cluster == context.cluster_id && context.options.works_in(&mark.namespace);
    let there = || context.namespaces.get(&ObjectRef::new(&mark.namespace));
    // Namespaces that weren't listed yet aren't gone.
    is_known
        && context.listed.namespaces.initialized()
        && there().and_then(|found| found.uid()).as_ref() != Some(&mark.namespace_uid)
}

/// Whether the very resource that a mark names is there, whoever reconciles it.
fn is_there(mark: &Mark, context: &Context) -> bool {
    let found = context.identities.get(&ObjectRef::new(&mark.name).within(&mark.namespace));
    found.is_some_and(|found| found.uid().as_ref() == Some(&mark.uid))
}

/// Reads those once more that seem to have lost their resource since the last listing. Returns the requests it took.
async fn confirm_orphans(handle: &Handle, scan: &mut Scan, context: &Context) -> Result<u64, Error> {
    let suspects = scan.tally.take_suspects(&handle.shared.counts.orphaned());
    let mut pages = std::pin::pin!(handle.client.list_identities(IdentityFilter::by_ids(suspects)));
    let mut requests = 0;
    while let Some(page) = pages.next().await {
        requests += 1;
        let page = page?;
        for identity in &page.items {
            let (found, standing) = take_in(handle, identity, page.requested_at, context);
            scan.tally.add(standing, &found, &identity.id);
        }
    }
    Ok(requests)
}
