//! The status of a `KratosInstance`. Pure.

use k8s_openapi::jiff::Timestamp;

use crate::api::Verdict;
use crate::api::condition::{self, State};
use crate::api::instance::KratosInstanceStatus;

/// How many schemas a status lists, and how long an id it shows.
const SHOWN_SCHEMAS: usize = 1024;
const SHOWN_LENGTH: usize = 1024;

/// A status as it is compared and written by whoever doesn't keep the protection: it has a writer of its own.
pub fn without_protection(status: KratosInstanceStatus) -> KratosInstanceStatus {
    KratosInstanceStatus { protection: None, ..status }
}

/// The status after a look. `schemas`: what Kratos serves, if that is known.
pub fn next(
    current: Option<&KratosInstanceStatus>,
    verdict: &Verdict,
    cluster_id: &str,
    schemas: Option<Vec<String>>,
    (generation, requested_at): (i64, Option<&str>),
    now: Timestamp,
) -> KratosInstanceStatus {
    let mut status = current.cloned().unwrap_or_default();
    status.observed_generation = Some(generation);
    if verdict.reason.state() != State::Retrying
        && let Some(requested_at) = requested_at
    {
        status.last_handled_reconcile_at = Some(requested_at.to_owned());
    }
    condition::summarize(&mut status.conditions, verdict, generation, now);
    status.cluster_id = Some(cluster_id.to_owned());
    if let Some(mut schemas) = schemas {
        schemas.retain(|id| id.len() <= SHOWN_LENGTH);
        schemas.truncate(SHOWN_SCHEMAS);
        status.schemas = schemas;
    }
    status
}
