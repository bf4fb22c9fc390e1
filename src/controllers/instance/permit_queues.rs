//! The turns that identities of an instance take where the server has a password to hash.

use std::sync::Arc;

use super::controller::Controller;
use crate::base::flow::permit_queue::PermitQueue;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::instance::Handle;

/// How many requests at the same time one instance is asked for that have a password hashed. On two cores a change takes
/// what a lone one takes with two in flight, 1.5 times that with three (`make bench-passwords`): more take longer
/// without more of them being done, and what users change while one is under way is lost.
const HASHING: usize = 2;

/// One in so many reconciles at identities may be at a create that has a password hashed, for each instance. Two
/// batches that are under way, and the next two, are fewer: the server hashes so slowly that they carry some eight
/// each.
const CREATING: usize = 4;

/// [`Handle::hashing`] and [`Handle::creating`]: those that there are, or new ones. Others wait for the place that is kept for
/// whoever is called, so that it goes before everybody else.
pub fn of(
    kept: Option<&Handle>,
    controller: &Controller,
) -> (Arc<PermitQueue<NamespacedName>>, Arc<PermitQueue<NamespacedName>>) {
    if let Some(handle) = kept {
        return (Arc::clone(&handle.hashing), Arc::clone(&handle.creating));
    }
    let permits = |at_once| {
        let (queues, tasks) = (controller.queues.clone(), controller.tasks.clone());
        let call = move |key: &NamespacedName| queues.enqueue_identities([key.clone()], Priority::Person);
        Arc::new(PermitQueue::new(at_once, call, move |waits| drop(tasks.spawn("turns at hashing", waits))))
    };
    (permits(HASHING), permits((controller.max_concurrent_reconciles / CREATING).max(1)))
}
