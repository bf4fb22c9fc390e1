//! A plan over its own result is empty: nothing is written to Kratos when nothing differs.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{claimant, desired, editable, identity, marked, now, patched, present};
use crate::identity::addresses;
use crate::identity::desired::Desired;
use crate::identity::plan::{Observed, Step, plan};
use crate::kratos::Identity;

/// What Kratos has after the plan's steps.
fn after(desired: &Desired, observed: &Observed) -> Identity {
    let mut document = match observed {
        Observed::Absent => json!({}),
        Observed::Present(there) => serde_json::to_value(&there.identity).unwrap(),
    };
    for step in plan(&claimant(), desired, observed, now()).steps {
        match step {
            Step::Create(create) => {
                document = serde_json::to_value(create).unwrap();
                document["id"] = json!("id-of-ada");
                document["credentials"] = imported(&json!({}), &document["credentials"]);
            }
            Step::Patch { operations, .. } => document = patched(&document, &operations),
            Step::Update { update, .. } => {
                let before = document;
                document = serde_json::to_value(update).unwrap();
                document["id"] = before["id"].clone();
                document["organization_id"] = before["organization_id"].clone();
                document["credentials"] = imported(&before["credentials"], &document["credentials"]);
            }
            Step::VerifyAddresses { addresses, .. } => {
                let there: Identity = serde_json::from_value(document.clone()).unwrap();
                document = patched(&document, &addresses::operations(&there, &addresses));
            }
            Step::DeleteCredential { kind, link: Some(link), .. } => {
                let identifiers = document["credentials"][kind.as_str()]["identifiers"].as_array_mut().unwrap();
                identifiers.retain(|identifier| *identifier != json!(link.identifier()));
            }
            Step::DeleteCredential { kind, link: None, .. } => {
                document["credentials"].as_object_mut().unwrap().remove(kind.as_str());
            }
            Step::For(_)
            | Step::EndSessions { .. }
            | Step::EndSessionsBegunBy { .. }
            | Step::ConfirmInactive { .. }
            | Step::ConfirmMark { .. } => {}
            Step::IssueRecovery(_) | Step::DeleteSecret(_) => panic!("a recovery has a plan of its own"),
            Step::Delete { .. } => panic!("a manifest that is there deletes nothing"),
        }
    }
    serde_json::from_value(document).unwrap()
}

/// The credentials of an identity after links were appended.
fn imported(there: &Value, import: &Value) -> Value {
    let mut credentials = there.as_object().cloned().unwrap_or_default();
    for kind in ["oidc", "saml"] {
        let providers = import[kind]["config"]["providers"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let added = providers.map(|link| format!("{}:{}", text(&link["provider"]), text(&link["subject"])));
        let before = credentials.get(kind).and_then(|credential| credential["identifiers"].as_array().cloned());
        let identifiers: Vec<_> = before.into_iter().flatten().chain(added.map(Value::from)).collect();
        if !identifiers.is_empty() {
            credentials.insert(kind.to_owned(), json!({ "identifiers": identifiers }));
        }
    }
    credentials.into()
}

fn settles(desired: &Desired, observed: &Observed) {
    let result = after(desired, observed);
    let again = plan(&claimant(), desired, &present(result.clone()), now());
    assert_eq!(again.steps, [], "over {}", serde_json::to_string_pretty(&result).unwrap());
    assert_eq!(again.changes, Vec::<String>::new());
}

fn everything() -> Value {
    json!({
        "state": "Inactive", "externalID": "crm", "organizationID": "org",
        "traits": {"mail": "m", "name": {"first": "f"}, "tags": [1, {"a": null}], "n": 1, "none": null, "empty": {}},
        "metadataPublic": {"plan": "gold", "x/y": {"~": 1}, "0": "digits"}, "metadataAdmin": {"costCenter": "42"},
        "credentials": {
            "oidc": [{"provider": "google", "subject": "g1"}, {"provider": "github", "subject": "h1"}],
            "saml": [{"provider": "okta", "subject": "o1"}], "absent": ["TOTP", "LookupSecret"],
        },
        "actions": {"revokeSessions": {"token": "r"}, "resetSecondFactors": {"token": "f"}},
    })
}

#[rstest]
#[case::nothing(json!({}))]
#[case::everything(everything())]
#[case::exactly(json!({"traits": {"mail": "m"}, "traitsPolicy": "Exact"}))]
#[case::at_creation_only(json!({"traits": {"mail": "m"}, "traitsPolicy": "CreateOnly"}))]
fn a_plan_over_its_own_result_is_empty(#[case] spec: Value) {
    let desired = desired(&spec);
    let full = json!({
        "schema_id": "employee", "external_id": "old", "organization_id": "old",
        "traits": {"mail": "x", "age": 1, "name": "n", "n": 1.0}, "metadata_public": {"old": 1},
        "metadata_admin": {"old": {"deep": 1}, "u": 2},
        "credentials": {
            "oidc": {"identifiers": ["google:theirs", "github:h1"]}, "totp": {"identifiers": ["id-of-ada"]},
            "lookup_secret": {"identifiers": []},
        },
    });
    let owned = ["/external_id", "/metadata_admin/old/deep", "/metadata_public/old", "/organization_id", "/traits/age"];
    settles(&desired, &Observed::Absent);
    settles(&desired, &present(marked(&json!({}), &[])));
    settles(&desired, &present(marked(&full, &owned)));
    settles(&desired, &present(identity(&full)));
}

#[test]
fn what_kratos_makes_of_numbers_is_no_drift() {
    let desired = desired(&json!({"traits": {"n": 9_007_199_254_740_993_u64, "one": 1, "list": [1]}}));
    let there = json!({"traits": {"n": 9_007_199_254_740_992_u64, "one": 1.0, "list": [1.0]}});
    let owned = ["/traits/list", "/traits/n", "/traits/one"];
    assert_eq!(plan(&claimant(), &desired, &present(marked(&there, &owned)), now()).steps, []);
}

fn document() -> impl Strategy<Value = Value> {
    let value = prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!("x")), Just(json!({})), Just(json!([1]))];
    let value = value.prop_recursive(2, 8, 3, |inner| {
        proptest::collection::btree_map("[a-b/~0]{1,2}", inner, 0..3).prop_map(|members| json!(members))
    });
    proptest::collection::btree_map("[a-b/~0]{1,2}", value, 0..4).prop_map(|members| json!(members))
}

fn spec((traits, public, admin): &(Value, Value, Value), policy: &str) -> Desired {
    desired(&json!({"traits": traits, "metadataPublic": public, "metadataAdmin": admin, "traitsPolicy": policy}))
}

proptest! {
    #[test]
    fn whatever_was_there_and_whatever_is_wanted(
        old in (document(), document(), document()),
        new in (document(), document(), document()),
        drift in document(),
        policy in prop_oneof![Just("Merge"), Just("Exact"), Just("CreateOnly")],
    ) {
        let first = after(&spec(&old, "Merge"), &Observed::Absent);
        let mut drifted = first;
        json_patch::merge(editable(&mut drifted.traits), &drift);
        settles(&spec(&new, policy), &present(drifted));
    }
}
