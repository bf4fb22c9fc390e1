//! What a deleted resource does to its identities, by policy.

use rstest::rstest;
use serde_json::json;

use super::builders::identity;
use crate::api::lifecycle::DeletionPolicy;
use crate::identity::plan::{Step, plan_deletion};
use crate::kratos::{Identity, PatchOperation};

fn two() -> [Identity; 2] {
    [identity(&json!({"id": "active-one"})), identity(&json!({"id": "inactive-one", "state": "inactive"}))]
}

#[test]
fn delete_deletes_each() {
    let steps = plan_deletion(DeletionPolicy::Delete, &two());
    assert_eq!(steps, [Step::Delete { id: "active-one".into() }, Step::Delete { id: "inactive-one".into() }]);
}

#[test]
fn orphan_leaves_each_as_it_is() {
    assert_eq!(plan_deletion(DeletionPolicy::Orphan, &two()), []);
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
    assert_eq!(plan_deletion(DeletionPolicy::Deactivate, &two()), expected);
}

#[rstest]
#[case(DeletionPolicy::Delete)]
#[case(DeletionPolicy::Orphan)]
#[case(DeletionPolicy::Deactivate)]
fn where_there_is_none_nothing_is_done(#[case] policy: DeletionPolicy) {
    assert_eq!(plan_deletion(policy, &[]), []);
}
