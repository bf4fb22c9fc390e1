//! The priority of a `KratosIdentity` that a list shows, after a start or a new list: a person waits for it, or it waits for
//! something, or nothing changed. Pure.

use kube::Resource;

use crate::api::{KratosIdentity, condition, requested_at};
use crate::controllers::queue::Priority;

/// See the module.
pub fn of_listed(resource: &KratosIdentity) -> Priority {
    let meta = resource.meta();
    let Some(status) = &resource.status else { return Priority::Person };
    let is_handled = match requested_at(meta.annotations.as_ref()) {
        Some(request) => status.last_handled_reconcile_at.as_deref() == Some(request),
        None => true,
    };
    if meta.deletion_timestamp.is_some() || status.observed_generation != meta.generation || !is_handled {
        Priority::Person
    } else if condition::is_true(&status.conditions, "Reconciling") {
        Priority::Arrived
    } else {
        Priority::Routine
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn reconciling() -> Value {
        let since = "2026-11-23T10:00:00Z";
        json!([{"type": "Reconciling", "status": "True", "reason": "Progressing", "message": "", "lastTransitionTime": since}])
    }

    #[rstest]
    #[case::settled(json!({}), Priority::Routine)]
    #[case::waits(json!({"status": {"conditions": reconciling()}}), Priority::Arrived)]
    #[case::a_new_spec(json!({"metadata": {"generation": 4}}), Priority::Person)]
    #[case::never_looked_at(json!({"status": null}), Priority::Person)]
    #[case::never_reported(json!({"status": {"observedGeneration": -1}}), Priority::Person)]
    #[case::deleted(json!({"metadata": {"deletionTimestamp": "2026-11-23T10:00:00Z"}}), Priority::Person)]
    #[case::a_request(
        json!({"metadata": {"annotations": {"kratos-operator.dev/reconcile-requested-at": "now"}}}),
        Priority::Person
    )]
    #[case::a_request_that_was_served(
        json!({
            "metadata": {"annotations": {"kratos-operator.dev/reconcile-requested-at": "now"}},
            "status": {"lastHandledReconcileAt": "now"},
        }),
        Priority::Routine
    )]
    fn whoever_waits_decides(#[case] changes: Value, #[case] expected: Priority) {
        let mut object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": "ada", "namespace": "team-a", "generation": 3},
            "spec": {"schemaID": "customer"},
            "status": {"observedGeneration": 3},
        });
        json_patch::merge(&mut object, &changes);
        assert_eq!(of_listed(&serde_json::from_value(object).unwrap()), expected);
    }
}
