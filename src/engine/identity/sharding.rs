//! With several operators, only the one that a resource belongs to creates for it, although labels may change at any moment and
//! the watch shows that later. Does nothing if one operator has all resources.
//!
//! The creator has shown just before that the resource is still its own (by its guarded write of the finalizer, or by a live
//! read), and sends its request within a bounded time. An operator that takes a resource over creates only after that time, and
//! the time of an answer, have passed since it saw the resource.

use std::time::{Duration, Instant};

use super::inputs::Inputs;
use crate::engine::cluster::Terms;
use crate::engine::failure::ReconcileError;
use crate::identity::progress;

/// For how many time-outs a create may wait for its answer, and so to be sent.
const TIMEOUTS: u32 = 2;

/// How long after it was shown whose a resource is a create may still be sent.
pub fn patience(request_timeout: Duration, terms: &Terms) -> Duration {
    if terms.is_shared { request_timeout * TIMEOUTS } else { Duration::ZERO }
}

/// Applies a plan that creates; the resource was this operator's at `held`. One that isn't answered in time is no longer
/// waited for: what isn't sent by then won't be, and what is may have been carried out.
pub async fn in_time<T>(
    (inputs, held): (&Inputs, Instant),
    applying: impl Future<Output = T>,
    terms: &Terms,
) -> Result<T, ReconcileError> {
    if !terms.is_shared {
        return Ok(applying.await);
    }
    let until = held + patience(inputs.instance.settings.connection.request_timeout, terms);
    // Whoever is late sends nothing at all.
    if Instant::now() < until
        && let Ok(applied) = tokio::time::timeout_at(until.into(), applying).await
    {
        return Ok(applied);
    }
    tracing::info!("the resource may be another operator's by now: its create is given up");
    Err(ReconcileError::Retry { condition: progress::late(), after: None })
}
