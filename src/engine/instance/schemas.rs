//! Reads an instance's schemas whenever that is due (into `instance/schemas.rs`), and enqueues the resources that waited for them.

use std::sync::Arc;

use super::surroundings::Surroundings;
use crate::base::namespaced_name::NamespacedName;
use crate::instance::Handle;
use crate::instance::handle::Shared;

/// Reads whenever that is due, until the instance is gone, or isn't the one any more that `shared` belongs to.
pub async fn keep_reading(key: NamespacedName, shared: Arc<Shared>, around: Arc<dyn Surroundings>) {
    while let Some(handle) = around.registry().current(&key, &shared) {
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = read_when_due(&handle) => {}
            () = shared.schemas.changed() => {}
        }
    }
}

async fn read_when_due(handle: &Handle) {
    let schemas = &handle.shared.schemas;
    schemas.due().await;
    // One that is down as a whole is left alone.
    handle.shared.circuit_breaker.recovered().await;
    let is_news = schemas.read(&handle.client).await;
    if is_news {
        if let Some(error) = schemas.failure() {
            tracing::warn!(instance = %handle.key, error, "those that are known go on serving");
        }
        handle.calls.instance();
    }
    // Whoever finds its own still missing is in line again.
    if is_news || schemas.failure().is_none() {
        handle.calls.waiting(schemas.waiting.take().into_iter().collect());
    }
    if is_news {
        handle.calls.waiting(schemas.without.take().into_iter().collect());
    }
}
