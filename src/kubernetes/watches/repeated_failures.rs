//! What to log of requests that fail again and again: new failures at once, lasting ones every few minutes. Pure; time is an
//! argument.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A lasting failure is logged again after this long.
const SAID_AGAIN: Duration = Duration::from_mins(5);
/// Missing definitions are logged together; each kind notices by itself.
const TOGETHER: Duration = Duration::from_secs(1);
/// A request without an answer for this long is logged, although the API server answers others.
const UNANSWERED: Duration = Duration::from_secs(45);
/// A watch that has waited this long for events works: else it would have failed by now. (It is polled once a minute.)
const QUIET: Duration = Duration::from_secs(50);

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kind's definition is missing.
    Lacks(String),
    /// There was no answer; why, in few words.
    Unanswered(String),
    /// The answer was an error; which, in few words.
    Refused(String),
}

/// What to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Fails {
        what: String,
        words: String,
    },
    Works {
        what: String,
    },
    /// All missing definitions, with commas between.
    Lacks {
        definitions: String,
    },
    Installed,
}

/// See the module.
#[derive(Debug, Default)]
pub struct RepeatedFailures {
    /// By the watch or request that fails.
    failing: HashMap<String, Trouble>,
    /// What was logged, and when. Many fail for the same reason.
    said: HashMap<String, Instant>,
    lacking: Lacking,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    last: Instant,
    is_said: bool,
}

#[derive(Debug, Default)]
struct Lacking {
    /// By the watch or request that fails.
    definitions: BTreeMap<String, String>,
    since: Option<Instant>,
    said: Option<Instant>,
}

impl RepeatedFailures {
    /// It failed. `is_lost`: the heartbeat has logged that the API server doesn't answer.
    pub fn failed(&mut self, what: &str, cause: Cause, is_lost: bool, now: Instant) -> Option<Line> {
        let fresh = Trouble { since: now, last: now, is_said: false };
        let trouble = self.failing.entry(what.to_owned()).or_insert(fresh);
        trouble.last = now;
        let words = match cause {
            Cause::Lacks(definition) => return self.lacking.failed(what, definition, now),
            Cause::Unanswered(_) if is_lost || now < trouble.since + UNANSWERED => return None,
            Cause::Unanswered(words) | Cause::Refused(words) => words,
        };
        trouble.is_said = true;
        self.said.retain(|_, at| now < *at + SAID_AGAIN);
        if self.said.contains_key(&words) {
            return None;
        }
        self.said.insert(words.clone(), now);
        Some(Line::Fails { what: what.to_owned(), words })
    }

    /// It succeeded.
    pub fn works(&mut self, what: &str) -> Option<Line> {
        let trouble = self.failing.remove(what)?;
        if self.lacking.works(what) {
            return Some(Line::Installed);
        }
        trouble.is_said.then(|| Line::Works { what: what.to_owned() })
    }

    /// It waits for events.
    pub fn quiet(&mut self, what: &str, now: Instant) -> Option<Line> {
        let last = self.failing.get(what)?.last;
        if now > last + QUIET { self.works(what) } else { None }
    }
}

impl Lacking {
    fn failed(&mut self, what: &str, definition: String, now: Instant) -> Option<Line> {
        self.definitions.insert(what.to_owned(), definition);
        let since = *self.since.get_or_insert(now);
        if now < since + TOGETHER || self.said.is_some_and(|said| now < said + SAID_AGAIN) {
            return None;
        }
        self.said = Some(now);
        let definitions: Vec<_> = self.definitions.values().map(String::as_str).collect();
        Some(Line::Lacks { definitions: definitions.join(", ") })
    }

    /// Whether it was the last one missing, and missing ones had been logged.
    fn works(&mut self, what: &str) -> bool {
        if self.definitions.remove(what).is_none() || !self.definitions.is_empty() {
            return false;
        }
        std::mem::take(self).said.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN: &str = "the API server answers 401 Unauthorized";

    fn refused() -> Cause {
        Cause::Refused(FORBIDDEN.to_owned())
    }

    fn fails(what: &str) -> Line {
        Line::Fails { what: what.to_owned(), words: FORBIDDEN.to_owned() }
    }

    fn works(what: &str) -> Line {
        Line::Works { what: what.to_owned() }
    }

    #[test]
    fn what_many_meet_is_said_once_and_again_after_minutes_and_that_it_is_over_for_each() {
        let (mut failures, begun) = (RepeatedFailures::default(), Instant::now());
        let mut said = Vec::new();
        for second in (0..=310).step_by(5) {
            for what in ["a", "b"] {
                let now = begun + Duration::from_secs(second);
                said.extend(failures.failed(what, refused(), false, now).map(|_| second));
            }
        }
        assert_eq!(said, [0, 300]);
        assert_eq!(
            (failures.works("a"), failures.works("b"), failures.works("a")),
            (Some(works("a")), Some(works("b")), None)
        );
        assert_eq!(failures.failed("a", refused(), false, begun + SAID_AGAIN * 3), Some(fails("a")));
    }

    #[test]
    fn that_nobody_answers_is_left_to_the_heartbeat_unless_the_others_are_answered() {
        let (mut failures, begun) = (RepeatedFailures::default(), Instant::now());
        let cause = || Cause::Unanswered(FORBIDDEN.to_owned());
        for second in 0..600 {
            let now = begun + Duration::from_secs(second);
            assert_eq!(failures.failed("a", cause(), true, now), None);
        }
        assert_eq!(failures.works("a"), None, "nothing was said, so nothing is over");
        assert_eq!(failures.failed("a", cause(), false, begun), None);
        assert_eq!(failures.failed("a", cause(), false, begun + UNANSWERED), Some(fails("a")));
    }

    #[test]
    fn definitions_that_lack_are_said_together_and_that_they_are_there_once() {
        let (mut failures, begun) = (RepeatedFailures::default(), Instant::now());
        let mut fails = |what: &str, after: Duration| {
            failures.failed(what, Cause::Lacks(format!("{what}.dev")), false, begun + after)
        };
        assert_eq!(fails("b", Duration::ZERO), None);
        assert_eq!(fails("a", Duration::from_millis(3)), None);
        let line = Some(Line::Lacks { definitions: "a.dev, b.dev".to_owned() });
        assert_eq!(fails("b", TOGETHER), line);
        assert_eq!(fails("a", TOGETHER * 2), None);
        assert_eq!(fails("a", TOGETHER + SAID_AGAIN), line, "it still holds");
        assert_eq!(failures.works("a"), None);
        assert_eq!(failures.works("b"), Some(Line::Installed));
        assert_eq!(failures.works("b"), None);
    }

    #[test]
    fn a_watch_that_has_waited_for_events_for_a_while_works() {
        let (mut failures, begun) = (RepeatedFailures::default(), Instant::now());
        failures.failed("a", refused(), false, begun);
        assert_eq!(failures.quiet("a", begun + QUIET), None, "it may wait to be tried again");
        assert_eq!(failures.quiet("a", begun + QUIET * 2), Some(works("a")));
        assert_eq!(failures.quiet("a", begun + QUIET * 2), None);
    }
}
