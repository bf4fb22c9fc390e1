//! What a deleted resource does to its identities, by policy.

use rstest::rstest;
use serde_json::json;

use super::builders::{GROUP, claimant, identity, mark, mark_json, marked, now};
use crate::api::lifecycle::DeletionPolicy;
use crate::api::{ReadyCondition, Reason};
use crate::identity::plan::{Leaving, Step, plan_deletion, plan_keeping};
use crate::kratos::{Identity, PatchOperation};

fn two() -> [Identity; 2] {
    [identity(&json!({"id": "active-one"})), identity(&json!({"id": "inactive-one", "state": "inactive"}))]
}

fn plan(policy: DeletionPolicy, identities: &[Identity]) -> Vec<Step> {
    let claimant = claimant();
    let leaving = Leaving { claimant: &claimant, policy, delete_after: None, known: None };
    plan_deletion(leaving, identities).expect("nothing to refuse")
}

/// With a grace period that ends at [`now`].
fn postponed(identities: &[Identity]) -> Result<Vec<Step>, ReadyCondition> {
    let (claimant, known) = (claimant(), mark(&json!({"ownedPaths": ["/traits/known"]})));
    let policy = DeletionPolicy::Delete;
    let leaving = Leaving { claimant: &claimant, policy, delete_after: Some(now()), known: Some(&known) };
    plan_deletion(leaving, identities)
}

fn replace(path: &str, value: serde_json::Value) -> PatchOperation {
    PatchOperation::Replace { path: path.into(), value }
}

const MARK: &str = "/metadata_admin/kratos-operator.dev";

#[rstest]
#[case::active("active", vec![replace("/state", json!("inactive"))])]
#[case::inactive("inactive", vec![])]
fn a_grace_period_deactivates_and_notes_its_end_and_the_state_in_one_write(
    #[case] state: &str,
    #[case] mut operations: Vec<PatchOperation>,
) {
    let identity = marked(&json!({ "state": state }), &["/traits/mail"]);
    let note = json!({"ownedPaths": ["/traits/mail"], "deleteAfter": "2026-12-24T18:00:00Z", "stateBefore": state});
    operations.push(replace(MARK, mark_json(&note)));
    let id = || "id-of-ada".to_owned();
    let expected =
        vec![Step::Patch { id: id(), operations }, Step::EndSessions { id: id() }, Step::ConfirmInactive { id: id() }];
    assert_eq!(postponed(&[identity]), Ok(expected));
}

#[test]
fn a_grace_period_that_runs_already_isnt_prolonged_and_one_is_noted_although_the_mark_was_wiped() {
    let noted = json!({"deleteAfter": "2026-12-01T00:00:00Z", "stateBefore": "active"});
    let running = identity(&json!({"state": "inactive", "metadata_admin": {GROUP: mark_json(&noted)}}));
    let id = || "id-of-ada".to_owned();
    assert_eq!(postponed(&[running]), Ok(vec![Step::EndSessions { id: id() }, Step::ConfirmInactive { id: id() }]));
    let wiped = postponed(&[identity(&json!({"state": "inactive"}))]).unwrap();
    let note = json!({
        "ownedPaths": ["/traits/known"], "deleteAfter": "2026-12-24T18:00:00Z", "stateBefore": "inactive",
    });
    assert_eq!(wiped[0], Step::Patch { id: id(), operations: vec![replace(MARK, mark_json(&note))] });
}

#[test]
fn where_no_mark_fits_in_there_is_no_grace_period_and_nothing_is_deleted() {
    let refused = postponed(&[identity(&json!({"metadata_admin": ["list"]}))]).unwrap_err();
    assert_eq!(refused.reason, Reason::AdoptionRefused);
}

#[test]
fn what_is_kept_after_all_is_as_it_was_before_its_grace_period() {
    let noted = json!({"deleteAfter": "2026-12-24T18:00:00Z", "stateBefore": "active"});
    let running = identity(&json!({"state": "inactive", "metadata_admin": {GROUP: mark_json(&noted)}}));
    let id = || "id-of-ada".to_owned();
    let operations = vec![replace("/state", json!("active")), replace(MARK, mark_json(&json!({})))];
    let expected = [Step::EndSessions { id: id() }, Step::Patch { id: id(), operations }];
    assert_eq!(plan_keeping(&[running, marked(&json!({"id": "no-such-period"}), &[])]), expected);
}

#[test]
fn delete_deletes_each() {
    let steps = plan(DeletionPolicy::Delete, &two());
    assert_eq!(steps, [Step::Delete { id: "active-one".into() }, Step::Delete { id: "inactive-one".into() }]);
}

#[test]
fn orphan_leaves_each_as_it_is() {
    assert_eq!(plan(DeletionPolicy::Orphan, &two()), []);
}

#[test]
fn deactivate_changes_the_state_ends_the_sessions_and_looks_back() {
    let path = "/state".to_owned();
    let expected = [
        Step::Patch {
            id: "active-one".into(),
            operations: vec![PatchOperation::Replace { path, value: json!("inactive") }],
        },
        Step::EndSessions { id: "active-one".into() },
        Step::ConfirmInactive { id: "active-one".into() },
        Step::EndSessions { id: "inactive-one".into() },
        Step::ConfirmInactive { id: "inactive-one".into() },
    ];
    assert_eq!(plan(DeletionPolicy::Deactivate, &two()), expected);
}

#[rstest]
#[case(DeletionPolicy::Delete)]
#[case(DeletionPolicy::Orphan)]
#[case(DeletionPolicy::Deactivate)]
fn where_there_is_none_nothing_is_done(#[case] policy: DeletionPolicy) {
    assert_eq!(plan(policy, &[]), []);
}
