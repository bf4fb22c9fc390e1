//! How many identities may go before somebody is asked: counting, holding, releasing. Pure: time is an argument.
//!
//! What comes out is persisted before anything is done by it. Whatever is uncertain errs on the side of holding.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::protection::{LastRelease, ProtectionStatus, Reservation};

/// How many reservations are kept: more are merged, each counting for as long as the latest of those in it.
const KEPT_RESERVATIONS: usize = 32;
/// How many uids of deletions that may be under way are kept. One that falls out counts anew, should it ask again. So no more
/// are to ask at the same time: the answer to one that falls out at once would be that it is held.
pub const KEPT_GRANTS: usize = 128;

/// What an instance lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_deletions: u32,
    /// How long a deletion counts.
    pub window: Duration,
    pub max_missing: u32,
}

/// A resource that is being deleted, since when by the API server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub uid: String,
    pub at: Timestamp,
}

/// What a complete listing showed of the identities that an instance's resources have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    pub managed: u32,
    pub missing: u32,
}

/// What is to be decided upon.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub limits: Limits,
    /// The release annotation's value.
    pub token: Option<&'a str>,
    /// All resources of the instance that are being deleted and aren't let go yet; needed where any are held or asked for.
    pub under_way: &'a [Deletion],
    /// Those of them whose identity is to be touched now.
    pub asked: &'a [Deletion],
    /// What the last complete listing of this process showed.
    pub census: Option<Census>,
    /// Whether those that are held are to be counted again.
    pub recount: bool,
    pub now: Timestamp,
}

/// Whether the identity of a resource that is being deleted may be touched: it was counted, or released.
pub fn is_granted(status: &ProtectionStatus, deletion: &Deletion) -> bool {
    let released = status.last_release.as_ref().and_then(|last| last.at.as_ref());
    released.is_some_and(|released| deletion.at <= released.0) || status.granted.contains(&deletion.uid)
}

/// Whether the release annotation has a value that wasn't there when something was held, and wasn't served yet.
pub fn is_new(token: Option<&str>, status: &ProtectionStatus) -> bool {
    let served = status.last_release.as_ref().and_then(|last| last.token.as_deref());
    token.is_some() && token != served
}

/// Whether more identities are gone than may be made again without asking. Those that somebody has released don't count.
pub fn is_too_many(census: Census, released: u32, limits: Limits) -> bool {
    let limit = limits.max_missing.max(census.managed / 10);
    census.missing > limit.saturating_add(released)
}

/// The status to be persisted before anything is done: [`is_granted`] by it is the answer to those that asked.
///
/// One value of the annotation releases one thing: identities that are gone come before deletions that are held.
pub fn next(before: &ProtectionStatus, situation: &Situation<'_>) -> ProtectionStatus {
    let mut status = before.clone();
    if let Some(census) = situation.census {
        count_missing(&mut status, census, situation);
    }
    if status.missing == 0 && status.held > 0 && is_new(situation.token, &status) {
        release(&mut status, situation);
    }
    reserve(&mut status, situation);
    if status.held > 0 && (situation.recount || before.held == 0) {
        status.held = held(&status, situation);
    }
    if status != *before {
        tidy(&mut status, situation);
    }
    status
}

fn count_missing(status: &mut ProtectionStatus, census: Census, situation: &Situation<'_>) {
    if !is_too_many(census, status.recreating, situation.limits) {
        status.missing = 0;
        status.recreating = status.recreating.min(census.missing);
    } else if status.missing == 0 {
        status.missing = census.missing;
        serve(status, situation.token);
    } else if is_new(situation.token, status) {
        (status.missing, status.recreating) = (0, census.missing);
        serve(status, situation.token);
    } else {
        status.missing = census.missing;
    }
}

/// Releases what is being deleted at this moment; what counted until now doesn't any more.
fn release(status: &mut ProtectionStatus, situation: &Situation<'_>) {
    let before = status.last_release.as_ref().and_then(|last| last.at.as_ref()).map(|at| at.0);
    let latest = situation.under_way.iter().map(|deletion| deletion.at).max();
    serve(status, situation.token);
    if let (Some(last), Some(at)) = (&mut status.last_release, before.max(latest)) {
        last.at = Some(Time(at));
    }
    status.held = 0;
    status.reserved.clear();
}

