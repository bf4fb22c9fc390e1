//! The priority of a `KratosSessionPolicy` that a list shows: whether somebody waits for it. Pure.

use crate::api::session_policy::KratosSessionPolicy;
use crate::controllers::queue::Priority;
use crate::engine::policy::inputs::revokes_all;

/// How urgent a policy is that a list shows: nobody saw what happened to it.
pub fn of_listed(policy: &KratosSessionPolicy) -> Priority {
    let status = policy.status.as_ref();
    let is_seen = status.and_then(|status| status.observed_generation) == policy.metadata.generation;
    if is_seen && !revokes_all(policy) { Priority::Routine } else { Priority::Person }
}
