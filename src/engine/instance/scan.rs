//! Reads our identities of an instance: regularly for drift, and completely when somebody needs to know what exists. One read
//! at a time, and none while the circuit breaker is open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use uuid::Uuid;

use super::by_ids;
use super::shown::{take_in, watched};
use super::surroundings::Surroundings;
use crate::api::instance::LastResync;
use crate::base::backoff;
use crate::base::namespaced_name::{KeyHashes, NamespacedName};
use crate::identity::mark::Found;
use crate::instance::counts::Ownership;
use crate::instance::handle::{Handle, Shared};
use crate::instance::listing::Scan;
use crate::kratos::{Error, IdentityFilter};
use crate::telemetry::trace::Trace;

/// Identities in a page.
const PAGE_SIZE: usize = 500;
/// Whose requests these are, to the circuit breaker.
const LISTING: &str = "listing";
/// How often to check whether missing identities are back.
const LOOK_FOR_MISSING: Duration = Duration::from_mins(1);

/// Reads until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_listing(key: NamespacedName, shared: Arc<Shared>, around: Arc<dyn Surroundings>) {
    while let Some(handle) = around.registry().current(&key, &shared) {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = when_due(&handle, around.as_ref()) => {
                Trace::of_background("resync", &key).run(resync(&key, &shared, around.as_ref())).await;
            }
            // Settings may have changed with it: the next round takes the handle anew.
            () = shared.listing.changed() => {}
        }
    }
}

async fn when_due(handle: &Handle, around: &dyn Surroundings) {
    let regular = handle.settings.resync_interval;
    let misses = around.misses_identities(handle);
    let interval = if misses { regular.min(LOOK_FOR_MISSING) } else { regular };
    let due = handle.shared.listing.due(backoff::jitter(interval), handle.settings.full_scan_interval);
    tokio::time::sleep_until(due.into()).await;
    handle.shared.circuit_breaker.recovered().await;
    // What the listing is compared with must be known.
    around.known().await;
}

/// One read of what is ours, and what follows from it.
async fn resync(key: &NamespacedName, shared: &Arc<Shared>, around: &dyn Surroundings) {
    let Some(handle) = around.registry().current(key, shared) else { return };
    let resources = around.keys(key);
    shared.managed.retain(|key| resources.contains(&key));
    let (begun, started_at) = (Instant::now(), Time(Timestamp::now()));
    let ids = by_ids::ids(shared);
    // Whether they are back shows in a complete listing alone.
    let is_full = around.misses_identities(&handle)
        || shared.listing.is_full_due(Instant::now(), handle.settings.full_scan_interval)
        || !by_ids::is_cheaper(ids.len(), shared.listing.pages());
    let mut changed = KeyHashes::new();
    let read = if is_full {
        list(&handle, started_at, &mut changed, around).await
    } else {
        by_ids::read(&handle, ids, started_at, &mut changed, around).await
    };
    match read {
        Ok(requests) => {
            let milliseconds = begun.elapsed().as_millis();
            let differ = changed.len();
            tracing::debug!(is_full, requests, differ, milliseconds, "identities were compared");
            shared.circuit_breaker.succeeded(LISTING);
            handle.calls.instance();
            around.look_at(&changed);
            // Where identities are missed they would only wait on.
            if !around.misses_identities(&handle) {
                handle.calls.waiting(shared.waiting.take().into_iter().collect());
            }
        }
        Err(error) => {
            tracing::warn!(%error, "listing identities failed");
            shared.listing.failed(error.to_string());
            shared.circuit_breaker.failed(LISTING, &error);
            handle.calls.instance();
        }
    }
}

/// A complete listing. Adds the resources to be reconciled. Returns how many requests it took.
async fn list(
    handle: &Handle,
    started_at: Time,
    changed: &mut KeyHashes,
    around: &dyn Surroundings,
) -> Result<u64, Error> {
    let shared = &handle.shared;
    let mut expected = around.expected(handle);
    let managed = expected.len();
    let (mut scan, requests) = scan(handle, (&mut expected, changed), around).await?;
    around.take_census(handle, (managed, &expected), scan.begun());
    if !around.misses_identities(handle) {
        let listed = scan.ids();
        shared.grace_periods.listed(|id| Uuid::parse_str(id).is_ok_and(|id| listed.contains(&id)));
        changed.extend(shared.managed.missing(scan.begun(), |id| listed.contains(id)));
        changed.extend(expected.values().map(NamespacedName::key_hash));
    }
    if around.is_leading(&handle.key) {
        let drifted = around.drifted(&handle.key);
        shared.counts.listed(std::mem::take(&mut scan.tally), drifted, LastResync { started_at, requests });
    }
    shared.listing.complete(scan);
    Ok(requests)
}

/// Takes those that it sees out of `expected`, and adds those that changed.
async fn scan(
    handle: &Handle,
    (expected, changed): (&mut HashMap<String, NamespacedName>, &mut KeyHashes),
    around: &dyn Surroundings,
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
            let (found, ownership) = take_in(handle, identity, page.requested_at, around);
            if let Found::Mark(mark) = &found
                && ownership != Ownership::Unmanaged
            {
                scan.note(mark, &identity.id);
                if around.is_of_former_namespace(mark) {
                    scan.tally.add_former(mark);
                }
            }
            scan.tally.add(ownership, &found, &identity.id);
        }
    }
    let is_leading = around.is_leading(&handle.key);
    let confirmed = if is_leading { confirm_orphans(handle, &mut scan, around).await? } else { 0 };
    let requests = scan.pages as u64 + confirmed;
    Ok((scan, requests))
}

/// Reads those once more that seem to have lost their resource since the last listing. Returns the requests it took.
async fn confirm_orphans(handle: &Handle, scan: &mut Scan, around: &dyn Surroundings) -> Result<u64, Error> {
    let suspects = scan.tally.take_suspects(&handle.shared.counts.orphaned());
    let mut pages = std::pin::pin!(handle.client.list_identities(IdentityFilter::by_ids(suspects)));
    let mut requests = 0;
    while let Some(page) = pages.next().await {
        requests += 1;
        let page = page?;
        for identity in &page.items {
            let (found, ownership) = take_in(handle, identity, page.requested_at, around);
            scan.tally.add(ownership, &found, &identity.id);
        }
    }
    Ok(requests)
}
