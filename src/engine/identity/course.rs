//! What is told of a resource however its reconcile ends.

use k8s_openapi::jiff::Timestamp;

use crate::api::ReadyCondition;
use crate::api::identity::KratosIdentityStatus;
use crate::identity::status::{self, Observation, RecoveryObservation, Touched};

/// What happens to a resource as time passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// When what is wanted changes by itself.
    pub boundary: Option<Timestamp>,
    /// What is said of a recovery whose Secret was deleted before the reconcile, or although it came to nothing.
    pub lapse: Option<ReadyCondition>,
    /// The identity, where the reconcile came to nothing and it was locked out all the same.
    pub touched: Option<Touched>,
}

impl Course {
    pub fn recovery(&self) -> RecoveryObservation {
        self.lapse.clone().map_or(RecoveryObservation::Unknown, RecoveryObservation::Lapsed)
    }

    pub fn seen(&self) -> Observation {
        self.touched.clone().map_or(Observation::Unknown, Observation::Touched)
    }

    /// Whether there is to tell what the status doesn't say yet, however the reconcile ended.
    pub fn has_news(&self, status: Option<&KratosIdentityStatus>) -> bool {
        self.lapse.is_some() || self.touched.as_ref().is_some_and(|touched| status::is_news(status, &touched.identity))
    }
}
