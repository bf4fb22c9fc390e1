//! Which creates share a batch, and when it is sent. Pure: time is an argument. Doesn't read the creates.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::base::flow::counts::Counts;
use crate::base::flow::fair_queue::FairQueue;

/// The most creates in a request. More aren't faster (see [`TOGETHER`]). Well within `SQLite`'s bind variables and the limits
/// of every version of Kratos.
const MOST: usize = 100;
/// The most bytes in a request. Kratos refuses bodies of more than about 5 MiB, a usual gateway those of more than 1 MiB.
const MOST_BYTES: usize = 512 * 1024;
/// Larger creates are sent alone.
pub const LARGE: usize = 128 * 1024;
/// With so many a batch is sent, even if more are expected.
const ENOUGH: usize = 80;
/// How long a batch waits for expected creates after the last one came. A create that expects no others doesn't wait.
const QUIET: Duration = Duration::from_millis(500);
/// How long a batch is gathered at most: what a busy API server takes to write [`ENOUGH`] finalizers.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a batch of several, creates that come within this time are gathered too, though nobody announced them.
const CROWD: Duration = Duration::from_secs(1);
/// How long those wait after the last one came…
const LINGER: Duration = Duration::from_millis(150);
/// …and in all.
const LONGEST_LINGER: Duration = Duration::from_millis(500);
/// Only while so few groups wait may the only create of a group be sent beside the batches.
const FEW: usize = 8;
/// A request should take no longer than this, so that nobody waits long for others…
const LONGEST: Duration = Duration::from_secs(5);
/// …and no more than this fraction of the time-out: the next time the server may be slower.
const PART_OF_TIMEOUT: u32 = 4;

/// How one sort of creates is batched.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// How many requests may be in flight, beside one express request (creates that are alone in their groups).
    in_flight: usize,
    /// The most creates in a request.
    most: usize,
    /// How long one create is assumed to take before the first answer.
    each: Duration,
}

/// Ordinary creates. Kratos v1.3.1 on two cores with `SQLite` makes 340–580 a second in batches of 50 to 200, with one, two or
/// four in flight. Two keep a slow network busy; more would only wait for the database's lock, and make others wait.
pub const TOGETHER: BatchLimits = BatchLimits { in_flight: 2, most: MOST, each: Duration::from_millis(20) };
/// Creates with a cleartext password. The server hashes one after another, some hundred milliseconds each, so small requests
/// side by side use all of its cores. More at a time only take longer (on two cores the slowest single create took 1.7 s with
/// two in flight, 4.6 s with four, 7.5 s with eight). New servers take 200 in one. They share permits with password changes.
pub const HASHING: BatchLimits = BatchLimits { in_flight: 2, most: MOST, each: Duration::from_millis(600) };
/// Creates that are sent alone.
pub const ALONE: BatchLimits = BatchLimits { in_flight: 3, most: 1, each: Duration::ZERO };

/// Waiting creates of one sort. Groups take turns as in a [`FairQueue`].
#[derive(Debug)]
pub struct Queue<T> {
    terms: BatchLimits,
    waiting: FairQueue<Waiting<T>>,
    next_ticket: u64,
    /// When gathering began, and when the last waiting create came.
    gathering: Option<(Instant, Instant)>,
    /// Requests in flight, without the express one.
    in_flight: usize,
    /// Whether an express request is in flight.
    is_express_in_flight: bool,
    /// How many creates of each group are in flight.
    under_way: Counts,
    /// When the last unannounced batch of several was sent, and its groups.
    crowd: Option<(Instant, HashSet<String>)>,
    /// How long one create takes, as far as is known.
    each: Duration,
    /// How long a request may take.
    within: Duration,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    bytes: usize,
    group: String,
}

/// A request in flight; pass it to [`Queue::done`] when it is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// The group of each create in it.
    groups: Vec<String>,
    is_express: bool,
}

impl<T> Queue<T> {
    /// An empty queue. `timeout`: how long the client waits for an answer.
    pub fn new(terms: BatchLimits, timeout: Duration) -> Self {
        Self {
            terms,
            waiting: FairQueue::default(),
            next_ticket: 0,
            gathering: None,
            in_flight: 0,
            is_express_in_flight: false,
            under_way: Counts::default(),
            crowd: None,
            each: terms.each,
            within: (timeout / PART_OF_TIMEOUT).min(LONGEST),
        }
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0 && !self.is_express_in_flight
    }

