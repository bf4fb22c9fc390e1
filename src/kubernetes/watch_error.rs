//! Describes a failed watch for a log line. Pure. No text of an answer is passed on (see `kube_error`).

use kube::core::Status;
use kube::runtime::watcher;

use crate::base::kube_error::{Refusal, brief, refusal, refusal_of};

/// A failed watch in few words.
pub fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => format!("listing: {}", brief(error)),
        watcher::Error::WatchStartFailed(error) => format!("beginning to watch: {}", brief(error)),
        watcher::Error::WatchFailed(error) => brief(error),
        watcher::Error::WatchError(status) => refusal(status),
        watcher::Error::NoResourceVersion => "the answer has no resource version".to_owned(),
    }
}

/// Whether a watch was refused.
pub fn is_watch_forbidden(error: &watcher::Error) -> bool {
    status_of_watch(error).is_some_and(|status| status.code == 403)
}

/// Which permission a watch lacked.
pub fn refused_watch(error: &watcher::Error) -> Option<Refusal> {
    refusal_of(status_of_watch(error)?)
}

fn status_of_watch(error: &watcher::Error) -> Option<&Status> {
    match (cause_of_watch(error), error) {
        (Some(kube::Error::Api(status)), _) | (_, watcher::Error::WatchError(status)) => Some(status),
        _ => None,
    }
}

/// The failed request of a watch, unless the error is an event within an answer.
pub fn cause_of_watch(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, reason).with_code(code)))
    }

    #[test]
    fn a_watch_that_is_refused_lacks_a_right() {
        let message =
            "secrets is forbidden: User \"u\" cannot list resource \"secrets\" in API group \"\" at the cluster scope";
        let watch = watcher::Error::WatchStartFailed(api(403, "Forbidden", message));
        assert!(is_watch_forbidden(&watch) && refused_watch(&watch).is_some());
        assert!(!is_watch_forbidden(&watcher::Error::NoResourceVersion));
    }

    #[test]
    fn a_watch_says_what_it_was_at() {
        let error = watcher::Error::InitialListFailed(api(500, "InternalError", "ada@example.com"));
        assert_eq!(of_watch(&error), "listing: the API server answers 500 InternalError");
    }
}
