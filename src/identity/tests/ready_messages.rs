//! What Ready says of a reconcile that came to its end.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{desired, identity, present};
use crate::api::Reason;
use crate::identity::mark::Mark;
use crate::identity::plan::{Observed, Present};
use crate::identity::ready_message::{PlannedChange, reconciled};
use crate::identity::status::Observation;

fn adoption() -> Value {
    json!({"adoption": {"policy": "IfUnowned", "identifier": "ada@a.example"}})
}

fn to_adopt() -> Observed {
    Observed::Present(Box::new(Present::new(identity(&json!({})), Some(Mark::of_adoption(false)))))
}

#[rstest]
#[case::create(Observed::Absent, json!({}), None, PlannedChange::Create, "would be created")]
#[case::nothing_to_see(Observed::Absent, adoption(), None, PlannedChange::Adopt, "if that may be")]
#[case::take_over(to_adopt(), adoption(), None, PlannedChange::TakeOver("id-of-ada".into()), "identity id-of-ada would be taken over")]
#[case::rename(Observed::Absent, json!({}), Some("old"), PlannedChange::Replace("old".into()), "KratosIdentity old")]
#[case::renamed(present(identity(&json!({}))), json!({}), Some("old"), PlannedChange::Change(2), "2 field(s) would change")]
fn what_would_be_done_is_said(
    #[case] observed: Observed,
    #[case] spec: Value,
    #[case] replaces: Option<&str>,
    #[case] expected: PlannedChange,
    #[case] words: &str,
) {
    let would = PlannedChange::of(&observed, &desired(&spec), replaces, 2);
    assert_eq!(would, expected);
    let condition = would.condition();
    assert_eq!(condition.reason, Reason::Observed);
    assert!(condition.message.contains(words) && condition.message.ends_with("mode Observe changes nothing"));
    assert!(PlannedChange::Change(0).condition().message.starts_with("nothing would change"));
}

#[rstest]
#[case::it_is_the_manifests(json!({"state": "Inactive"}), "inactive", false)]
#[case::it_left_the_manifest(json!({}), "inactive", true)]
#[case::nobody_is_locked_out(json!({}), "active", false)]
fn whoever_stays_locked_out_although_no_manifest_says_so_is_told(
    #[case] spec: Value,
    #[case] state: &str,
    #[case] expected: bool,
) {
    let seen = Observation::Present {
        identity: Box::new(identity(&json!({ "state": state }))),
        owned_paths: Vec::new(),
        drift: Vec::new(),
        stale_identifiers: 0,
        is_changed: false,
    };
    let condition = reconciled(&desired(&spec), &seen);
    assert_eq!(condition.reason, Reason::Reconciled);
    assert_eq!(
        condition.message.contains("the operator leaves the state as it is: Inactive"),
        expected,
        "{}",
        condition.message
    );
}
