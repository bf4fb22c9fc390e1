//! Whose identity is it? Every variant, and every field swapped alone.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, identity, mark, mark_json};
use crate::identity::claim::Claim;

/// What the mark, with `changes`, says to the claimant.
fn claim(changes: &Value) -> Claim {
    claimant().claim(&identity(&json!({"metadata_admin": {GROUP: mark_json(changes)}})))
}

fn foreign() -> Claim {
    Claim::Foreign { neighbour: None }
}

fn neighbour(name: &str) -> Claim {
    Claim::Foreign { neighbour: Some(name.into()) }
}

#[test]
fn a_mark_that_names_the_resource_is_ours_with_all_that_it_holds() {
    let changes = json!({"ownedPaths": ["/traits/mail"], "adopted": true});
    assert_eq!(claim(&changes), Claim::Ours(Box::new(mark(&changes))));
}

#[rstest]
#[case::another_owner(json!({"owner": "staging"}), foreign())]
#[case::another_cluster(json!({"cluster": "uid-of-other-cluster"}), foreign())]
#[case::another_uid_is_a_former_resource(json!({"uid": "uid-of-former"}), former(&json!({"uid": "uid-of-former"})))]
#[case::another_owner_and_uid(json!({"owner": "staging", "uid": "uid-of-former"}), foreign())]
#[case::another_cluster_and_uid(json!({"cluster": "uid-of-other-cluster", "uid": "uid-of-former"}), foreign())]
#[case::another_namespace_and_uid(json!({"namespace": "team-b", "uid": "uid-of-former"}), foreign())]
#[case::a_namespace_made_again(json!({"namespaceUID": "uid-of-former-team-a", "uid": "uid-of-former"}), foreign())]
#[case::a_neighbour(json!({"name": "grace", "uid": "uid-of-grace"}), neighbour("grace"))]
#[case::a_neighbour_of_another_owner(json!({"owner": "staging", "name": "grace", "uid": "uid-of-grace"}), foreign())]
#[case::a_neighbour_of_a_former_namespace(json!({"namespaceUID": "uid-of-former-team-a", "name": "grace", "uid": "uid-of-grace"}), foreign())]
#[case::a_name_in_another_namespace(json!({"namespace": "team-b", "namespaceUID": "uid-of-team-b", "name": "grace", "uid": "uid-of-grace"}), foreign())]
fn each_field_counts(#[case] changes: Value, #[case] expected: Claim) {
    assert_eq!(claim(&changes), expected);
}

fn former(changes: &Value) -> Claim {
    Claim::Former(Box::new(mark(changes)))
}

#[rstest]
#[case::from_a_cluster_that_is_gone(json!({}), true)]
#[case::whatever_its_namespaces_uid_was(json!({"namespaceUID": "uid-of-team-a-there"}), true)]
#[case::not_of_another_name(json!({"name": "grace"}), false)]
#[case::not_of_another_namespace(json!({"namespace": "team-b"}), false)]
#[case::not_of_another_owner(json!({"owner": "staging"}), false)]
#[case::not_from_a_cluster_that_nobody_gave_up(json!({"cluster": "uid-of-other-cluster"}), false)]
fn identities_of_a_cluster_that_is_gone_are_taken_back(#[case] changes: Value, #[case] is_former: bool) {
    let mut all = json!({"cluster": "uid-of-burnt-cluster", "uid": "uid-of-former"});
    json_patch::merge(&mut all, &changes);
    assert_eq!(claim(&all), if is_former { former(&all) } else { foreign() });
}

#[rstest]
#[case::no_metadata(json!(null), Claim::Unmarked)]
#[case::no_mark(json!({"costCenter": "42"}), Claim::Unmarked)]
#[case::no_object(json!("text"), Claim::Unmarkable)]
#[case::unreadable(json!({GROUP: {"owner": "production"}}), foreign())]
fn without_a_mark_it_is_nobodys(#[case] metadata_admin: Value, #[case] expected: Claim) {
    let mut identity = identity(&json!({}));
    identity.metadata_admin = metadata_admin.into();
    assert_eq!(claimant().claim(&identity), expected);
}

#[rstest]
#[case::which_it_was_restored_from(json!({}), true)]
#[case::not_of_another_name(json!({"name": "grace"}), false)]
#[case::not_of_another_namespace(json!({"namespace": "team-b"}), false)]
#[case::not_of_another_owner(json!({"owner": "staging"}), false)]
#[case::not_of_another_cluster(json!({"cluster": "uid-of-other-cluster"}), false)]
fn identities_of_a_former_namespace_are_taken_back(#[case] changes: Value, #[case] is_former: bool) {
    let mut all = json!({"namespaceUID": "uid-of-lost-team-a", "uid": "uid-of-former"});
    json_patch::merge(&mut all, &changes);
    assert_eq!(claim(&all), if is_former { former(&all) } else { foreign() });
}

#[test]
fn whose_grace_period_runs_is_told_within_the_namespace() {
    let until = "2026-12-31T00:00:00Z";
    let changes = json!({"name": "grace", "uid": "uid-of-grace", "deleteAfter": until});
    let until = until.parse().expect("a time");
    assert_eq!(claim(&changes), Claim::Leaving { neighbour: "grace".into(), until });
    for elsewhere in [json!({"namespaceUID": "uid-of-other-team-a"}), json!({"cluster": "uid-of-other-cluster"})] {
        let mut changes = changes.clone();
        json_patch::merge(&mut changes, &elsewhere);
        assert_eq!(claim(&changes), foreign());
    }
}

#[test]
fn whoever_was_replaced_is_told_by_whom() {
    let changes = json!({"name": "ada-l", "uid": "uid-of-ada-l", "replaced": "uid-of-ada"});
    assert_eq!(claim(&changes), Claim::Replaced { by: "ada-l".into() });
    let mut elsewhere = changes.clone();
    elsewhere["namespaceUID"] = json!("uid-of-other-team-a");
    assert_eq!(claim(&elsewhere), foreign());
}

#[rstest]
#[case::the_very_one(json!({}), Some("uid-of-old"), true)]
#[case::one_that_is_gone(json!({}), None, true)]
#[case::not_another_one_of_that_name(json!({}), Some("uid-of-older"), false)]
#[case::not_of_another_name(json!({"name": "grace"}), None, false)]
#[case::not_of_another_namespace(json!({"namespace": "team-b"}), None, false)]
#[case::not_of_a_namespace_made_again(json!({"namespaceUID": "uid-of-former-team-a"}), None, false)]
#[case::of_one_that_was_restored(json!({"namespaceUID": "uid-of-lost-team-a"}), None, true)]
#[case::not_of_another_owner(json!({"owner": "staging"}), None, false)]
fn what_is_replaced_is_its_own_namespaces(#[case] changes: Value, #[case] uid: Option<&str>, #[case] expected: bool) {
    let mut all = json!({"name": "old", "uid": "uid-of-old"});
    json_patch::merge(&mut all, &changes);
    assert_eq!(claimant().may_replace(&mark(&all), "old", uid), expected);
}
