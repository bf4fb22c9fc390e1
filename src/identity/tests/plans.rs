//! From (policy, manifest, what is there) to steps.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, desired, identity, mark_json, marked, now, present};
use crate::identity::plan::{Observed, Plan, Present, Step, plan};
use crate::kratos::{Identity, State};

fn plan_for(spec: &Value, observed: &Observed) -> Plan {
    plan(&claimant(), &desired(spec), observed, now())
}

/// The operations of a plan's only patch, but for the one that writes the mark.
fn operations(plan: &Plan) -> Value {
    let mut patches = plan.steps.iter().filter_map(|step| match step {
        Step::Patch { id, operations } if id == "id-of-ada" => Some(serde_json::to_value(operations).unwrap()),
        _ => None,
    });
    let operations = patches.next().unwrap_or(json!([]));
    assert_eq!(patches.next(), None, "one request per change");
    let mark = format!("/metadata_admin/{GROUP}");
    operations.as_array().unwrap().iter().filter(|operation| operation["path"] != mark.as_str()).cloned().collect()
}

fn set(path: &str, value: &Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

fn unset(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

#[test]
fn an_identity_that_is_not_there_is_created_with_its_mark_in_one_request() {
    let spec = json!({
        "state": "Inactive", "traits": {"mail": "m", "nick": null}, "metadataPublic": {"plan": "gold", "gone": null},
        "metadataAdmin": {"costCenter": "42"}, "externalID": "crm", "organizationID": "org",
    });
    let plan = plan_for(&spec, &Observed::Absent);
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let owned = [
        "/external_id",
        "/metadata_admin/costCenter",
        "/metadata_public/gone",
        "/metadata_public/plan",
        "/organization_id",
        "/traits/mail",
        "/traits/nick",
    ];
    let expected = json!({
        "schema_id": "customer", "state": "inactive", "traits": {"mail": "m", "nick": null},
        "metadata_public": {"plan": "gold"}, "external_id": "crm", "organization_id": "org",
        "metadata_admin": {"costCenter": "42", GROUP: mark_json(&json!({"ownedPaths": owned}))},
    });
    assert_eq!(serde_json::to_value(create).unwrap(), expected);
    assert_eq!(plan.owned_paths, owned);
    let mut changes = plan.changes;
    changes.sort();
    let expected = [
        "/external_id",
        "/metadata_admin/costCenter",
        "/metadata_public/gone",
        "/metadata_public/plan",
        "/organization_id",
        "/schema_id",
        "/traits/mail",
        "/traits/nick",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn a_bare_manifest_creates_an_active_identity_and_sends_no_field_that_an_old_server_does_not_know() {
    let plan = plan_for(&json!({}), &Observed::Absent);
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let expected = json!({
        "schema_id": "customer", "state": "active", "traits": {},
        "metadata_admin": {GROUP: mark_json(&json!({}))},
    });
    assert_eq!(serde_json::to_value(create).unwrap(), expected);
}

#[test]
fn traits_given_at_creation_only_are_created_but_not_owned() {
    let plan = plan_for(&json!({"traits": {"mail": "m"}, "traitsPolicy": "CreateOnly"}), &Observed::Absent);
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(create.traits, json!({"mail": "m"}));
    assert_eq!(plan.owned_paths, Vec::<String>::new());
    assert_eq!(plan.changes, ["/schema_id", "/traits/mail"]);
}

#[rstest]
#[case::merge_sets_what_it_names("Merge", json!({"age": 1}), &[], json!([set("/traits/age", &json!(1))]))]
#[case::merge_removes_what_left("Merge", json!({"mail": "m"}), &["/traits/mail", "/traits/age"], json!([unset("/traits/age")]))]
#[case::merge_leaves_the_users("Merge", json!({"mail": "m"}), &["/traits/mail"], json!([]))]
#[case::exact_removes_the_users("Exact", json!({"mail": "m"}), &[], json!([unset("/traits/age"), unset("/traits/nick")]))]
#[case::exact_sets("Exact", json!({"mail": "x", "age": 3, "nick": "n"}), &[], json!([set("/traits/age", &json!(3)), set("/traits/mail", &json!("x"))]))]
#[case::create_only_does_neither("CreateOnly", json!({"mail": "x"}), &["/traits/age"], json!([]))]
fn the_traits_policy_says_whose_a_trait_is(
    #[case] policy: &str,
    #[case] traits: Value,
    #[case] owned: &[&str],
    #[case] expected: Value,
) {
    let there = marked(&json!({"traits": {"mail": "m", "age": 2, "nick": "n"}}), owned);
    let plan = plan_for(&json!({"traits": traits, "traitsPolicy": policy}), &present(there));
    assert_eq!(operations(&plan), expected);
}

#[rstest]
#[case::set(json!({"plan": "gold"}), json!({"u": 1}), &[], json!([set("/metadata_public/plan", &json!("gold"))]))]
#[case::into_null(json!({"plan": "gold"}), json!(null), &[], json!([set("/metadata_public", &json!({"plan": "gold"}))]))]
#[case::instead_of_a_text(json!({"plan": "gold"}), json!("text"), &[], json!([set("/metadata_public", &json!({"plan": "gold"}))]))]
#[case::removed_when_it_left(json!({}), json!({"u": 1, "plan": "x"}), &["/metadata_public/plan"], json!([unset("/metadata_public/plan")]))]
#[case::removed_by_null(json!({"plan": null}), json!({"u": 1, "plan": "x"}), &[], json!([unset("/metadata_public/plan")]))]
#[case::absent_as_null(json!({"plan": null}), json!({"u": 1}), &[], json!([]))]
#[case::null_stays_null(json!({"plan": null}), json!(null), &["/metadata_public/plan"], json!([]))]
#[case::empty_stays_empty(json!({}), json!({}), &["/metadata_public/plan"], json!([]))]
#[case::no_object_is_left_alone_when_it_left(json!({}), json!("text"), &["/metadata_public/plan"], json!([]))]
#[case::what_is_not_owned_is_not_looked_at(json!({}), json!([1]), &[], json!([]))]
fn metadata_is_merged(#[case] wanted: Value, #[case] there: Value, #[case] owned: &[&str], #[case] expected: Value) {
    let mut identity = marked(&json!({}), owned);
    identity.metadata_public = there.into();
    let plan = plan_for(&json!({"metadataPublic": wanted}), &present(identity));
    assert_eq!(operations(&plan), expected);
}

#[rstest]
#[case::set(Some("new"), None, false, Some(json!("new")))]
#[case::changed(Some("new"), Some("old"), true, Some(json!("new")))]
#[case::taken_over(Some("new"), Some("old"), false, Some(json!("new")))]
#[case::kept(Some("new"), Some("new"), true, None)]
#[case::removed_when_it_left(None, Some("old"), true, Some(json!(null)))]
#[case::gone_already(None, None, true, None)]
#[case::never_ours(None, Some("old"), false, None)]
fn ids_from_elsewhere_are_three_way_too(
    #[case] wanted: Option<&str>,
    #[case] there: Option<&str>,
    #[case] was_owned: bool,
    #[case] expected: Option<Value>,
) {
    for (field, path) in [("externalID", "external_id"), ("organizationID", "organization_id")] {
        let pointer = format!("/{path}");
        let owned: Vec<_> = was_owned.then_some(pointer.as_str()).into_iter().collect();
        let identity = marked(&json!({path: there}), &owned);
        let plan = plan_for(&json!({field: wanted}), &present(identity));
        let expected: Value = expected.iter().map(|value| set(&pointer, value)).collect();
        assert_eq!(operations(&plan), expected, "{field}");
    }
}

#[test]
fn another_schema_is_a_change_like_any_other() {
    let plan = plan_for(&json!({}), &present(marked(&json!({"schema_id": "employee"}), &[])));
    assert_eq!(operations(&plan), json!([{"op": "replace", "path": "/schema_id", "value": "customer"}]));
    assert_eq!(plan.changes, ["/schema_id"]);
}

#[rstest]
#[case::not_owned_active(None, State::Active, false, json!([]), false)]
#[case::not_owned_inactive(None, State::Inactive, true, json!([]), false)]
#[case::active(Some("Active"), State::Active, false, json!([]), false)]
#[case::activated(Some("Active"), State::Inactive, true, json!(["active"]), false)]
#[case::deactivated(Some("Inactive"), State::Active, false, json!(["inactive"]), true)]
#[case::inactive(Some("Inactive"), State::Inactive, false, json!([]), false)]
#[case::inactive_with_sessions_left(Some("Inactive"), State::Inactive, true, json!([]), true)]
fn an_inactive_identity_has_its_sessions_ended_and_is_read_back(
    #[case] wanted: Option<&str>,
    #[case] state: State,
    #[case] has_sessions: bool,
    #[case] writes: Value,
    #[case] ends_sessions: bool,
) {
    let identity = marked(&json!({ "state": state }), &[]);
    let Observed::Present(mut there) = present(identity) else { unreachable!() };
    there.has_sessions = has_sessions;
    let plan = plan_for(&json!({"state": wanted}), &Observed::Present(there));
    let written: Vec<_> = operations(&plan).as_array().unwrap().iter().map(|write| write["value"].clone()).collect();
    assert_eq!(json!(written), writes);
    let id = || "id-of-ada".to_owned();
    let after: Vec<_> = plan.steps.iter().filter(|step| !matches!(step, Step::Patch { .. })).cloned().collect();
    let expected = [Step::EndSessions { id: id() }, Step::ConfirmInactive { id: id() }];
    assert_eq!(after, if ends_sessions { expected.to_vec() } else { Vec::new() });
    let patch_first = plan.steps.iter().position(|step| matches!(step, Step::Patch { .. })).is_none_or(|at| at == 0);
    assert!(patch_first, "sessions are ended after the state has changed");
}

/// All operations of the one patch, the mark's too.
fn whole_patch(there: Identity, spec: &Value, mark: bool) -> Value {
    let observed = if mark { present(there) } else { Observed::Present(Box::new(Present::new(there, None))) };
    match plan_for(spec, &observed).steps.as_slice() {
        [Step::Patch { operations, .. }] => serde_json::to_value(operations).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_mark_is_replaced_before_anything_else_in_the_admins_metadata() {
    let wanted = mark_json(&json!({"ownedPaths": ["/metadata_admin/a"]}));
    let mark = json!({"op": "replace", "path": format!("/metadata_admin/{GROUP}"), "value": wanted});
    let spec = json!({"metadataAdmin": {"a": 1}});
    let expected = json!([mark, set("/metadata_admin/a", &json!(1))]);
    assert_eq!(whole_patch(identity(&json!({})), &spec, false), expected, "where metadata_admin is null");
    let there = marked(&json!({"metadata_admin": {"u": 1}}), &["/metadata_admin/b"]);
    assert_eq!(whole_patch(there, &spec, true), expected, "where it isn't");
}

#[test]
fn a_mark_that_was_wiped_is_all_that_is_restored() {
    let there = identity(&json!({"metadata_admin": {"u": 1}, "traits": {"nick": "n"}}));
    let mark = json!({"op": "replace", "path": format!("/metadata_admin/{GROUP}"), "value": mark_json(&json!({}))});
    assert_eq!(whole_patch(there, &json!({}), false), json!([mark]));
}

#[test]
fn what_changes_is_shown_without_the_mark() {
    let there = marked(&json!({"traits": {"mail": "x"}, "metadata_admin": {"gone": 1}}), &["/metadata_admin/gone"]);
    let spec = json!({"traits": {"mail": "m"}, "metadataPublic": {"a": 1}, "state": "Inactive", "externalID": "e"});
    let plan = plan_for(&spec, &present(there));
    let mut changes = plan.changes;
    changes.sort();
    assert_eq!(changes, ["/external_id", "/metadata_admin/gone", "/metadata_public", "/state", "/traits/mail"]);
    assert_eq!(plan.owned_paths, ["/external_id", "/metadata_public/a", "/traits/mail"]);
}

#[test]
fn a_restored_mark_alone_is_no_difference_to_be_shown() {
    let plan = plan_for(&json!({}), &Observed::Present(Box::new(Present::new(identity(&json!({})), None))));
    assert_eq!((plan.steps.len(), plan.changes.len()), (1, 0));
}

#[rstest]
#[case::left_alone(json!({}), json!("active"))]
#[case::as_the_manifest_says(json!({"state": "Inactive"}), Value::Null)]
fn a_resource_applied_again_ends_its_grace_period_sessions_first(#[case] spec: Value, #[case] state: Value) {
    let noted = json!({"uid": "uid-of-earlier-ada", "deleteAfter": "2026-12-31T00:00:00Z", "stateBefore": "active"});
    let waiting = identity(&json!({"state": "inactive", "metadata_admin": {GROUP: mark_json(&noted)}}));
    let plan = plan_for(&spec, &present(waiting));
    assert_eq!(plan.steps[0], Step::EndSessions { id: "id-of-ada".into() });
    let Step::Patch { operations, .. } = &plan.steps[1] else { panic!("{:?}", plan.steps) };
    let operations = serde_json::to_value(operations).unwrap();
    let operations = operations.as_array().unwrap();
    let value = |path: &str| operations.iter().find(|operation| operation["path"] == path);
    assert_eq!(value("/state").map_or(Value::Null, |operation| operation["value"].clone()), state);
    let mark = value(&format!("/metadata_admin/{GROUP}")).expect("the mark is written");
    assert_eq!(mark["value"], mark_json(&json!({})));
}
