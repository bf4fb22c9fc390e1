//! Reconciles that are requested by annotation.

use rstest::rstest;

use crate::api::requested_at;

#[rstest]
#[case::ours(&[("kratos-operator.dev/reconcile-requested-at", "one")], Some("one"))]
#[case::fluxs(&[("reconcile.fluxcd.io/requestedAt", "two")], Some("two"))]
#[case::ours_before_fluxs(&[("reconcile.fluxcd.io/requestedAt", "two"), ("kratos-operator.dev/reconcile-requested-at", "one")], Some("one"))]
#[case::others(&[("kratos-operator.dev/reconcile", "three")], None)]
#[case::none(&[], None)]
fn a_request_is_read_from_annotations(#[case] annotations: &[(&str, &str)], #[case] expected: Option<&str>) {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(requested_at(Some(&annotations)), expected);
    assert_eq!(requested_at(None), None);
}
