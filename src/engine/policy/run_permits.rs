//! A run's permits at its instance. Runs of all policies share a few. Each holds one for a page, or for a few changes; then the
//! next run gets it, namespace by namespace. So neither a long scan nor many policies of one namespace hold up others. Runs
//! with a `revokeAll` to carry out have permits of their own.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::flow::fair_semaphore::{FairSemaphore, Permit};
use crate::instance::RunLimits;

/// The permits of one run.
#[derive(Debug)]
pub struct RunPermits {
    limit: Arc<FairSemaphore>,
    namespace: String,
    permit: Mutex<Option<Permit>>,
}

impl RunPermits {
    /// Those of a policy in this namespace.
    pub fn new(of_instance: &RunLimits, is_urgent: bool, namespace: &str) -> Self {
        let limit = if is_urgent { &of_instance.urgent } else { &of_instance.regular };
        Self { limit: Arc::clone(limit), namespace: namespace.to_owned(), permit: Mutex::default() }
    }

    /// Lets others have their turn, and waits for the next one.
    pub async fn next(&self) {
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
        let permit = self.limit.acquire(&self.namespace).await;
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
    }
}
