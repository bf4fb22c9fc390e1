//! What a process knows of each resource.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::engine::identity::memory::{Creators, Memory, Ours};
use crate::identity::requested_identifiers::RequestedIdentifiers;
use crate::identity::tests::builders::{mark, shapes};

#[test]
fn a_resource_is_known_from_the_first_time_it_is_recalled() {
    let memory = Memory::default();
    let before = Instant::now();
    let first = memory.recall("uid-of-ada").first_seen;
    assert!(first >= before);
    assert_eq!(memory.recall("uid-of-ada").first_seen, first);
    memory.forget("uid-of-ada");
    std::thread::sleep(Duration::from_millis(2));
    assert!(memory.recall("uid-of-ada").first_seen > first, "as if never seen");
}

#[test]
fn what_is_noted_of_one_resource_says_nothing_of_another() {
    let memory = Memory::default();
    memory.update("uid-of-ada", |ada| {
        ada.ours = Some(Arc::new(Ours::new("id-of-ada", &mark(&json!({})))));
        ada.failures += 1;
    });
    let (ada, grace) = (memory.recall("uid-of-ada"), memory.recall("uid-of-grace"));
    assert_eq!((ada.ours, ada.failures), (Some(Arc::new(Ours::new("id-of-ada", &mark(&json!({}))))), 1));
    assert_eq!((grace.ours, grace.failures), (None, 0));
}

#[test]
fn what_was_recalled_is_a_copy() {
    let memory = Memory::default();
    memory.recall("uid-of-ada").failures = 7;
    assert_eq!(memory.recall("uid-of-ada").failures, 0);
}

#[test]
fn a_create_of_another_process_may_be_under_way_as_long_as_nothing_rules_it_out() {
    let memory = Memory::default();
    let since = || memory.recall("uid-of-ada").anothers_create_since();
    memory.see("uid-of-ada", false);
    assert_eq!(since(), None, "without a finalizer nobody has created anything");
    let before = Instant::now();
    memory.see("uid-of-ada", true);
    let finalizer_seen = since().expect("another process wrote the finalizer, and may create");
    assert!(finalizer_seen >= before, "it counts from when the finalizer was seen, not the resource");
    memory.see("uid-of-ada", true);
    assert_eq!(since(), Some(finalizer_seen), "and from the first time");
    memory.update("uid-of-ada", |ada| ada.creators = Creators::Us);
    assert_eq!(since(), None, "no other process can have");
}

#[test]
fn of_one_that_was_born_to_this_process_nobody_else_has_a_create_under_way_until_its_finalizer_is_gone() {
    let memory = Memory::default();
    let since = || memory.recall("uid-of-ada").anothers_create_since();
    memory.born("uid-of-ada");
    memory.see("uid-of-ada", true);
    assert_eq!(since(), None);
    memory.see("uid-of-ada", false);
    memory.see("uid-of-ada", true);
    assert!(since().is_some(), "whoever wrote it again may create");

    memory.born("uid-of-grace");
    memory.leave("uid-of-grace");
    memory.see("uid-of-grace", true);
    assert!(memory.recall("uid-of-grace").anothers_create_since().is_some(), "it was another operator's meanwhile");
}

#[test]
fn one_is_untouched_from_its_birth_until_something_is_done_for_it() {
    let memory = Memory::default();
    assert!(!memory.is_untouched("uid-of-ada"), "never seen");
    memory.see("uid-of-ada", true);
    assert!(!memory.is_untouched("uid-of-ada"), "another process may have done anything");
    memory.born("uid-of-grace");
    memory.see("uid-of-grace", true);
    assert!(memory.is_untouched("uid-of-grace"));
    memory.hold("uid-of-grace");
    assert!(!memory.is_untouched("uid-of-grace"));
    assert_eq!(memory.recall("uid-of-grace").anothers_create_since(), None);
    memory.hold("uid-of-ada");
    assert!(memory.recall("uid-of-ada").anothers_create_since().is_some(), "what another one may have sent stays open");

    memory.born("uid-of-alan");
    memory.leave("uid-of-alan");
    assert!(!memory.is_untouched("uid-of-alan"), "it is another operator's");
    memory.born("uid-of-mary");
    memory.see("uid-of-mary", false);
    assert!(!memory.is_untouched("uid-of-mary"), "its finalizer was taken away");
}

#[test]
fn of_a_create_without_an_answer_is_known_what_it_asked_for_and_until_when_it_counts() {
    let memory = Memory::default();
    let asked = |email: &str| RequestedIdentifiers::new(shapes("email").first(), &json!({ "email": email }));
    let unanswered = || memory.recall("uid-of-ada").unanswered;
    let first = Instant::now();
    let later = first + Duration::from_secs(5);
    memory.update("uid-of-ada", |ada| ada.is_unanswered(asked("ada@a.example"), first));
    memory.update("uid-of-ada", |ada| ada.is_unanswered(asked("ada@b.example"), first));
    memory.update("uid-of-ada", |ada| ada.is_unanswered(asked("ada@a.example"), later));
    let found: Vec<_> = unanswered().into_iter().map(|it| (it.asked, it.until)).collect();
    assert_eq!(found, [(asked("ada@b.example"), first), (asked("ada@a.example"), later)]);
    assert!(!format!("{:?}", memory.recall("uid-of-ada")).contains("example"), "addresses show nowhere");
    memory.leave("uid-of-ada");
    memory.see("uid-of-ada", true);
    assert!(unanswered().is_empty(), "another operator may have sent anything meanwhile");
}

#[test]
fn an_identity_is_gone_since_it_was_first_missed_until_a_later_listing_shows_it() {
    let memory = Memory::default();
    let since = || memory.recall("uid-of-ada").gone_since;
    let begun = Instant::now();
    let later = begun + Duration::from_secs(5);
    memory.listed("uid-of-ada", begun, true);
    assert_eq!(since(), Some(begun));
    memory.listed("uid-of-ada", later, true);
    assert_eq!(since(), Some(begun), "the first time counts");
    memory.listed("uid-of-ada", begun, false);
    assert_eq!(since(), Some(begun), "a listing that began no later may have seen it before it went");
    memory.listed("uid-of-ada", later, false);
    assert_eq!(since(), None);
}

#[test]
fn what_was_another_operators_meanwhile_is_as_if_never_seen_whatever_a_look_under_way_noted() {
    let memory = Memory::default();
    let since = || memory.recall("uid-of-ada").anothers_create_since();
    memory.leave("uid-of-ada");
    memory.see("uid-of-ada", false);
    memory.update("uid-of-ada", |ada| ada.creators = Creators::Us);
    memory.leave("uid-of-ada");
    // A reconcile that began before ends.
    memory.update("uid-of-ada", |ada| ada.ours = Some(Arc::new(Ours::new("id-of-ada", &mark(&json!({}))))));
    assert_eq!(since(), None);
    memory.see("uid-of-ada", true);
    assert!(since().is_some(), "the other operator may have a create under way");
    assert_eq!(memory.recall("uid-of-ada").ours, None);
    let first = since();
    memory.see("uid-of-ada", true);
    assert_eq!(since(), first, "once");
    memory.leave_all();
    std::thread::sleep(Duration::from_millis(2));
    memory.see("uid-of-ada", true);
    assert!(since() > first, "nobody saw whose it was");
}
