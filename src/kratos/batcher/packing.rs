//! Which creates share a batch, and when. Pure: time is an argument, and what is in them is of no interest here.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::base::flow::counts::Counts;
use crate::base::flow::fair_queue::FairQueue;

/// The most in one request. More don't make it faster (see [`TOGETHER`]); well within `SQLite`'s bind variables and the
/// limits of every version of Kratos.
const MOST: usize = 100;
/// The most bytes in one request. Kratos refuses bodies of more than about 5 MiB, a usual gateway those of more than one.
const MOST_BYTES: usize = 512 * 1024;
/// What is larger is sent by itself.
pub const LARGE: usize = 128 * 1024;
/// So many are worth a request, whatever else may come. Everybody else waits for it meanwhile.
const ENOUGH: usize = 80;
/// How long they wait for those that are about to come after the last one did: one that takes longer is no company.
/// Whoever comes alone doesn't wait.
const QUIET: Duration = Duration::from_millis(500);
/// How long is gathered at most: what a busy API server takes for the finalizers of [`ENOUGH`].
const PATIENCE: Duration = Duration::from_secs(5);
/// Within so long after the last of a crowd, more of its groups are company, though nobody announces them.
const CROWD: Duration = Duration::from_secs(1);
/// How long they wait for each other after the last one came…
const LINGER: Duration = Duration::from_millis(150);
/// …and in all.
const LONGEST_LINGER: Duration = Duration::from_millis(500);
/// With no more groups than so many waiting, whoever is alone of its group doesn't ride with the crowd.
const FEW: usize = 8;
/// A request is to take no more than this, so that nobody waits long for others…
const LONGEST: Duration = Duration::from_secs(5);
/// …and no more than this part of the time-out: the server may be slower the next time.
const PART_OF_TIMEOUT: u32 = 4;

/// What makes one sort of creates be batched otherwise than another.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// How many requests at the same time, but for one of those that are alone of their group.
    in_flight: usize,
    /// The most in one request.
    most: usize,
    /// How long one is thought to take before the first answer.
    each: Duration,
}

/// The common ones. Kratos v1.3.1 on two cores and `SQLite` makes 340–580 a second of them by batches of 50 to 200,
/// whether one, two or four are in flight: two leave a slow network no time to be idle, and more only wait for the
/// database's lock, and others for them.
pub const TOGETHER: BatchLimits = BatchLimits { in_flight: 2, most: MOST, each: Duration::from_millis(20) };
/// Those with a password in clear text. The server hashes one after another, for some hundred milliseconds each, so
/// that small requests side by side have its cores share the work; more at a time only take longer (on two cores the
/// slowest of single ones took 1.7 s with two in flight, 4.6 s with four, 7.5 s with eight). New servers take 200 in one.
/// They share their turns with changes of passwords.
pub const HASHING: BatchLimits = BatchLimits { in_flight: 2, most: MOST, each: Duration::from_millis(600) };
/// Those that are sent by themselves.
pub const ALONE: BatchLimits = BatchLimits { in_flight: 3, most: 1, each: Duration::ZERO };

/// Creates of one sort that wait. Groups take turns as in a [`FairQueue`].
#[derive(Debug)]
pub struct Queue<T> {
    terms: BatchLimits,
    waiting: FairQueue<Waiting<T>>,
    next_ticket: u64,
    /// Since when is gathered, and when the last one of those that wait came.
    gathering: Option<(Instant, Instant)>,
    /// Requests, but for the one below.
    in_flight: usize,
    /// Whether one with those that were alone of their group is.
    is_express_in_flight: bool,
    /// How many of each group are in flight.
    under_way: Counts,
    /// When the last request of several went that nobody had announced, and whose they were.
    crowd: Option<(Instant, HashSet<String>)>,
    /// How long one takes, as far as is known.
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

/// A request in flight, to be handed back when it is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// Of each that it carries.
    groups: Vec<String>,
    is_express: bool,
}

impl<T> Queue<T> {
    /// An empty one. `timeout`: how long the client waits for an answer.
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

    /// Adds one. `bytes`: its size in a request. `group`: whose turn it takes.
    pub fn add(&mut self, item: T, bytes: usize, group: &str, now: Instant) {
        let since = self.gathering.map_or(now, |(since, _)| since);
        self.gathering = Some((since, now));
        self.waiting.add(group, self.next_ticket, Waiting { item, bytes, group: group.to_owned() });
        self.next_ticket += 1;
    }

    /// Takes what goes now in one request; call again until there is none. Each that was taken is to be followed by
    /// one [`Self::done`]. `expected`: how many of each group are about to come.
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

    /// When [`Self::take`] gives something, if nothing happens before.
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

    /// A request is over. `took`: how many it carried, and how long it took; none where that says nothing.
    pub fn done(&mut self, batch: &Batch, took: &[(usize, Duration)]) {
        for group in &batch.groups {
            self.under_way.remove(group);
        }
        if batch.is_express {
            self.is_express_in_flight = false;
            // It says how long it waited for the crowd's.
            return;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        for (count, took) in took {
            let each = *took / u32::try_from(*count).unwrap_or(u32::MAX).max(1);
            // What became slower is believed at once, what became faster little by little.
            self.each = each.max((self.each + each) / 2);
        }
    }

    /// Takes all that waits, since nothing is to be sent any more.
    pub fn give_up(&mut self) -> impl Iterator<Item = T> + use<'_, T> {
        self.gathering = None;
        std::iter::from_fn(|| self.waiting.take()).map(|waiting| waiting.item)
    }

    /// The groups of the crowd that went a moment before the last one came.
    fn recent_crowd(&self) -> Option<&HashSet<String>> {
        let (_, last_came) = self.gathering?;
        self.crowd.as_ref().filter(|(went, _)| last_came < *went + CROWD).map(|(_, groups)| groups)
    }

    /// The groups of those who needn't ride with the crowd: nobody of its group is with any of them.
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

    /// How many a request may carry.
    fn limit(&self) -> usize {
        let fits = self.within.as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(fits).unwrap_or(usize::MAX).clamp(1, self.terms.most)
    }
}
