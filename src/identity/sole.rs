//! Where several operators share the resources: that only the one to which a resource belongs creates for it, though labels
//! may change at any moment, and the watch shows that later. Does nothing where one operator has them all.
//!
//! Whoever creates has shown just before that the resource is still its own (by its guarded write of the finalizer, or by a
//! live read), and doesn't wait long for its request to be sent. Whoever takes a resource over creates only after that
//! time, and the time of an answer, have passed since it saw the resource.

use std::time::{Duration, Instant};

use kube::{Api, Resource, ResourceExt};

use super::failure::Halt;
use super::inputs::Inputs;
use super::memory::Creators;
use super::progress;
use super::record::{api, uid};
use crate::api::identity::KratosIdentity;
use crate::context::{Context, IdentityObject};

/// For how many time-outs a create may wait for its answer, and so to be sent.
const TIMEOUTS: u32 = 2;

/// How long after it was shown whose a resource is a create may still be sent.
pub fn patience(request_timeout: Duration, context: &Context) -> Duration {
    if context.leads.is_shared() { request_timeout * TIMEOUTS } else { Duration::ZERO }
}

/// Nothing is created for a resource that is another operator's by now, or gone: a live read. A former leader, which wrote
/// the finalizer, may have seen it go before the watch of this process did.
pub async fn ensure_own(resource: &KratosIdentity, context: &Context) -> Result<(), Halt> {
    let inherited =
        || context.leadership.is_elected() && context.memory.recall(&uid(resource)).creators == Creators::Others;
    if !context.leads.is_shared() && !inherited() {
        return Ok(());
    }
    let api: Api<IdentityObject> = api(resource, context);
    let live = api.get_opt(&resource.name_any()).await?;
    if live.is_some_and(|live| live.meta().uid == resource.meta().uid && context.is_own(&live)) {
        return Ok(());
    }
    let verdict = progress::not_own();
    Err(Halt::Retry { verdict, after: None })
}

/// Applies a plan that creates; the resource was this operator's at `held`. One that isn't answered in time is no longer
/// waited for: what isn't sent by then won't be, and what is may have been carried out.
pub async fn in_time<T>(
    (inputs, held): (&Inputs, Instant),
    applying: impl Future<Output = T>,
    context: &Context,
) -> Result<T, Halt> {
    if !context.leads.is_shared() {
        return Ok(applying.await);
    }
    let until = held + patience(inputs.instance.settings.connection.request_timeout, context);
    // Whoever is late sends nothing at all.
    if Instant::now() < until
        && let Ok(applied) = tokio::time::timeout_at(until.into(), applying).await
    {
        return Ok(applied);
    }
    tracing::info!("the resource may be another operator's by now: its create is given up");
    let verdict = progress::late();
    Err(Halt::Retry { verdict, after: None })
}
