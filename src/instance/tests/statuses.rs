//! The status of an instance.

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;

use crate::api::condition::{self, READY};
use crate::api::instance::KratosInstanceStatus;
use crate::api::{Reason, Verdict};
use crate::instance::status;

fn next(
    current: Option<&KratosInstanceStatus>,
    reason: Reason,
    schemas: Option<&[&str]>,
    generation: i64,
    second: i64,
) -> KratosInstanceStatus {
    let schemas = schemas.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let now = Timestamp::from_second(second).unwrap();
    let verdict = Verdict::new(reason, "because");
    status::next(current, &verdict, "uid-of-cluster", schemas, (generation, Some("asked-now")), now)
}

#[test]
fn what_was_seen_is_written_where_it_belongs() {
    let status = next(None, Reason::Reconciled, Some(&["customer"]), 3, 100);
    let KratosInstanceStatus {
        observed_generation,
        ref last_handled_reconcile_at,
        ref conditions,
        ref cluster_id,
        ref schemas,
        ref protection,
    } = status;
    assert_eq!((observed_generation, last_handled_reconcile_at.as_deref()), (Some(3), Some("asked-now")));
    assert_eq!((cluster_id.as_deref(), schemas.as_slice()), (Some("uid-of-cluster"), &["customer".to_owned()][..]));
    assert!(condition::is_true(conditions, READY) && conditions.len() == 1);
    assert_eq!(*protection, None, "it has a writer of its own");
    assert_eq!(next(Some(&status), Reason::Reconciled, Some(&["customer"]), 3, 200), status, "no heartbeat");
}

#[test]
fn schemas_that_could_not_be_read_stay_listed() {
    let before = next(None, Reason::Reconciled, Some(&["customer"]), 3, 100);
    let after = next(Some(&before), Reason::KratosUnavailable, None, 3, 200);
    assert_eq!(after.schemas, before.schemas);
    assert_eq!(next(Some(&before), Reason::Reconciled, Some(&[]), 3, 200).schemas, Vec::<String>::new());
}

#[rstest]
#[case(Reason::Reconciled, true)]
#[case(Reason::NotPermitted, true)]
#[case(Reason::KratosUnavailable, false)]
#[case(Reason::SecretNotReady, false)]
#[case(Reason::InstanceNotReady, false)]
fn a_request_is_served_once_it_led_somewhere(#[case] reason: Reason, #[case] expected: bool) {
    let status = next(None, reason, None, 3, 100);
    assert_eq!(status.last_handled_reconcile_at.is_some(), expected);
    assert_eq!(status.observed_generation, Some(3));
}
