//! Has an instance's schemas read whenever that is due, and those looked at that waited for them.

use std::sync::Arc;

use crate::base::place::Place;
use crate::controllers::context::Context;
use crate::instance::Handle;
use crate::instance::handle::Shared;

/// Reads whenever that is due, until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_reading(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    while let Some(handle) = context.registry.current(&place, &shared) {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = read_when_due(&handle, &context) => {}
            () = shared.schemas.changed() => {}
        }
    }
}

async fn read_when_due(handle: &Handle, context: &Context) {
    let schemas = &handle.shared.schemas;
    schemas.due().await;
    // One that is down as a whole is left alone.
    handle.shared.gate.opened().await;
    let is_news = schemas.read(&handle.client).await;
    if is_news {
        if let Some(error) = schemas.failure() {
            tracing::warn!(instance = %handle.place, error, "those that are known go on serving");
        }
        context.pokes.instance(&handle.place);
    }
    // Whoever finds its own still missing is in line again.
    if is_news || schemas.failure().is_none() {
        context.ask_waiting(schemas.waiting.take());
    }
    if is_news {
        context.ask_waiting(schemas.without.take());
    }
}