    /// Adds a create. `bytes`: its size in a request. `group`: whose turn it takes.
    pub fn add(&mut self, item: T, bytes: usize, group: &str, now: Instant) {
        let since = self.gathering.map_or(now, |(since, _)| since);
        self.gathering = Some((since, now));
        self.waiting.add(group, self.next_ticket, Waiting { item, bytes, group: group.to_owned() });
        self.next_ticket += 1;
    }

    /// Takes what is sent now in one request; call it until there is none. Each batch must be passed to [`Self::done`].
    /// `expected`: how many of each group will come soon.
    pub fn take(&mut self, now: Instant, expected: &Counts) -> Option<(Vec<T>, Batch)> {
        if self.due(expected)? > now {
            return None;
        }
        let express: Vec<_> = self.express(expected).map(str::to_owned).collect();
        let is_express = !express.is_empty();
        let mut express = express.into_iter();
        let (mut items, mut groups) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while items.len() < self.limit() {
            let fits = |next: &Waiting<T>| bytes == 0 || bytes + next.bytes <= MOST_BYTES;
            let next = if is_express {
                express
                    .next()
                    .filter(|group| self.waiting.only(group).is_some_and(fits))
                    .and_then(|group| self.waiting.take_first_of(&group))
            } else {
                self.waiting.take_if(fits)
            };
            let Some(next) = next else { break };
            bytes += next.bytes;
            self.under_way.add(&next.group);
            items.push(next.item);
            groups.push(next.group);
        }
        if is_express {
            self.is_express_in_flight = true;
        } else {
            self.in_flight += 1;
            if groups.len() > 1 && expected.is_empty() {
                self.crowd = Some((now, groups.iter().cloned().collect()));
            }
        }
        self.gathering = self.gathering.filter(|_| !self.waiting.is_empty()).map(|(_, last)| (now, last));
        Some((items, Batch { groups, is_express }))
    }

    /// When [`Self::take`] returns a batch, if nothing happens before.
    pub fn due(&self, expected: &Counts) -> Option<Instant> {
        let (since, last_came) = self.gathering?;
        if self.express(expected).next().is_some() {
            return Some(since);
        }
        if self.in_flight >= self.terms.in_flight {
            return None;
        }
        let is_enough = self.waiting.len() >= ENOUGH.min(self.limit());
        Some(if is_enough {
            since
        } else if !expected.is_empty() {
            (last_came + QUIET).min(since + PATIENCE)
        } else if self.recent_crowd().is_some() {
            (last_came + LINGER).min(since + LONGEST_LINGER)
        } else {
            since
        })
    }

    /// A request is over. `took`: how many creates it carried, and how long it took; empty where that says nothing about the
    /// server's speed.
    pub fn done(&mut self, batch: &Batch, took: &[(usize, Duration)]) {
        for group in &batch.groups {
            self.under_way.remove(group);
        }
        if batch.is_express {
            self.is_express_in_flight = false;
            // Its time includes waiting for the batches, so it isn't used.
            return;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        for (count, took) in took {
            let each = *took / u32::try_from(*count).unwrap_or(u32::MAX).max(1);
            // A slower server counts at once, a faster one gradually.
            self.each = each.max((self.each + each) / 2);
        }
    }

    /// Takes all that waits, because nothing may be sent now.
    pub fn give_up(&mut self) -> impl Iterator<Item = T> + use<'_, T> {
        self.gathering = None;
        std::iter::from_fn(|| self.waiting.take()).map(|waiting| waiting.item)
    }

    /// The groups of the last unannounced batch, if it was sent shortly before the last create came.
    fn recent_crowd(&self) -> Option<&HashSet<String>> {
        let (_, last_came) = self.gathering?;
        self.crowd.as_ref().filter(|(went, _)| last_came < *went + CROWD).map(|(_, groups)| groups)
    }

    /// The groups whose create may be sent beside the batches: it is the only one of its group, in the queue and in flight.
    fn express(&self, expected: &Counts) -> impl Iterator<Item = &str> {
        let crowd = self.recent_crowd();
        let is_crowded = self.in_flight > 0 || !expected.is_empty() || crowd.is_some();
        let may_go = is_crowded && !self.is_express_in_flight && self.waiting.namespaces().nth(FEW).is_none();
        let is_of_crowd = move |group: &str| crowd.is_some_and(|crowd| crowd.contains(group));
        let is_alone = move |group: &&str| {
            self.waiting.only(group).is_some()
                && !self.under_way.has(group)
                && !expected.has(group)
                && !is_of_crowd(group)
        };
        self.waiting.namespaces().filter(move |group| may_go && is_alone(group))
    }

    /// How many creates a request may carry.
    fn limit(&self) -> usize {
        let fits = self.within.as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(fits).unwrap_or(usize::MAX).clamp(1, self.terms.most)
    }
}
