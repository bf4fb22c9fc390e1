//! Which creates travel together, and when. Pure: time is an argument, and what travels is of no interest here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most in one request: well within `SQLite`'s bind variables and the limits of every version of Kratos.
const MOST: usize = 200;
/// The most bytes in one request. Kratos refuses bodies of more than about 5 MiB, a usual gateway those of more than one.
const MOST_BYTES: usize = 512 * 1024;
/// What is larger travels by itself.
pub const LARGE: usize = 128 * 1024;
/// So many are worth a request, whatever else may come.
const ENOUGH: usize = 100;
/// How long they wait for those that are about to come after the last one did: one that takes longer is no company.
/// Whoever comes alone doesn't wait.
const QUIET: Duration = Duration::from_millis(500);
/// How long the first one waits at most: what a busy API server takes for the finalizers of [`ENOUGH`].
const PATIENCE: Duration = Duration::from_secs(5);
/// A request is to take no more than this, so that nobody waits long for others…
const LONGEST: Duration = Duration::from_secs(5);
/// …and no more than this part of the time-out: the server may be slower the next time.
const PART_OF_TIMEOUT: u32 = 4;

/// What makes one sort of creates travel otherwise than another.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many requests at the same time.
    in_flight: usize,
    /// The most in one request.
    most: usize,
    /// How long one is thought to take before the first answer.
    each: Duration,
}

/// The common ones. Kratos v1.3.1 on two cores and `SQLite` makes 340–580 a second of them by batches of 50 to 200,
/// whether one, two or four are in flight; four leave a slow network or database no time to be idle.
pub const TOGETHER: Terms = Terms { in_flight: 4, most: MOST, each: Duration::from_millis(20) };
/// Those with a password in clear text. The server hashes one after another, for some hundred milliseconds each, so
/// that small requests side by side have its cores share the work; more at a time only take longer (on two cores the
/// slowest of single ones took 1.7 s with two in flight, 4.6 s with four, 7.5 s with eight). New servers take 200 in one.
pub const HASHING: Terms = Terms { in_flight: 4, most: 100, each: Duration::from_millis(600) };
/// Those that travel by themselves.
pub const ALONE: Terms = Terms { in_flight: 4, most: 1, each: Duration::ZERO };

/// Creates of one sort, waiting in the order in which they came.
#[derive(Debug)]
pub struct Queue<T> {
    terms: Terms,
    waiting: VecDeque<Waiting<T>>,
    in_flight: usize,
    /// How long one takes, as far as is known.
    each: Duration,
    /// How long a request may take.
    within: Duration,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    bytes: usize,
    since: Instant,
}

impl<T> Queue<T> {
    /// An empty one. `timeout`: how long the client waits for an answer.
    pub fn new(terms: Terms, timeout: Duration) -> Self {
        let within = (timeout / PART_OF_TIMEOUT).min(LONGEST);
        let waiting = VecDeque::new();
        Self { terms, waiting, in_flight: 0, each: terms.each, within }
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0
    }

    /// Adds one at the end. `bytes`: its size in a request.
    pub fn add(&mut self, item: T, bytes: usize, now: Instant) {
        self.waiting.push_back(Waiting { item, bytes, since: now });
    }

    /// Takes what goes now in one request; call again until there is none. Each that was taken is to be followed by
    /// one [`Self::done`]. `are_expected`: whether others are about to come.
    pub fn take(&mut self, now: Instant, are_expected: bool) -> Option<Vec<T>> {
        if self.due(are_expected)? > now {
            return None;
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.waiting.front()
            && taken.len() < self.limit()
            && (taken.is_empty() || bytes + next.bytes <= MOST_BYTES)
        {
            bytes += next.bytes;
            taken.extend(self.waiting.pop_front().map(|next| next.item));
        }
        self.in_flight += 1;
        Some(taken)
    }

    /// When [`Self::take`] gives something, if nothing happens before.
    pub fn due(&self, are_expected: bool) -> Option<Instant> {
        let first = self.waiting.front().filter(|_| self.in_flight < self.terms.in_flight)?;
        let last = self.waiting.back()?;
        let is_enough = self.waiting.len() >= ENOUGH.min(self.limit());
        let is_waited_for = are_expected && !is_enough;
        Some(if is_waited_for { (last.since + QUIET).min(first.since + PATIENCE) } else { first.since })
    }

    /// A request is over. `took`: how many it carried, and how long it took; none where that says nothing.
    pub fn done(&mut self, took: &[(usize, Duration)]) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for (count, took) in took {
            let each = *took / u32::try_from(*count).unwrap_or(u32::MAX).max(1);
            // What became slower is believed at once, what became faster little by little.
            self.each = each.max((self.each + each) / 2);
        }
    }

    /// Takes all that waits, since nothing is to be sent any more.
    pub fn give_up(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting).into_iter().map(|waiting| waiting.item)
    }

    /// How many a request may carry.
    fn limit(&self) -> usize {
        let fits = self.within.as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(fits).unwrap_or(usize::MAX).clamp(1, self.terms.most)
    }
}
