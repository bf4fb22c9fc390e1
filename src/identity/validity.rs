//! When an identity may log in: what a window of validity makes of the state at one time, and when that changes next.
//! Pure.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::lifecycle::Validity;
use crate::kratos::State;

/// Timers are no longer than this: clocks are set meanwhile, and timers have a limit of their own.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// How a window stands at one time. It holds from its first instant on, and ends before its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It opens then.
    Before(Timestamp),
    /// It ends then, if ever.
    Within(Option<Timestamp>),
    /// It ended then.
    After(Timestamp),
}

impl Phase {
    pub fn at(validity: &Validity, now: Timestamp) -> Self {
        let Validity { not_before, not_after } = validity;
        match (not_before, not_after) {
            // First the end: a window without any time in it is over, whatever it begins with.
            (_, Some(end)) if end.0 <= now => Self::After(end.0),
            (Some(start), _) if now < start.0 => Self::Before(start.0),
            (_, end) => Self::Within(end.as_ref().map(|end| end.0)),
        }
    }

    pub fn state(self) -> State {
        match self {
            Self::Within(_) => State::Active,
            Self::Before(_) | Self::After(_) => State::Inactive,
        }
    }

    /// When it changes next, if ever.
    pub fn boundary(self) -> Option<Timestamp> {
        match self {
            Self::Before(start) => Some(start),
            Self::Within(end) => end,
            Self::After(_) => None,
        }
    }

    /// What a person is told of it.
    pub fn message(self) -> Option<String> {
        match self {
            Self::Before(start) => Some(format!("inactive until {start}, as spec.validity says")),
            Self::Within(Some(end)) => Some(format!("active until {end}, as spec.validity says")),
            Self::Within(None) => None,
            Self::After(end) => Some(format!("inactive since {end}, as spec.validity says")),
        }
    }
}

/// How long to wait for a time; never less than it takes, but no longer than a day at once.
pub fn wait(until: Timestamp, now: Timestamp) -> std::time::Duration {
    let left = until.duration_since(now).clamp(SignedDuration::ZERO, LONGEST);
    // A timer counts in full milliseconds: one that fires a moment early would reconcile in vain.
    std::time::Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or_default() + 1)
}
