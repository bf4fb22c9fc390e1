//! Reads our identities by their ids, if that takes fewer requests than listing the whole instance. Says something about those
//! ids only.

use std::collections::HashSet;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use uuid::Uuid;

use super::shown::{take_in, watched};
use super::surroundings::Surroundings;
use crate::api::instance::LastResync;
use crate::base::namespaced_name::KeyHashes;
use crate::instance::handle::{Handle, Shared};
use crate::kratos::{Error, IDS_PER_REQUEST, IdentityFilter};

/// If more than one in so many is missing, that is no matter of single identities.
const MANY: usize = 10;

/// What is ours, and those whose grace period runs, sorted.
pub fn ids(shared: &Shared) -> Vec<Uuid> {
    let mut ids = shared.managed.ids();
    ids.extend(shared.grace_periods.ids());
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Whether reading so many by their ids takes fewer requests than listing so many pages.
pub fn is_cheaper(ids: usize, pages: usize) -> bool {
    ids.div_ceil(IDS_PER_REQUEST) < pages
}

/// Whether so many of those asked for are missing that nothing is concluded before a complete listing.
fn is_much(missing: usize, asked: usize) -> bool {
    missing * MANY > asked
}

/// Whether a read of these ids (sorted), which showed those, leaves one as it was known: it was shown, or not asked for.
fn is_left(id: &Uuid, shown: &HashSet<Uuid>, asked: &[Uuid]) -> bool {
    shown.contains(id) || asked.binary_search(id).is_err()
}

/// Reads them. Adds the resources to be reconciled: those whose identity differs, or wasn't shown. The reconcile reads it once
/// more before anything follows. Returns how many requests it took.
pub async fn read(
    handle: &Handle,
    ids: Vec<Uuid>,
    started_at: Time,
    changed: &mut KeyHashes,
    around: &dyn Surroundings,
) -> Result<u64, Error> {
    let shared = &handle.shared;
    let begun = Instant::now();
    let (mut shown, mut requests) = (HashSet::new(), 0);
    let include_credential = watched(shared);
    let shows_credentials = !include_credential.is_empty();
    let filter = IdentityFilter { include_credential, ..IdentityFilter::by_ids(ids.iter().copied()) };
    let mut pages = std::pin::pin!(handle.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        let page = page?;
        requests += 1;
        for identity in &page.items {
            shown.extend(Uuid::parse_str(&identity.id));
            changed.extend(shared.managed.changed(identity, page.requested_at, shows_credentials));
            take_in(handle, identity, page.requested_at, around);
        }
    }
    let missing = shared.managed.missing(begun, |id| is_left(id, &shown, &ids));
    if is_much(missing.len(), ids.len()) {
        shared.listing.want(begun);
    } else {
        changed.extend(missing);
        shared.grace_periods.listed(|id| Uuid::parse_str(id).is_ok_and(|id| is_left(&id, &shown, &ids)));
    }
    let drifted = around.drifted(&handle.key);
    shared.counts.read_by_ids(drifted, LastResync { started_at, requests });
    shared.listing.read_by_ids(begun);
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use std::collections::HashSet;

    use uuid::Uuid;

    use super::{is_cheaper, is_left, is_much};

    #[rstest]
    #[case::a_hundred_of_a_million(100, 2000, true)]
    #[case::one_page_is_enough(100, 1, false)]
    #[case::as_many_as_pages(300, 2, false)]
    #[case::one_less(300, 3, true)]
    #[case::all_of_them_are_ours(1_000_000, 2000, false)]
    #[case::nothing_is_ours(0, 1, true)]
    #[case::nothing_was_listed_yet(0, 0, false)]
    fn ids_are_asked_for_where_that_takes_fewer_requests(
        #[case] ids: usize,
        #[case] pages: usize,
        #[case] expected: bool,
    ) {
        assert_eq!(is_cheaper(ids, pages), expected);
    }

    #[test]
    fn only_one_that_was_asked_for_and_not_shown_is_looked_at() {
        let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
        let (asked, shown) = ([first, third], HashSet::from([first]));
        assert_eq!([first, second, third].map(|id| is_left(&id, &shown, &asked)), [true, true, false]);
    }

    #[rstest]
    #[case::none(0, 0, false)]
    #[case::one_of_ten(1, 10, false)]
    #[case::two_of_ten(2, 10, true)]
    #[case::the_only_one(1, 1, true)]
    #[case::ten_of_a_hundred(10, 100, false)]
    fn where_many_are_missing_the_whole_is_listed(
        #[case] missing: usize,
        #[case] asked: usize,
        #[case] expected: bool,
    ) {
        assert_eq!(is_much(missing, asked), expected);
    }
}
