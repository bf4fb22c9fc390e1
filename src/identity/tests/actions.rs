//! What is done once per token: intent, steps, note; and what makes that nothing is done twice.

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, admin, claimant, desired, identity, mark_json, marked, now, present};
use crate::identity::actions::{self, ActionName};
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{Observed, Plan, Present, Step, plan};
use crate::kratos::{CredentialType, Identity, PatchOperation};

const EARLIER: &str = "2026-12-24T17:00:00Z";
const NOW: &str = "2026-12-24T18:00:00Z";

fn revoke(token: &str) -> Value {
    json!({"actions": {"revokeSessions": {"token": token}}})
}

fn with_actions(actions: &Value) -> Identity {
    let mut identity = marked(&json!({}), &[]);
    admin(&mut identity)[GROUP] = mark_json(&json!({ "actions": actions }));
    identity
}

fn plan_for(spec: &Value, identity: Identity) -> Plan {
    plan(&claimant(), &desired(spec), &present(identity), now())
}

/// The actions of the mark that a step writes.
fn written(step: &Step) -> Value {
    let Step::Patch { operations, .. } = step else { panic!("{step:?}") };
    let [PatchOperation::Replace { path, value }] = operations.as_slice() else { panic!("{operations:?}") };
    assert_eq!(path, &format!("/metadata_admin/{GROUP}"));
    value["actions"].clone()
}

fn begun(at: &str) -> Value {
    json!({"revokeSessions": {"token": "one", "startedAt": at}})
}

fn done(token: &str) -> Value {
    json!({"revokeSessions": {"token": token, "startedAt": EARLIER, "completedAt": EARLIER}})
}

fn end_sessions(at: &str) -> Step {
    Step::EndSessionsBegunBy { id: "id-of-ada".into(), at: at.parse().unwrap() }
}

#[test]
fn the_intent_is_written_before_and_the_note_after() {
    let plan = plan_for(&revoke("one"), marked(&json!({}), &[]));
    let [intent, why, doing, note] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(written(intent), begun(NOW));
    assert_eq!(*why, Step::For(Some(ActionName::RevokeSessions)), "the audit log tells");
    assert_eq!(*doing, end_sessions(NOW));
    let noted = json!({"revokeSessions": {"token": "one", "startedAt": NOW, "completedAt": NOW}});
    assert_eq!(written(note), noted);
    assert_eq!((plan.actions.as_slice(), plan.changes.len()), (&[ActionName::RevokeSessions][..], 0));
    assert_eq!(plan.drift(), ["/actions/revokeSessions"]);
}

#[test]
fn what_was_begun_is_carried_on_with_from_when_it_was() {
    let plan = plan_for(&revoke("one"), with_actions(&begun(EARLIER)));
    let [_, doing, note] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(*doing, end_sessions(EARLIER));
    assert_eq!(written(note)["revokeSessions"]["startedAt"], EARLIER);
}

#[rstest]
#[case::of_this_resource(json!({}))]
#[case::of_a_former_resource(json!({"uid": "uid-of-former-ada"}))]
#[case::of_a_burnt_cluster(json!({"cluster": "uid-of-burnt-cluster", "uid": "uid-of-former-ada"}))]
fn a_token_that_was_done_is_not_done_again(#[case] changes: Value) {
    let mut there = with_actions(&done("one"));
    json_patch::merge(&mut admin(&mut there)[GROUP], &changes);
    let plan = plan_for(&revoke("one"), there);
    assert_eq!(plan.actions, []);
    assert!(plan.steps.iter().all(|step| written(step) == done("one")), "{:?}", plan.steps);
}

#[test]
fn another_token_asks_once_more() {
    let plan = plan_for(&revoke("two"), with_actions(&done("one")));
    assert_eq!(written(&plan.steps[0]), json!({"revokeSessions": {"token": "two", "startedAt": NOW}}));
    assert_eq!(plan.actions, [ActionName::RevokeSessions]);
}

