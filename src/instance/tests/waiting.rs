//! What outlives a change of an instance's resource.

use std::collections::HashSet;
use std::task::Poll;

use crate::api::{ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::instance::{Entry, Registry, handle::Shared, waiting::Waiting};

#[test]
fn whoever_waits_is_taken_once() {
    let (ada, grace) = (NamespacedName::new("team-a", "ada"), NamespacedName::new("team-a", "grace"));
    let waiting = Waiting::default();
    waiting.add(&ada);
    waiting.add(&ada);
    waiting.add(&grace);
    waiting.remove(&grace);
    assert_eq!(waiting.take(), HashSet::from([ada]));
    assert_eq!(waiting.take(), HashSet::new());
}

#[test]
fn what_a_server_lacks_is_forgotten_with_it() {
    let shared = Shared::default();
    shared.lacks("external_id");
    assert!(shared.is_lacking("external_id") && !shared.is_lacking("organization_id"));
    shared.may_be_another_server();
    assert!(!shared.is_lacking("external_id"));
}

#[tokio::test]
async fn identities_wait_until_each_instance_was_reconciled() {
    let (main, other) = (NamespacedName::new("identity", "main"), NamespacedName::new("identity", "other"));
    let registry = Registry::default();
    let both = [main.clone(), other.clone()];
    let mut answering = std::pin::pin!(registry.answering(&both));
    assert_eq!(futures::poll!(&mut answering), Poll::Pending);
    registry.set(other, Entry::Unusable(ReadyCondition::new(Reason::InvalidSpec, "no")));
    assert_eq!(futures::poll!(&mut answering), Poll::Pending, "one is still to come");
    registry.set(main, Entry::Unusable(ReadyCondition::new(Reason::InvalidSpec, "no")));
    assert_eq!(futures::poll!(&mut answering), Poll::Ready(()));
}
