//! The mark: read tolerantly, never guessed, and rewritten without losing what a newer version put there.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, mark, mark_json};
use crate::identity::mark::{Found, Mark};

#[test]
fn a_claimants_mark_has_every_field_where_it_belongs() {
    let written = claimant().mark(vec!["/traits/mail".into()], None).to_value();
    assert_eq!(written, mark_json(&json!({"ownedPaths": ["/traits/mail"]})));
}

#[test]
fn a_mark_reads_back_as_it_was_written() {
    let written = claimant().mark(vec!["/traits/mail".into()], None);
    assert_eq!(Mark::read(&json!({GROUP: written.to_value(), "other": 1}).into()), Found::Mark(Box::new(written)));
}

#[test]
fn what_a_newer_version_wrote_survives_a_rewrite() {
    let newer = json!({"password": {"digest": "d", "keyID": "k"}, "adopted": true, "ownedPaths": ["/old"]});
    let rewritten = claimant().mark(vec!["/new".into()], Some(&mark(&newer))).to_value();
    let expected = json!({"password": {"digest": "d", "keyID": "k"}, "adopted": true, "ownedPaths": ["/new"]});
    assert_eq!(rewritten, mark_json(&expected));
}

#[test]
fn what_a_former_owner_wrote_is_overwritten_by_the_claimants_own() {
    let former = mark(&json!({"uid": "uid-of-former", "cluster": "uid-of-burnt-cluster", "namespaceUID": "former"}));
    assert_eq!(claimant().mark(Vec::new(), Some(&former)).to_value(), mark_json(&json!({})));
}

#[rstest]
#[case::nothing_at_all(json!(null))]
#[case::an_empty_object(json!({}))]
#[case::the_keys_of_others(json!({"kratos-operator": {"owner": "x"}}))]
#[case::a_null(json!({GROUP: null}))]
fn no_mark_is_no_mark(#[case] metadata_admin: Value) {
    assert_eq!(Mark::read(&metadata_admin.into()), Found::Nothing);
}

#[rstest]
#[case::a_text(json!("text"))]
#[case::a_list(json!([{GROUP: mark_json(&json!({}))}]))]
#[case::a_number(json!(0))]
#[case::a_flag(json!(false))]
fn no_mark_fits_into_what_is_no_object(#[case] metadata_admin: Value) {
    assert_eq!(Mark::read(&metadata_admin.into()), Found::NoObject);
}

#[rstest]
#[case::an_empty_one(json!({}))]
#[case::a_text(json!("production"))]
#[case::a_list(json!([]))]
#[case::an_owner_that_is_no_text(mark_json(&json!({"owner": 7})))]
#[case::no_owner(mark_json(&json!({"owner": null})))]
#[case::no_cluster(mark_json(&json!({"cluster": null})))]
#[case::no_namespace(mark_json(&json!({"namespace": null})))]
#[case::no_namespace_uid(mark_json(&json!({"namespaceUID": null})))]
#[case::no_name(mark_json(&json!({"name": null})))]
#[case::no_uid(mark_json(&json!({"uid": null})))]
#[case::paths_that_are_no_list(mark_json(&json!({"ownedPaths": "/traits"})))]
#[case::paths_that_are_no_texts(mark_json(&json!({"ownedPaths": [1]})))]
fn what_stands_in_its_place_is_unreadable(#[case] found: Value) {
    assert_eq!(Mark::read(&json!({ GROUP: found }).into()), Found::Unreadable);
}

#[test]
fn owned_paths_may_be_missing() {
    assert_eq!(mark(&json!({"ownedPaths": null})).owned_paths, Vec::<String>::new());
}
