//! What may be done outside of the instance's rules: taking away, and putting back.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, desired, identity, mark, mark_json, marked, now, present, shapes, strings};
use crate::identity::actions::{ActionSpec, Wanted};
use crate::identity::facts;
use crate::identity::plan::{self, Observed, Plan, Present, Step, Taking};
use crate::kratos::{Identity, PatchOperation};

fn there(identity: Identity) -> Present {
    match present(identity) {
        Observed::Present(present) => *present,
        Observed::Absent => unreachable!(),
    }
}

/// The steps by their names, and the pointers that they write.
fn told(steps: &[Step]) -> Vec<String> {
    let told = steps.iter().filter(|step| !matches!(step, Step::For(_))).map(|step| match step {
        Step::Patch { id, operations } => {
            assert_eq!(id, "id-of-ada");
            operations.iter().map(PatchOperation::path).collect::<Vec<_>>().join(" ")
        }
        Step::EndSessions { .. } => "end".to_owned(),
        Step::EndSessionsBegunBy { at, .. } => format!("end until {at}"),
        Step::ConfirmInactive { .. } => "confirm".to_owned(),
        other => panic!("more than it may: {other:?}"),
    });
    told.collect()
}

const MARK: &str = "/metadata_admin/kratos-operator.dev";

#[rstest]
#[case::nothing_is_wanted(false, "active", true, json!({}), &[])]
#[case::active(true, "active", false, json!({}), &["/state", "end", "confirm"])]
#[case::inactive_with_sessions(true, "inactive", true, json!({}), &["end", "confirm"])]
#[case::inactive(true, "inactive", false, json!({}), &[])]
#[case::sessions_are_owed(false, "active", false, json!({"sessionsPending": true}), &["end", MARK])]
#[case::both(true, "active", true, json!({"sessionsPending": true}), &["/state", "end", MARK, "confirm"])]
fn what_takes_away_is_done(
    #[case] deactivates: bool,
    #[case] state: &str,
    #[case] has_sessions: bool,
    #[case] noted: Value,
    #[case] expected: &[&str],
) {
    let metadata = json!({GROUP: mark_json(&noted)});
    let present = there(identity(&json!({"state": state, "metadata_admin": metadata})));
    let present = Present { has_sessions, ..present };
    let taking = Taking { deactivates, ends_sessions: Vec::new() };
    assert_eq!(told(&plan::take_away(&taking, &present, &mark(&noted), now())), expected);
}

#[test]
fn sessions_end_once_per_token_and_the_mark_keeps_all_else_that_it_says() {
    let noted = json!({"ownedPaths": ["/traits/email"], "adopted": true});
    let present = there(identity(&json!({"metadata_admin": {GROUP: mark_json(&noted)}})));
    let wanted = Wanted { doing: ActionSpec::RevokeSessions, token: "one".into() };
    let taking = Taking { deactivates: false, ends_sessions: vec![wanted] };
    let steps = plan::take_away(&taking, &present, &mark(&noted), now());
    assert_eq!(told(&steps), [MARK, "end until 2026-12-24T18:00:00Z", MARK]);
    let Some(Step::Patch { operations, .. }) = steps.last() else { panic!("{steps:?}") };
    let PatchOperation::Replace { value, .. } = &operations[0] else { panic!("{operations:?}") };
    assert_eq!((&value["ownedPaths"], &value["adopted"]), (&json!(["/traits/email"]), &json!(true)));
    assert_eq!(value["actions"]["revokeSessions"]["token"], "one");
    let done = there(identity(&json!({"metadata_admin": {GROUP: value}})));
    let mark = done.mark.clone().expect("a mark");
    assert_eq!(plan::take_away(&taking, &done, &mark, now()), []);
}

fn back(spec: &Value, traits: &Value, owned: &[&str]) -> Option<Plan> {
    plan::put_back(&desired(spec), &there(marked(&json!({ "traits": traits }), owned)))
}

#[test]
fn owned_traits_get_the_manifests_values_and_nothing_else_is_touched() {
    let spec = json!({
        "traits": {"email": "ada@a.example", "name": {"first": "Ada", "last": "Lovelace"}, "age": 36},
        "metadataPublic": {"plan": "gold"}, "state": "Inactive", "externalID": "crm-1",
    });
    let traits = json!({"email": "ada@b.example", "name": {"first": "Augusta", "last": "King"}, "newsletter": true});
    let plan = back(&spec, &traits, &["/traits/email", "/traits/name/last", "/traits/gone"]).expect("a plan");
    assert!(plan.is_partial);
    assert_eq!(plan.changes, strings(&["/traits/email", "/traits/name/last"]));
    let after = json!({"email": "ada@a.example", "name": {"first": "Augusta", "last": "Lovelace"}, "newsletter": true});
    assert_eq!((plan.steps.len(), &plan.traits), (1, &after));
}

#[rstest]
#[case::as_it_is(json!({}), json!({"email": "ada@a.example"}), &["/traits/email"])]
#[case::not_owned_before(json!({}), json!({"email": "ada@b.example"}), &[])]
#[case::the_users_own(json!({"traitsPolicy": "CreateOnly"}), json!({"email": "ada@b.example"}), &["/traits/email"])]
#[case::of_another_schema(json!({"schemaID": "employee"}), json!({"email": "ada@b.example"}), &["/traits/email"])]
fn there_may_be_nothing_to_put_back(#[case] changes: Value, #[case] traits: Value, #[case] owned: &[&str]) {
    let mut spec = json!({"traits": {"email": "ada@a.example"}});
    json_patch::merge(&mut spec, &changes);
    assert_eq!(back(&spec, &traits, owned), None);
}

#[rstest]
#[case::takes_its_place(json!({"email": "ada@a.example"}), &["ada@a.example"], &[])]
#[case::nothing_in_its_place(json!({"email": ""}), &["ada@b.example"], &["ada@b.example"])]
fn an_identifier_goes_where_another_takes_its_place(
    #[case] traits: Value,
    #[case] identifiers: &[&str],
    #[case] addresses: &[&str],
) {
    let address = json!({"id": "1", "value": "ada@b.example", "via": "email", "verified": true, "status": "completed"});
    let there = there(marked(
        &json!({
            "traits": {"email": "ada@b.example"}, "verifiable_addresses": [address],
            "credentials": {"password": {"identifiers": ["ada@b.example"]}},
        }),
        &["/traits/email"],
    ));
    let before = facts::observed(&there.identity, &shapes("email")).expect("it can be read");
    let plan = plan::put_back(&desired(&json!({ "traits": traits })), &there).expect("a plan");
    let after = facts::put_back(&before, &plan, &shapes("email")).expect("an identity");
    assert_eq!((after.identifiers, &after.identity["traits"]), (strings(identifiers), &traits));
    let left = after.identity["verifiable_addresses"].as_array().expect("addresses");
    let left: Vec<_> = left.iter().map(|address| address["value"].as_str().unwrap_or_default()).collect();
    assert_eq!(left, addresses);
}
