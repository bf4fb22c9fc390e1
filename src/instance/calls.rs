//! Whom an instance enqueues: the resources that wait for it, and itself.

use std::fmt::Debug;

use crate::api::recorded_event::RecordedEvent;
use crate::base::namespaced_name::NamespacedName;

/// What an instance has enqueued.
pub trait Calls: Debug + Send + Sync {
    /// The instance itself: it is to be probed, or its status has something else to say.
    fn instance(&self);

    /// Resources that waited for something that has come.
    fn waiting(&self, resources: Vec<NamespacedName>);

    /// Something happened that nobody but the instance can tell: the resource is gone.
    fn happened(&self, event: RecordedEvent);
}
