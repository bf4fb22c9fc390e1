//! Who may hold a Lease. Pure: how long the Lease hasn't changed is an argument, by the clock of the candidate, since clocks
//! may differ.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// How long a Lease that nobody renews is its holder's.
pub const DURATION: Duration = Duration::from_secs(15);
/// The most that another's word for it counts: a Lease for a year would be nobody's for a year.
const LONGEST_DURATION: Duration = Duration::from_mins(1);
/// The duration of one that was given up, as client-go writes it: the shortest that there is.
const RELEASED_SECONDS: i32 = 1;
/// Whoever couldn't renew for so long has stopped before another may begin.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);
/// How often it is renewed.
pub const RENEWED_EVERY: Duration = Duration::from_secs(2);

/// What one that wants a Lease does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is its own, or nobody's (any more): written in place of what was seen.
    Hold,
    /// It is another's, or may be.
    Wait,
}

/// See the module. `None`: there is no Lease. `is_noted`: it says what its holder left. Only then, and with the duration of one
/// that was given up, its holder gave it up. If somebody else removed the holder's name, the holder goes on until it next reads
/// the Lease.
pub fn decide(lease: Option<&LeaseSpec>, is_noted: bool, me: &str, unchanged_for: Duration) -> Decision {
    let Some(lease) = lease else { return Decision::Hold };
    let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let duration = seconds.filter(|seconds| *seconds > 0).map_or(DURATION, Duration::from_secs).min(LONGEST_DURATION);
    match holder(lease) {
        None if is_noted && lease.lease_duration_seconds == Some(RELEASED_SECONDS) => Decision::Hold,
        Some(holder) if holder == me => Decision::Hold,
        _ if unchanged_for >= duration => Decision::Hold,
        _ => Decision::Wait,
    }
}

/// Who holds a Lease, by its own words.
pub fn holder(lease: &LeaseSpec) -> Option<&str> {
    lease.holder_identity.as_deref().filter(|holder| !holder.is_empty())
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

/// The Lease as its holder gives it up.
pub fn released(before: LeaseSpec, now: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: None,
        lease_duration_seconds: Some(RELEASED_SECONDS),
        renew_time: Some(MicroTime(now)),
        ..before
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
    #[case::there_is_none(None, 0, Decision::Hold)]
    #[case::nobodys(Some(LeaseSpec::default()), 14, Decision::Wait)]
    #[case::nobodys_for_long(Some(LeaseSpec::default()), 15, Decision::Hold)]
    #[case::emptied_by_somebody(Some(lease("", Some(15))), 14, Decision::Wait)]
    #[case::its_own(Some(lease("me", Some(15))), 0, Decision::Hold)]
    #[case::its_own_for_long(Some(lease("me", Some(15))), 60, Decision::Hold)]
    #[case::anothers(Some(lease("you", Some(15))), 0, Decision::Wait)]
    #[case::anothers_to_the_last(Some(lease("you", Some(15))), 14, Decision::Wait)]
    #[case::not_renewed(Some(lease("you", Some(15))), 15, Decision::Hold)]
    #[case::by_its_own_duration(Some(lease("you", Some(60))), 59, Decision::Wait)]
    #[case::but_for_a_minute_at_most(Some(lease("you", Some(86_400))), 60, Decision::Hold)]
    #[case::of_the_shortest_duration(Some(lease("you", Some(1))), 1, Decision::Hold)]
    #[case::of_zero(Some(lease("you", Some(0))), 14, Decision::Wait)]
    #[case::without_a_duration(Some(lease("you", None)), 14, Decision::Wait)]
    #[case::without_a_duration_and_not_renewed(Some(lease("you", None)), 15, Decision::Hold)]
    #[case::of_no_duration(Some(lease("you", Some(-1))), 14, Decision::Wait)]
    fn whose_turn_it_is(#[case] lease: Option<LeaseSpec>, #[case] unchanged_for: u64, #[case] expected: Decision) {
        assert_eq!(decide(lease.as_ref(), false, "me", Duration::from_secs(unchanged_for)), expected);
    }

    #[test]
    fn a_lease_that_was_given_up_is_to_be_had_at_once_unless_somebody_was_faster() {
        let given_up = released(lease("you", Some(15)), Timestamp::UNIX_EPOCH);
        let decide = |lease: &LeaseSpec, is_noted| decide(Some(lease), is_noted, "me", Duration::ZERO);
        assert_eq!(decide(&given_up, true), Decision::Hold);
        assert_eq!(decide(&given_up, false), Decision::Wait, "its holder would have said what it left");
        assert_eq!(
            decide(&lease("", Some(15)), true),
            Decision::Wait,
            "emptied by hand while its holder had noted something"
        );
        assert_eq!(decide(&lease("you", Some(15)), true), Decision::Wait);
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
        assert!(DURATION > GIVEN_UP_AFTER + RENEWED_EVERY);
    }
}
