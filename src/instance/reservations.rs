//! The deletions that count within a window, by namespace. Pure: time is an argument.
//!
//! Their number is bounded. Merged entries count for no fewer deletions, and for no shorter time, than before.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::protection::Reservation;

/// How many entries are kept.
pub const KEPT: usize = 512;
/// How many of them a namespace has; more are merged, each counting for as long as the latest of those in it.
const KEPT_EACH: usize = 32;

/// How many deletions count, by namespace and in all.
#[derive(Debug, Default)]
pub struct Used {
    total: u32,
    by_namespace: HashMap<String, u32>,
    /// What any namespace may have used beside that.
    anybody: u32,
}

impl Used {
    pub fn of(reserved: &[Reservation], window: Duration, now: Timestamp) -> Self {
        let mut used = Self::default();
        for entry in reserved.iter().filter(|entry| counts(entry, window, now)) {
            used.total = used.total.saturating_add(entry.count);
            match &entry.namespace {
                Some(namespace) => used.add_to(namespace, entry.count),
                None => used.anybody = used.anybody.saturating_add(most(entry)),
            }
        }
        used
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    /// How many a namespace has used at most.
    pub fn by(&self, namespace: &str) -> u32 {
        self.by_namespace.get(namespace).copied().unwrap_or_default().saturating_add(self.anybody)
    }

    fn add_to(&mut self, namespace: &str, count: u32) {
        let entry = self.by_namespace.entry(namespace.to_owned()).or_default();
        *entry = entry.saturating_add(count);
    }
}

/// An entry for deletions of a namespace that are counted now.
pub fn reservation(namespace: &str, count: u32, now: Timestamp) -> Reservation {
    Reservation { at: Time(whole_second(now)), count, namespace: Some(namespace.to_owned()), most: None }
}

/// Drops what doesn't count any more, and keeps the rest small.
pub fn tidy(reserved: &mut Vec<Reservation>, window: Duration, now: Timestamp) {
    reserved.retain(|entry| counts(entry, window, now));
    for entry in reserved.iter_mut() {
        // A clock that was ahead shall not make it count for ever.
        entry.at.0 = entry.at.0.min(whole_second(now));
    }
    sort(reserved);
    reserved.dedup_by(|later, kept| later.namespace == kept.namespace && later.at == kept.at && merge(kept, later));
    let mut each = KEPT_EACH;
    *reserved = merged(reserved, each);
    while reserved.len() > KEPT && each > 1 {
        each /= 2;
        *reserved = merged(reserved, each);
    }
    if reserved.len() > KEPT {
        put_together(reserved);
    }
}

fn sort(reserved: &mut [Reservation]) {
    reserved.sort_by(|one, other| (&one.namespace, one.at.0).cmp(&(&other.namespace, other.at.0)));
}

/// At most so many entries of each namespace: those that are closest together are merged.
fn merged(reserved: &[Reservation], each: usize) -> Vec<Reservation> {
    let mut all = Vec::with_capacity(reserved.len());
    for group in reserved.chunk_by(|one, other| one.namespace == other.namespace) {
        let mut group = group.to_vec();
        while group.len() > each.max(1) {
            let gap = |first: usize| group[first + 1].at.0.duration_since(group[first].at.0);
            let Some(first) = (0..group.len() - 1).min_by_key(|first| gap(*first)) else { break };
            let earlier = group.remove(first);
            merge(&mut group[first], &earlier);
        }
        all.append(&mut group);
    }
    all
}

/// Of more namespaces than are kept those that used the least share one entry, which counts for any of them as what used the
/// most of them did. Each has one entry by now.
fn put_together(reserved: &mut Vec<Reservation>) {
    let (mut named, mut all): (Vec<_>, Vec<_>) = reserved.drain(..).partition(|entry| entry.namespace.is_some());
    named.sort_by_key(|entry| (entry.count, entry.at.0));
    let kept = named.split_off(named.len().saturating_sub(KEPT / 2));
    let together = named.into_iter().reduce(|one, other| Reservation {
        at: Time(one.at.0.max(other.at.0)),
        count: one.count.saturating_add(other.count),
        namespace: None,
        most: Some(most(&one).max(most(&other))),
    });
    all.extend(together);
    all.extend(kept);
    sort(&mut all);
    *reserved = all;
}

/// How many of an entry are any one namespace's, at most. Earlier versions didn't note whose they are.
fn most(entry: &Reservation) -> u32 {
    entry.most.unwrap_or(entry.count)
}

/// Adds another entry of the same namespace, or of any.
fn merge(kept: &mut Reservation, other: &Reservation) -> bool {
    if kept.namespace.is_none() {
        kept.most = Some(most(kept).saturating_add(most(other)));
    }
    kept.count = kept.count.saturating_add(other.count);
    true
}

/// Whether an entry still counts. One that lies in the future does.
fn counts(entry: &Reservation, window: Duration, now: Timestamp) -> bool {
    // A window that ends beyond all time hasn't ended.
    entry.at.0.checked_add(window).map_or(true, |end| now < end)
}

/// Times are written in whole seconds; what is counted counts until the end of its second.
fn whole_second(now: Timestamp) -> Timestamp {
    let second = now.as_second() + i64::from(now.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(now)
}
