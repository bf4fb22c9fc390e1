//! What the watches bring, and which resources are enqueued because of it.

pub mod cache_sync;
pub mod cluster_id;
pub mod merged_watch;
pub mod namespaces;
pub mod reconciler;
pub mod watches;
