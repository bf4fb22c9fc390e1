//! What is told of a resource however its reconcile ends.

use k8s_openapi::jiff::Timestamp;

use crate::api::Verdict;
use crate::api::identity::KratosIdentityStatus;
use crate::identity::status::{self, RecoverySeen, Seen, Touched};

/// What happens to a resource as time passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// When what is wanted changes by itself.
    pub boundary: Option<Timestamp>,
    /// What is said of a recovery whose Secret was deleted before the look, or although it came to nothing.
    pub lapse: Option<Verdict>,
    /// The identity, where the look came to nothing and it was locked out all the same.
    pub touched: Option<Touched>,
}

impl Course {
    pub fn recovery(&self) -> RecoverySeen {
        self.lapse.clone().map_or(RecoverySeen::Unknown, RecoverySeen::Lapsed)
    }

    pub fn seen(&self) -> Seen {
        self.touched.clone().map_or(Seen::Unknown, Seen::Touched)
    }

    /// Whether there is to tell what the status doesn't say yet, however the look ended.
    pub fn has_news(&self, status: Option<&KratosIdentityStatus>) -> bool {
        self.lapse.is_some() || self.touched.as_ref().is_some_and(|touched| status::is_news(status, &touched.identity))
    }
}