#[rstest]
#[case::done(done("one"))]
#[case::begun(begun(EARLIER))]
fn a_token_that_left_the_manifest_stays_in_the_mark(#[case] actions: Value) {
    let plan = plan_for(&json!({}), with_actions(&actions));
    assert_eq!(plan.steps, [], "nothing is done, and nothing written");
}

#[test]
fn a_wiped_mark_is_restored_with_what_was_done() {
    let Found::Mark(mark) = Mark::read(&with_actions(&done("one")).metadata_admin) else { panic!("a mark") };
    let wiped = Present::new(identity(&json!({})), Some(*mark));
    let plan = plan(&claimant(), &desired(&revoke("one")), &Observed::Present(Box::new(wiped)), now());
    let [restored] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(written(restored), done("one"));
}

#[test]
fn a_status_tells_what_was_done_and_not_what_was_begun() {
    let Found::Mark(mark) = Mark::read(&with_actions(&done("one")).metadata_admin) else { panic!("a mark") };
    let statuses = actions::statuses(&mark.actions, None).expect("a status");
    assert_eq!(serde_json::to_value(actions::from_status(&statuses)).unwrap(), done("one"));
    let Found::Mark(mark) = Mark::read(&with_actions(&begun(EARLIER)).metadata_admin) else { panic!("a mark") };
    let statuses = actions::statuses(&mark.actions, None).expect("a status");
    assert_eq!(actions::from_status(&statuses).len(), 0);
    assert_eq!(actions::statuses(&[].into(), None), None);
}

#[test]
fn on_a_new_identity_there_is_nothing_to_do() {
    let plan = plan(&claimant(), &desired(&revoke("one")), &Observed::Absent, now());
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let mark = &create.metadata_admin.as_ref().unwrap()[GROUP];
    let noted = json!({"revokeSessions": {"token": "one", "startedAt": NOW, "completedAt": NOW}});
    assert_eq!(mark["actions"], noted);
    assert_eq!(plan.actions, []);
}

#[rstest]
#[case::all(json!([]), &[CredentialType::Totp, CredentialType::LookupSecret, CredentialType::Webauthn])]
#[case::one(json!(["LookupSecret"]), &[CredentialType::LookupSecret])]
fn second_factors_go_before_the_sessions(#[case] types: Value, #[case] expected: &[CredentialType]) {
    let spec = json!({"actions": {
        "revokeSessions": {"token": "one"}, "resetSecondFactors": {"token": "lost-phone", "types": types},
    }});
    let plan = plan_for(&spec, marked(&json!({}), &[]));
    let id = || "id-of-ada".to_owned();
    let mut steps = vec![Step::For(Some(ActionName::ResetSecondFactors))];
    steps.extend(expected.iter().map(|kind| Step::DeleteCredential { id: id(), kind: *kind, link: None }));
    steps.push(Step::EndSessions { id: id() });
    let [intent, middle @ .., second_note] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(written(intent).as_object().unwrap().len(), 2, "one request begins both");
    assert_eq!(middle[..steps.len()], steps);
    let note = written(&middle[steps.len()]);
    assert_eq!(note["resetSecondFactors"]["completedAt"], NOW);
    assert_eq!(note["revokeSessions"]["completedAt"], Value::Null, "what comes after isn't done yet");
    assert_eq!(middle[steps.len() + 1..], [Step::For(Some(ActionName::RevokeSessions)), end_sessions(NOW)]);
    assert_eq!(written(second_note)["revokeSessions"]["completedAt"], NOW);
}

#[test]
fn an_action_begins_with_the_end_of_its_second() {
    let wanted = desired(&revoke("one")).actions;
    let at: Timestamp = "2026-12-24T18:00:00.001Z".parse().unwrap();
    let [pending] = <[_; 1]>::try_from(actions::pending(&wanted, None, at)).unwrap();
    assert_eq!(pending.started_at.to_string(), "2026-12-24T18:00:01Z", "as the mark, in seconds, will say it");
}
