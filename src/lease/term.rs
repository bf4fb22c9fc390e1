//! Whose turn it is at a Lease. Pure: how long it has been as it is is an argument, by the clock of whoever asks, since
//! those of others may differ.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// How long a Lease that nobody renews is its holder's.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed.
pub const RENEWED_EVERY: Duration = Duration::from_secs(2);

/// What one that wants a Lease does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is its own, or nobody's (any more): written in place of what was seen.
    Hold,
    /// It is another's.
    Wait,
}

/// See the module. `None`: there is no Lease.
pub fn turn(lease: Option<&LeaseSpec>, me: &str, unchanged_for: Duration) -> Turn {
    let Some(lease) = lease else { return Turn::Hold };
    let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let duration = seconds.map_or(DURATION, Duration::from_secs);
    match lease.holder_identity.as_deref().unwrap_or_default() {
        "" => Turn::Hold,
        holder if holder == me || unchanged_for >= duration => Turn::Hold,
        _ => Turn::Wait,
    }
}

/// The Lease as its holder writes it.
pub fn held(before: Option<&LeaseSpec>, me: &str, now: Timestamp) -> LeaseSpec {
    let before = before.cloned().unwrap_or_default();
    let is_mine = before.holder_identity.as_deref() == Some(me);
    let transitions = before.lease_transitions.unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: before.acquire_time.filter(|_| is_mine).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if is_mine { transitions } else { transitions.saturating_add(1) }),
        preferred_holder: None,
        strategy: None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lease(holder: &str, seconds: Option<i32>) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: seconds,
            lease_transitions: Some(3),
            acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }
    }

    #[rstest]
    #[case::there_is_none(None, 0, Turn::Hold)]
    #[case::nobodys(Some(LeaseSpec::default()), 0, Turn::Hold)]
    #[case::released(Some(lease("", Some(15))), 0, Turn::Hold)]
    #[case::its_own(Some(lease("me", Some(15))), 0, Turn::Hold)]
    #[case::its_own_for_long(Some(lease("me", Some(15))), 60, Turn::Hold)]
    #[case::anothers(Some(lease("you", Some(15))), 0, Turn::Wait)]
    #[case::anothers_to_the_last(Some(lease("you", Some(15))), 14, Turn::Wait)]
    #[case::not_renewed(Some(lease("you", Some(15))), 15, Turn::Hold)]
    #[case::by_its_own_duration(Some(lease("you", Some(60))), 15, Turn::Wait)]
    #[case::without_a_duration(Some(lease("you", None)), 14, Turn::Wait)]
    #[case::without_a_duration_and_not_renewed(Some(lease("you", None)), 15, Turn::Hold)]
    #[case::of_no_duration(Some(lease("you", Some(-1))), 14, Turn::Wait)]
    fn whose_turn_it_is(#[case] lease: Option<LeaseSpec>, #[case] unchanged_for: u64, #[case] expected: Turn) {
        assert_eq!(turn(lease.as_ref(), "me", Duration::from_secs(unchanged_for)), expected);
    }

    #[test]
    fn a_lease_says_who_holds_it_since_when_and_how_often_it_changed_hands() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let shown = |lease: &LeaseSpec| {
            let since = lease.acquire_time.as_ref().map(|time| time.0);
            let renewed = lease.renew_time.as_ref().map(|time| time.0);
            (lease.holder_identity.clone().unwrap(), since.unwrap(), renewed.unwrap(), lease.lease_transitions.unwrap())
        };
        assert_eq!(shown(&held(None, "me", now)), ("me".into(), now, now, 1));
        let renewed = held(Some(&lease("me", Some(15))), "me", now);
        assert_eq!(shown(&renewed), ("me".into(), Timestamp::UNIX_EPOCH, now, 3));
        let taken = held(Some(&lease("you", Some(60))), "me", now);
        assert_eq!(shown(&taken), ("me".into(), now, now, 4));
        assert_eq!(taken.lease_duration_seconds, Some(15));
    }

    /// Whoever stops in time stops before another begins.
    #[test]
    fn nobody_else_begins_before_the_holder_has_given_up() {
        assert!(DURATION > super::super::GIVEN_UP_AFTER + RENEWED_EVERY);
    }
}