/// Notes a value of the annotation: it releases nothing any more.
fn serve(status: &mut ProtectionStatus, token: Option<&str>) {
    if let Some(token) = token {
        status.last_release.get_or_insert_with(LastRelease::default).token = Some(token.to_owned());
    }
}

/// Counts those that asked, as far as the limit goes. Beyond it everything is held from now on.
fn reserve(status: &mut ProtectionStatus, situation: &Situation<'_>) {
    let new: Vec<_> = situation.asked.iter().filter(|deletion| !is_granted(status, deletion)).collect();
    if new.is_empty() || status.held > 0 {
        return;
    }
    let Situation { limits, now, .. } = *situation;
    let counting = status.reserved.iter().filter(|reserved| counts(reserved, limits.window, now));
    let counting = counting.fold(0_u32, |sum, reserved| sum.saturating_add(reserved.count));
    let left = usize::try_from(limits.max_deletions.saturating_sub(counting)).unwrap_or(usize::MAX);
    let (through, beyond) = new.split_at(left.min(new.len()));
    if !through.is_empty() {
        status.granted.extend(through.iter().map(|deletion| deletion.uid.clone()));
        let surplus = status.granted.len().saturating_sub(KEPT_GRANTS);
        status.granted.drain(..surplus);
        status.reserved.push(Reservation { at: Time(whole_second(now)), count: number(through.len()) });
    }
    if !beyond.is_empty() {
        status.held = number(beyond.len());
        serve(status, situation.token);
    }
}

/// How many are held: all that are being deleted and aren't granted.
fn held(status: &ProtectionStatus, situation: &Situation<'_>) -> u32 {
    let all = situation.under_way.iter().chain(situation.asked).filter(|deletion| !is_granted(status, deletion));
    number(all.map(|deletion| deletion.uid.as_str()).collect::<HashSet<_>>().len())
}

/// Drops what doesn't count any more, and keeps the rest small. Never makes anything count for a shorter time.
fn tidy(status: &mut ProtectionStatus, situation: &Situation<'_>) {
    let Situation { limits, now, under_way, asked, .. } = *situation;
    if !asked.is_empty() {
        // Thousands may be under way, and few are granted.
        let granted: HashSet<String> = status.granted.iter().cloned().collect();
        let going = under_way.iter().chain(asked).filter_map(|deletion| granted.get(&deletion.uid));
        let going: HashSet<_> = going.collect();
        status.granted.retain(|uid| going.contains(uid));
    }
    let reserved = &mut status.reserved;
    reserved.retain(|reserved| counts(reserved, limits.window, now));
    for entry in reserved.iter_mut() {
        // A clock that was ahead shall not make it count for ever.
        entry.at.0 = entry.at.0.min(whole_second(now));
    }
    reserved.sort_by_key(|entry| entry.at.0);
    reserved.dedup_by(|later, kept| later.at == kept.at && merge(kept, later));
    while reserved.len() > KEPT_RESERVATIONS {
        let gap = |first: usize| reserved[first + 1].at.0.duration_since(reserved[first].at.0);
        let Some(first) = (0..reserved.len() - 1).min_by_key(|first| gap(*first)) else { break };
        let earlier = reserved.remove(first);
        merge(&mut reserved[first], &earlier);
    }
}

/// Adds the count of another entry.
fn merge(kept: &mut Reservation, other: &Reservation) -> bool {
    kept.count = kept.count.saturating_add(other.count);
    true
}

/// Whether an entry still counts. One that lies in the future does.
fn counts(reserved: &Reservation, window: Duration, now: Timestamp) -> bool {
    // A window that ends beyond all time hasn't ended.
    reserved.at.0.checked_add(window).map_or(true, |end| now < end)
}

/// Times are written in whole seconds; what is counted counts until the end of its second.
fn whole_second(now: Timestamp) -> Timestamp {
    let second = now.as_second() + i64::from(now.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(now)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
