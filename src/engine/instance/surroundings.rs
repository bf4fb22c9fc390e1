//! What the engine of instances asks for, as traits: its controller implements them with Kubernetes.

use std::collections::HashMap;
use std::time::Instant;

use futures::future::BoxFuture;

use crate::base::namespaced_name::{KeyHashes, NamespacedName};
use crate::engine::cluster::{Deletions, Others, Terms};
use crate::identity::mark::Mark;
use crate::instance::{Handle, Registry};

/// The resources of an instance, as far as they were seen.
pub trait Residents: Send + Sync {
    /// Returns once all are known.
    fn known(&self) -> BoxFuture<'_, ()>;

    /// One's own.
    fn keys(&self, instance: &NamespacedName) -> KeyHashes;

    /// How many identities differ and are only observed, by the statuses of their resources.
    fn drifted(&self, instance: &NamespacedName) -> u64;

    /// Whether the very resource that a mark names is there, whoever reconciles it.
    fn is_there(&self, mark: &Mark) -> bool;

    /// Whether a mark of this cluster names a namespace that is gone, or was made anew under its name.
    fn is_of_former_namespace(&self, mark: &Mark) -> bool;

    /// The ids that resources have had, before a listing begins, and whose they are.
    fn expected(&self, instance: &Handle) -> HashMap<String, NamespacedName>;

    /// Takes in what a complete listing, begun at `begun`, didn't show of `managed` that were expected. To be called before the
    /// listing counts.
    fn take_census(&self, instance: &Handle, counted: (usize, &HashMap<String, NamespacedName>), begun: Instant);

    /// Enqueues the resources whose identity has changed.
    fn look_at(&self, changed: &KeyHashes);
}

/// Whether this process speaks for an instance.
pub trait Speaks: Send + Sync {
    fn is_leading(&self, instance: &NamespacedName) -> bool;

    /// Returns once it leads.
    fn led<'a>(&'a self, instance: &'a NamespacedName) -> BoxFuture<'a, ()>;

    /// Returns once it may not speak (any more).
    fn lost<'a>(&'a self, instance: &'a NamespacedName) -> BoxFuture<'a, ()>;
}

/// All of it: what goes on beside the reconciles outlives each of them.
pub trait Surroundings: Residents + Speaks + Deletions {
    fn terms(&self) -> &Terms;

    fn registry(&self) -> &Registry;

    fn others(&self) -> &dyn Others;
}
