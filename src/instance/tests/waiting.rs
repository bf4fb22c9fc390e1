//! What outlives a change of an instance's resource.

use std::collections::HashSet;

use crate::base::namespaced_name::NamespacedName;
use crate::instance::{handle::Shared, waiting::Waiting};

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
