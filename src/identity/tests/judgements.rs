//! What an identity that was found means for a resource.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, identity, mark, mark_json};
use crate::api::{ReadyCondition, Reason};
use crate::identity::claim::Claimant;
use crate::identity::conflict::conflict;
use crate::identity::plan::{Present, judge};

/// The judgement on an identity with this `metadata_admin`.
fn judged(metadata_admin: Value, restorable: bool, is_same_person: bool) -> Result<Option<Present>, ReadyCondition> {
    let mut identity = identity(&json!({}));
    identity.metadata_admin = metadata_admin.into();
    judge(&claimant(), identity, restorable, is_same_person)
}

fn with_mark(changes: &Value) -> Value {
    json!({GROUP: mark_json(changes)})
}

#[rstest]
fn its_own_is_its_own(#[values(true, false)] restorable: bool, #[values(true, false)] is_same_person: bool) {
    let changes = json!({"ownedPaths": ["/traits/mail"]});
    let present = judged(with_mark(&changes), restorable, is_same_person).unwrap().unwrap();
    assert_eq!((present.identity.id.as_str(), present.mark), ("id-of-ada", Some(mark(&changes))));
    assert!(!present.has_sessions);
}

#[test]
fn a_former_resources_is_taken_back_for_the_same_person() {
    let former = json!({"uid": "uid-of-former", "ownedPaths": ["/traits/mail"]});
    let present = judged(with_mark(&former), false, true).unwrap().unwrap();
    assert_eq!(present.mark, Some(mark(&former)), "its owned paths are inherited");
}

#[rstest]
fn a_former_resources_is_as_good_as_absent_for_a_new_person(#[values(true, false)] restorable: bool) {
    assert_eq!(judged(with_mark(&json!({"uid": "uid-of-former"})), restorable, false), Ok(None));
}

#[test]
fn a_wiped_mark_is_restored_where_that_is_allowed() {
    let present = judged(json!({"u": 1}), true, false).unwrap().unwrap();
    assert_eq!(present.mark, None);
}

#[rstest]
#[case::a_wiped_mark(json!(null), false)]
#[case::no_object(json!("text"), false)]
#[case::unreadable(json!({GROUP: "text"}), true)]
#[case::another_owners(with_mark(&json!({"owner": "staging"})), true)]
#[case::another_clusters(with_mark(&json!({"cluster": "uid-of-other-cluster"})), true)]
#[case::of_another_namespace(with_mark(&json!({"namespace": "team-b", "namespaceUID": "uid-of-team-b", "name": "grace", "uid": "uid-of-grace"})), true)]
fn whatever_else_it_is_it_is_a_conflict_in_the_same_words(#[case] metadata_admin: Value, #[case] restorable: bool) {
    let condition = judged(metadata_admin, restorable, true).unwrap_err();
    assert_eq!(condition, conflict(None));
    assert_eq!(condition.reason, Reason::IdentityConflict);
    for told in ["grace", "team-b", "staging", "uid-of"] {
        assert!(!condition.message.contains(told), "{}", condition.message);
    }
}

#[test]
fn a_neighbour_that_was_deleted_is_named_with_the_day_until_which_its_identity_is_kept() {
    let leaving = json!({"name": "grace", "uid": "uid-of-grace", "deleteAfter": "2026-12-31T00:00:00Z"});
    let condition = judged(with_mark(&leaving), true, true).unwrap_err();
    assert_eq!(condition.reason, Reason::IdentityConflict);
    for told in ["grace", "was deleted", "2026-12-31T00:00:00Z", "wait"] {
        assert!(condition.message.contains(told), "{}", condition.message);
    }
}

#[test]
fn beside_the_instance_what_nobody_manages_may_be_adopted() {
    let claimant = Claimant { beside_instance: true, ..claimant() };
    let condition = judge(&claimant, identity(&json!({})), false, false).unwrap_err();
    assert_eq!(condition.reason, Reason::IdentityConflict);
    assert!(condition.message.contains("nobody manages it") && condition.message.contains("spec.adoption"));
    let mut others = identity(&json!({}));
    others.metadata_admin = with_mark(&json!({"owner": "staging"})).into();
    assert_eq!(judge(&claimant, others, false, false), Err(conflict(None)), "somebody's is nobody's to adopt");
}

#[test]
fn a_neighbour_is_named() {
    let condition = judged(with_mark(&json!({"name": "grace", "uid": "uid-of-grace"})), true, true).unwrap_err();
    assert_eq!(condition, conflict(Some("grace")));
    assert!(condition.message.contains("KratosIdentity grace"), "{}", condition.message);
}

#[test]
fn an_identity_that_no_mark_fits_into_is_refused() {
    let condition = judged(json!(["S3CRET"]), true, true).unwrap_err();
    assert_eq!(condition.reason, Reason::AdoptionRefused);
    assert!(
        condition.message.contains("metadata_admin") && !condition.message.contains("S3CRET"),
        "{}",
        condition.message
    );
}
