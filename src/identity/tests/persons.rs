//! Whose is the identity that an earlier resource of the name left, and what a mark notes about that.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, desired, identity, mark_json, now, present, strings};
use crate::identity::digest_key::DigestKey;
use crate::identity::person::{Identifiers, IdentifiersMark, Person};
use crate::identity::plan::{Observed, Step, plan};

fn key(id: &str) -> Arc<DigestKey> {
    Arc::new(DigestKey::new(id, vec![7; 32]))
}

fn asking(identifiers: &[&str]) -> Identifiers {
    Identifiers::new(strings(identifiers), Some(key("k1")))
}

fn noted(identifiers: &[&str], key_id: &str) -> IdentifiersMark {
    Identifiers::new(strings(identifiers), Some(key(key_id))).note(None, "uid-of-former").expect("something to note")
}

#[rstest]
#[case::one_in_common(&["ada@a.example", "+49"], true, &["ada@a.example", "ada@b.example"], Person::Same)]
#[case::none_in_common(&["ada@a.example"], true, &["grace@a.example"], Person::Another)]
#[case::none_of_theirs(&[], true, &["grace@a.example"], Person::Another)]
#[case::none_of_ours(&["ada@a.example"], true, &[], Person::Another)]
#[case::none_at_all_though_there_should_be(&[], true, &[], Person::Another)]
#[case::nothing_to_tell_them_apart(&[], false, &["ada@a.example"], Person::Same)]
fn without_a_note_an_identifier_in_common_tells(
    #[case] theirs: &[&str],
    #[case] may_have_identifiers: bool,
    #[case] ours: &[&str],
    #[case] expected: Person,
) {
    assert_eq!(asking(ours).person(None, &strings(theirs), may_have_identifiers), expected);
}

#[rstest]
#[case::the_same_are_asked_for(&["ada@a.example", "ada"], "k1", Person::Same)]
#[case::others_are(&["ada@a.example"], "k1", Person::Another)]
#[case::with_another_key_nobody_can_tell(&["ada@a.example", "ada"], "k2", Person::Unknown)]
fn whoever_changed_all_of_theirs_is_known_by_what_was_asked_for(
    #[case] was: &[&str],
    #[case] key_id: &str,
    #[case] expected: Person,
) {
    let theirs = strings(&["chosen-herself@a.example"]);
    assert_eq!(asking(&["ada", "ada@a.example"]).person(Some(&noted(was, key_id)), &theirs, true), expected);
}

#[test]
fn one_in_common_needs_no_key_and_none_asked_for_is_nobodys() {
    let theirs = strings(&["ada@a.example"]);
    assert_eq!(asking(&["ada@a.example"]).person(Some(&noted(&["ada"], "k2")), &theirs, true), Person::Same);
    assert_eq!(asking(&[]).person(Some(&noted(&["ada"], "k1")), &theirs, true), Person::Another);
    let keyless = Identifiers::new(strings(&["ada"]), None);
    assert_eq!(keyless.person(Some(&noted(&["ada"], "k1")), &theirs, true), Person::Unknown);
}

#[test]
fn a_note_tells_nothing_and_differs_for_two_resources() {
    let note = noted(&["ada@a.example"], "k1");
    assert!(!format!("{note:?}").contains("ada@"));
    assert!(!format!("{:?}", asking(&["ada@a.example"])).contains("ada@"));
    assert_ne!(asking(&["ada@a.example"]).note(None, "uid-of-other").unwrap().digest, note.digest);
    assert_eq!(Identifiers::new(strings(&["ada"]), None).note(None, "uid"), None);
    assert_eq!(asking(&[]).note(None, "uid"), None);
}

/// What the mark says afterwards, if it is written.
fn written(before: Option<&IdentifiersMark>, wanted: &[&str], changes: &Value) -> Option<Value> {
    let mut spec = json!({"traits": {"email": "ada@a.example"}, "traitsPolicy": "CreateOnly"});
    json_patch::merge(&mut spec, changes);
    let mut desired = desired(&spec);
    desired.identifiers = asking(wanted);
    let mark = mark_json(&json!({ "identifiers": before }));
    let there = json!({"traits": {"email": "hers@a.example"}, "metadata_admin": {GROUP: mark}});
    let plan = plan(&claimant(), &desired, &present(identity(&there)), now());
    let [Step::Patch { operations, .. }] = plan.steps.as_slice() else {
        assert_eq!(plan.steps, []);
        return None;
    };
    let operations = serde_json::to_value(operations).unwrap();
    let mark = operations.as_array().unwrap().iter().find(|it| it["path"] == format!("/metadata_admin/{GROUP}"));
    Some(mark.expect("the mark is written")["value"]["identifiers"].clone())
}

#[test]
fn a_mark_is_written_when_others_are_asked_for_and_gains_a_note_only_with_another_write() {
    let before = noted(&["ada@a.example"], "k1");
    assert_eq!(written(Some(&before), &["ada@a.example"], &json!({})), None);
    let others = written(Some(&before), &["ada@b.example"], &json!({})).expect("a write");
    assert_eq!((&others["salt"], &others["keyID"]), (&json!("uid-of-ada"), &json!("k1")));
    assert_eq!(written(None, &["ada@a.example"], &json!({})), None, "nobody is written for the note alone");
    let foreign = noted(&["ada@a.example"], "k2");
    assert_eq!(written(Some(&foreign), &["ada@a.example"], &json!({})), None);
    for before in [None, Some(&foreign)] {
        let gained = written(before, &["ada@a.example"], &json!({"metadataPublic": {"plan": "gold"}}));
        assert_eq!(gained.expect("a write")["keyID"], "k1");
    }
}

#[test]
fn creation_notes_what_is_asked_for() {
    let mut desired = desired(&json!({"traits": {"email": "ada@a.example"}}));
    desired.identifiers = asking(&["ada@a.example"]);
    let plan = plan(&claimant(), &desired, &Observed::Absent, now());
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let mark = &create.metadata_admin.as_ref().unwrap()[GROUP];
    assert_eq!((&mark["identifiers"]["salt"], mark["identifiers"]["digest"].is_string()), (&json!("uid-of-ada"), true));
}
