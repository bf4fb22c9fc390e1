//! The status of `revokeAll`: whether it is pending, begun, or done. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;

use crate::api::session_policy::{RevokeAll, RevokeAllStatus};
use crate::policy::expression_results::ExpressionResults;

/// The result of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub ended: usize,
    /// Sessions of which it was unknown, in the last pass, whether the policy is about them.
    pub failed: usize,
    pub results: ExpressionResults,
}

/// The action, if it isn't done yet. One that was begun keeps its start time.
pub fn pending<'a>(
    wanted: Option<&'a RevokeAll>,
    noted: Option<&RevokeAllStatus>,
) -> Option<(&'a RevokeAll, Option<Timestamp>)> {
    let wanted = wanted?;
    match noted.filter(|noted| noted.token.as_deref() == Some(&*wanted.token)) {
        Some(RevokeAllStatus { completed_at: Some(_), .. }) => None,
        Some(noted) => Some((wanted, noted.started_at.as_ref().map(|time| time.0))),
        None => Some((wanted, None)),
    }
}

/// The status of an action that was begun, or of one that is done.
pub fn status(wanted: &RevokeAll, started_at: Timestamp, completed: Option<(Timestamp, &Ended)>) -> RevokeAllStatus {
    let message = match completed {
        None => "begun, not known to be done; the operator goes on with it".to_owned(),
        Some((_, Ended { ended, failed: 0, .. })) => {
            format!("no session is left that began by {started_at}; the last run ended {ended}")
        }
        Some((_, Ended { ended, failed, .. })) => format!(
            "no session is left that began by {started_at}, but for {failed} of which nobody can tell whether the policy is \
             about them; the last run ended {ended}"
        ),
    };
    RevokeAllStatus {
        token: Some(wanted.token.clone()),
        started_at: Some(MicroTime(started_at)),
        completed_at: completed.map(|(at, _)| Time(whole_second(at))),
        message: Some(message),
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
