//! A recovery: when it is issued, what tells that it was, when its Secret goes, and what is said of it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, admin, claimant, desired, identity, mark, mark_json, marked, now, present};
use crate::api::Reason;
use crate::api::condition::{self, RECOVERY_ISSUED};
use crate::api::identity::KratosIdentityStatus;
use crate::api::recovery::{RecoveryStatus, RecoveryType};
use crate::identity::mark::{Mark, RecoveryMark};
use crate::identity::plan::{self, Observed, Plan, Step, plan};
use crate::identity::recovery::{self, OwnSecret, RecoveryMethod, RecoveryState, SecretObservation, Version};
use crate::identity::status::{self, Observation, Outcome, RecoveryObservation, Subject};
use crate::identity::{desired as desires, plan::plan_recovery};
use crate::kratos::{Identity, PatchOperation, State};

const EARLIER: &str = "2026-12-24T17:00:00Z";
const NOW: &str = "2026-12-24T18:00:00Z";
const LATER: &str = "2026-12-24T18:30:00Z";

fn wants(changes: &Value) -> Value {
    let mut spec = json!({"recovery": {"type": "Link", "secretName": "way-in"}});
    json_patch::merge(&mut spec, changes);
    spec
}

fn begun() -> Value {
    json!({"type": "Link", "secretName": "way-in", "startedAt": EARLIER})
}

fn issued(changes: &Value) -> Value {
    let mut noted =
        json!({"type": "Link", "secretName": "way-in", "startedAt": EARLIER, "issuedAt": EARLIER, "expiresAt": LATER});
    json_patch::merge(&mut noted, changes);
    noted
}

/// An identity whose mark notes this recovery.
fn noted(recovery: &Value, changes: &Value) -> Identity {
    let mut identity = marked(changes, &[]);
    admin(&mut identity)[GROUP] = mark_json(&json!({ "recovery": recovery }));
    identity
}

fn ours() -> SecretObservation {
    SecretObservation::Ours(Version { uid: "uid-of-secret".into(), resource_version: "7".into() })
}

fn plan_for(spec: &Value, identity: &Identity, seen: &SecretObservation) -> Plan {
    let mark = mark(&identity.metadata_admin.read().unwrap()[GROUP]);
    plan_recovery(&claimant(), desired(spec).recovery.as_ref(), (identity, &mark), seen, now())
}

/// The recovery in the mark that a step writes.
fn written(step: &Step) -> Value {
    let Step::Patch { operations, .. } = step else { panic!("{step:?}") };
    let [PatchOperation::Replace { path, value }] = operations.as_slice() else { panic!("{operations:?}") };
    assert_eq!(path, &format!("/metadata_admin/{GROUP}"));
    value["recovery"].clone()
}

fn deleted(name: &str) -> Step {
    Step::DeleteSecret(OwnSecret::of(&claimant(), name))
}

fn recovery_state(spec: &Value, recovery: &Value, state: State, is_there: bool) -> RecoveryState {
    let noted: Option<RecoveryMark> = serde_json::from_value(recovery.clone()).unwrap();
    recovery::recovery_state(&desired(spec).recovery.unwrap(), noted.as_ref(), state, is_there, None, now())
}

#[test]
fn the_intent_is_written_with_the_creation_of_an_active_identity() {
    for (state, expected) in [
        (json!({}), json!({"type": "Link", "secretName": "way-in", "startedAt": NOW})),
        (json!({"state": "Inactive"}), Value::Null),
    ] {
        let plan = plan(&claimant(), &desired(&wants(&state)), &Observed::Absent, now());
        let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
        assert_eq!(create.metadata_admin.as_ref().unwrap()[GROUP]["recovery"], expected);
        assert_eq!(plan.changes.contains(&"/recovery".to_owned()), !expected.is_null());
    }
}

#[rstest]
#[case::of_an_identity_that_is_there(json!({}), &[""])]
#[case::of_one_that_becomes_active(json!({"state": "Active"}), &["/state", ""])]
fn the_intent_is_written_with_the_change(#[case] spec: Value, #[case] paths: &[&str]) {
    let state = if spec["state"].is_null() { "active" } else { "inactive" };
    let there = marked(&json!({"state": state}), &[]);
    let plan = plan(&claimant(), &desired(&wants(&spec)), &present(there), now());
    let [Step::Patch { operations, .. }] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(operations.len(), paths.len(), "{operations:?}");
    let PatchOperation::Replace { value, .. } = operations.last().unwrap() else { panic!("{operations:?}") };
    assert_eq!(value["recovery"]["startedAt"], NOW);
}

#[rstest]
#[case::inactive(json!({}), json!({"state": "inactive"}))]
#[case::made_inactive(json!({"state": "Inactive"}), json!({}))]
#[case::whose_window_has_not_opened(json!({"validity": {"notBefore": LATER}}), json!({}))]
fn nothing_is_begun_for_an_identity_that_is(#[case] spec: Value, #[case] there: Value) {
    let plan = plan(&claimant(), &desired(&wants(&spec)), &present(marked(&there, &[])), now());
    let marks = plan.steps.iter().filter_map(|step| match step {
        Step::Patch { operations, .. } => Some(operations),
        _ => None,
    });
    let marks = marks.flatten().filter(|operation| operation.path().contains(GROUP));
    assert_eq!(marks.count(), 0, "{:?}", plan.steps);
}

#[test]
fn what_is_begun_is_issued_into_its_secret_by_the_identity_and_the_resource() {
    let plan = plan_for(
        &wants(&json!({"recovery": {"expiresIn": "90m"}})),
        &noted(&begun(), &json!({})),
        &SecretObservation::Absent,
    );
    let [Step::IssueRecovery(issue)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(
        (issue.id.as_str(), issue.method.kind(), issue.expires_in),
        ("id-of-ada", RecoveryType::Link, Duration::from_mins(90))
    );
    assert_eq!((issue.secret.namespace.as_str(), issue.secret.name.as_str()), ("team-a", "way-in"));
    assert_eq!(issue.secret.owner, ("ada".to_owned(), "uid-of-ada".to_owned()));
    assert_eq!((issue.replaces.as_ref(), plan.changes), (None, vec!["/recovery".to_owned()]));
    let at = "2026-12-24T19:30:00.9Z".parse().unwrap();
    let PatchOperation::Replace { value, .. } = plan::note(issue, at, now()) else { panic!("a note") };
    let mut expected = begun();
    json_patch::merge(&mut expected, &json!({"issuedAt": NOW, "expiresAt": "2026-12-24T19:30:00Z"}));
    assert_eq!(value["recovery"], expected, "from when it was begun, and no later than Kratos has it");
}

#[rstest]
#[case::nothing_was(json!(null), json!({}))]
#[case::another_token(issued(&json!({"token": "one"})), json!({"actions": {"recovery": {"token": "two"}}}))]
#[case::a_token_where_there_was_none(issued(&json!({})), json!({"actions": {"recovery": {"token": "two"}}}))]
#[case::another_type(issued(&json!({})), json!({"recovery": {"type": "Code"}}))]
fn the_intent_is_written_first_where(#[case] recovery: Value, #[case] spec: Value) {
    let plan = plan_for(&wants(&spec), &noted(&recovery, &json!({})), &ours());
    let [intent, Step::IssueRecovery(issue)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let intent = written(intent);
    assert_eq!((&intent["startedAt"], &intent["issuedAt"]), (&json!(NOW), &Value::Null));
    assert_eq!(intent["token"], spec.pointer("/actions/recovery/token").cloned().unwrap_or_default());
    assert_eq!(intent["expiresAt"], recovery["expiresAt"], "until when what is in the Secret works");
    assert!(issue.replaces.is_some(), "its own Secret is replaced");
}

#[rstest]
#[case::by_a_look(issued(&json!({})), json!({}))]
#[case::by_its_token(issued(&json!({"token": "one"})), json!({"actions": {"recovery": {"token": "one"}}}))]
#[case::by_a_token_that_left(issued(&json!({"token": "one"})), json!({}))]
#[case::by_another_expiry(issued(&json!({})), json!({"recovery": {"expiresIn": "5m"}}))]
#[case::by_a_restored_mark(issued(&json!({"type": null})), json!({}))]
fn what_was_issued_is_not_issued_again(#[case] recovery: Value, #[case] spec: Value) {
    for seen in [ours(), SecretObservation::Absent, SecretObservation::Foreign] {
        let there = noted(&recovery, &json!({}));
        assert_eq!(plan_for(&wants(&spec), &there, &seen).steps, [], "{seen:?}");
        let plan = plan(&claimant(), &desired(&wants(&spec)), &present(there), now());
        assert_eq!(plan.steps, [], "nor is anything begun");
    }
}

#[test]
fn nor_on_a_cluster_that_was_rebuilt() {
    let mut there = noted(&issued(&json!({})), &json!({}));
    json_patch::merge(
        &mut admin(&mut there)[GROUP],
        &json!({"cluster": "uid-of-burnt-cluster", "uid": "uid-of-former-ada"}),
    );
    let plan = plan(&claimant(), &desired(&wants(&json!({}))), &present(there), now());
    let [step] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(written(step), issued(&json!({})));
}

#[rstest]
#[case::that_is_not_wanted_any_more(json!({}), json!({}), SecretObservation::Absent, true)]
#[case::that_expired(wants(&json!({})), json!({"expiresAt": NOW}), ours(), false)]
fn the_secret_of_a_recovery_goes(
    #[case] spec: Value,
    #[case] changes: Value,
    #[case] seen: SecretObservation,
    #[case] is_forgotten: bool,
) {
    let plan = plan_for(&spec, &noted(&issued(&changes), &json!({})), &seen);
    assert_eq!(plan.steps[0], deleted("way-in"));
    assert_eq!(plan.steps.len(), if is_forgotten { 2 } else { 1 });
    assert!(!is_forgotten || written(&plan.steps[1]).is_null(), "once it is gone: {:?}", plan.steps);
}

#[test]
fn the_secret_of_an_inactive_identity_goes_and_nothing_is_issued() {
    for recovery in [begun(), issued(&json!({})), issued(&json!({"token": "one"}))] {
        let spec = wants(&json!({"actions": {"recovery": {"token": "two"}}}));
        let there = noted(&recovery, &json!({"state": "inactive"}));
        assert_eq!(plan_for(&spec, &there, &ours()).steps, [deleted("way-in")]);
        assert_eq!(plan_for(&spec, &there, &SecretObservation::Absent).steps, []);
    }
}

#[test]
fn another_secret_is_named_in_the_mark_once_the_former_one_is_gone() {
    let spec = wants(&json!({"recovery": {"secretName": "other-way-in"}}));
    let there = noted(&issued(&json!({})), &json!({}));
    assert_eq!(plan(&claimant(), &desired(&spec), &present(there.clone()), now()).steps, []);
    let plan = plan_for(&spec, &there, &SecretObservation::Absent);
    let [first, intent, Step::IssueRecovery(issue)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!((first, issue.secret.name.as_str()), (&deleted("way-in"), "other-way-in"));
    assert_eq!(written(intent)["expiresAt"], Value::Null, "of another Secret");
}

#[test]
fn one_that_is_over_goes_before_it_is_replaced() {
    let spec = wants(&json!({"actions": {"recovery": {"token": "two"}}}));
    let plan = plan_for(&spec, &noted(&issued(&json!({"expiresAt": EARLIER})), &json!({})), &ours());
    let [first, _, Step::IssueRecovery(issue)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!((first, issue.replaces.as_ref()), (&deleted("way-in"), None));
}

#[test]
fn a_secret_of_somebody_else_is_refused_where_one_is_due() {
    let wanted = desired(&wants(&json!({}))).recovery;
    let refusal = |noted: &Value, state, seen: &SecretObservation| {
        let noted: Option<RecoveryMark> = serde_json::from_value(noted.clone()).unwrap();
        recovery::ensure_writable(wanted.as_ref(), noted.as_ref(), state, seen).err().map(|condition| condition.reason)
    };
    assert_eq!(refusal(&json!(null), State::Active, &SecretObservation::Foreign), Some(Reason::InvalidSpec));
    assert_eq!(refusal(&begun(), State::Active, &SecretObservation::Foreign), Some(Reason::InvalidSpec));
    assert_eq!(refusal(&begun(), State::Active, &ours()), None);
    assert_eq!(refusal(&json!(null), State::Inactive, &SecretObservation::Foreign), None);
    assert_eq!(refusal(&issued(&json!({})), State::Active, &SecretObservation::Foreign), None);
    for seen in [SecretObservation::Foreign, SecretObservation::Hidden] {
        assert_eq!(plan_for(&wants(&json!({})), &noted(&begun(), &json!({})), &seen).steps, [], "{seen:?}");
    }
}

#[rstest]
#[case::issued(issued(&json!({})), State::Active, true, Reason::RecoveryIssued)]
#[case::whose_secret_is_gone(issued(&json!({})), State::Active, false, Reason::RecoverySecretGone)]
#[case::expired(issued(&json!({"expiresAt": NOW})), State::Active, false, Reason::RecoveryExpired)]
#[case::of_an_inactive_identity(issued(&json!({})), State::Inactive, false, Reason::IdentityInactive)]
#[case::not_issued_yet(json!(null), State::Inactive, false, Reason::IdentityInactive)]
fn how_a_recovery_stands(
    #[case] recovery: Value,
    #[case] state: State,
    #[case] is_there: bool,
    #[case] reason: Reason,
) {
    let found = recovery_state(&wants(&json!({})), &recovery, state, is_there);
    assert_eq!((found.condition.reason, found.is_issued), (reason, reason == Reason::RecoveryIssued));
    let shown = found.status.unwrap_or_default();
    assert_eq!(shown.expires_at.map(|at| at.0.to_string()).as_deref(), recovery["expiresAt"].as_str());
    assert_eq!(shown.secret_name.as_deref(), recovery["secretName"].as_str());
}

#[test]
fn one_that_is_to_be_replaced_is_shown_while_it_works() {
    let spec = wants(&json!({"actions": {"recovery": {"token": "two"}}}));
    for (expires_at, is_shown) in [(LATER, true), (EARLIER, false)] {
        let recovery = issued(&json!({"token": "two", "issuedAt": null, "expiresAt": expires_at}));
        let noted: RecoveryMark = serde_json::from_value(recovery).unwrap();
        let refusal = Some(recovery::disabled(RecoveryType::Link));
        let wanted = desired(&spec).recovery.unwrap();
        let found = recovery::recovery_state(&wanted, Some(&noted), State::Active, true, refusal, now());
        assert_eq!((found.condition.reason, found.is_issued), (Reason::RecoveryDisabled, false));
        assert_eq!(found.status.is_some(), is_shown);
    }
}

/// A status after a reconcile that found the recovery to stand so.
fn status_of(recovery_state: RecoveryState) -> KratosIdentityStatus {
    let condition = crate::api::ReadyCondition::new(Reason::Reconciled, "all is well");
    let seen = Observation::Present {
        identity: Box::new(noted(&issued(&json!({"token": "one"})), &json!({}))),
        owned_paths: Vec::new(),
        drift: Vec::new(),
        stale_identifiers: 0,
        is_changed: false,
    };
    let outcome = Outcome { condition, instance: None, seen, recovery: RecoveryObservation::Known(recovery_state) };
    status::next(Subject { generation: 1, requested_at: None, current: None }, outcome, now())
}

#[test]
fn a_status_shows_it_and_restores_what_a_wiped_mark_said() {
    let spec = wants(&json!({"actions": {"recovery": {"token": "one"}}}));
    let status = status_of(recovery_state(&spec, &issued(&json!({"token": "one"})), State::Active, true));
    assert!(condition::is_true(&status.conditions, RECOVERY_ISSUED));
    assert_eq!(recovery::shown(Some(&status)), Some(("way-in".to_owned(), LATER.parse().unwrap())));
    let action = status.actions.as_ref().and_then(|actions| actions.recovery.as_ref()).expect("the action");
    assert_eq!(action.token.as_deref(), Some("one"));
    let restored = recovery::from_status(&status).expect("a mark");
    let wanted = desired(&spec).recovery.unwrap();
    assert!(!wanted.is_due(Some(&restored)), "it isn't issued again");
    assert_eq!(recovery::from_status(&KratosIdentityStatus::default()), None);
}

#[test]
fn a_secret_that_is_known_to_be_gone_is_not_looked_for() {
    let spec = wants(&json!({}));
    let wanted = desired(&spec).recovery.unwrap();
    let over = issued(&json!({"expiresAt": NOW}));
    let mark: RecoveryMark = serde_json::from_value(over.clone()).unwrap();
    let told = status_of(recovery_state(&spec, &over, State::Active, false));
    assert_eq!(recovery::shown(Some(&told)), None);
    let is_of_interest =
        |noted: &RecoveryMark, status| recovery::is_secret_of_interest(&wanted, Some(noted), status, now());
    assert!(!is_of_interest(&mark, Some(&told)));
    assert!(is_of_interest(&mark, None), "nobody knows that it was deleted");
    let still = status_of(recovery_state(&spec, &issued(&json!({})), State::Active, true));
    assert!(is_of_interest(&mark, Some(&still)), "nobody knows that it was deleted");
    let running: RecoveryMark = serde_json::from_value(issued(&json!({}))).unwrap();
    assert!(is_of_interest(&running, Some(&still)));
}

#[test]
fn what_expired_is_said_although_the_look_came_to_nothing() {
    let status = status_of(recovery_state(&wants(&json!({})), &issued(&json!({})), State::Active, true));
    let at: Timestamp = LATER.parse().unwrap();
    let subject = Subject { generation: 1, requested_at: None, current: Some(&status) };
    let lapsed = RecoveryObservation::Lapsed(recovery::lapsed(at));
    let condition = crate::api::ReadyCondition::new(Reason::KratosUnavailable, "no answer");
    let outcome = Outcome { condition, instance: None, seen: Observation::Unknown, recovery: lapsed.clone() };
    for next in [status::next(subject, outcome, at), status::suspended(subject, lapsed, at)] {
        let found = condition::find(&next.conditions, RECOVERY_ISSUED).expect("the condition");
        assert_eq!((found.status.as_str(), found.reason.as_str()), ("False", "RecoveryExpired"));
        assert!(next.recovery.as_ref().is_some_and(|shown| shown.expires_at.is_some()), "until when it worked");
        assert_eq!(recovery::shown(Some(&next)), None);
    }
}

#[test]
fn none_is_shown_where_none_is_wanted() {
    let status = status_of(recovery_state(&wants(&json!({})), &issued(&json!({})), State::Active, true));
    let subject = Subject { generation: 1, requested_at: None, current: Some(&status) };
    let condition = crate::api::ReadyCondition::new(Reason::Reconciled, "all is well");
    let seen = Observation::Present {
        identity: Box::new(identity(&json!({}))),
        owned_paths: Vec::new(),
        drift: Vec::new(),
        stale_identifiers: 0,
        is_changed: false,
    };
    let next = status::next(
        subject,
        Outcome { condition, instance: None, seen, recovery: RecoveryObservation::Nothing },
        now(),
    );
    assert_eq!((next.recovery, condition::find(&next.conditions, RECOVERY_ISSUED)), (None::<RecoveryStatus>, None));
}

#[rstest]
#[case::which_holds_the_password(json!({"credentials": {"password": {"secretKeyRef": {"name": "way-in", "key": "password"}}}}))]
#[case::which_holds_a_trait(json!({"traitsFrom": [{"path": "/email", "secretKeyRef": {"name": "way-in", "key": "email"}}]}))]
#[case::whose_name_leads_elsewhere(json!({"recovery": {"secretName": "../way-in"}}))]
fn a_secret_is_refused(#[case] changes: Value) {
    let mut spec = wants(&changes);
    spec["schemaID"] = json!("customer");
    let spec = serde_json::from_value(spec).unwrap();
    let read = desires::secret_references(&spec);
    let refused = recovery::parse(&spec, read.iter().map(|reference| reference.name.as_str())).unwrap_err();
    assert_eq!(refused.reason, Reason::InvalidSpec);
    assert!(refused.message.contains("recovery.secretName"), "{}", refused.message);
}

#[test]
fn a_mark_keeps_what_it_notes() {
    let noted = issued(&json!({"token": "one"}));
    let read: Mark = mark(&json!({ "recovery": noted }));
    assert_eq!(read.to_value()["recovery"], noted);
}

#[rstest]
#[case::a_link(json!({}), RecoveryMethod::Link { return_to: None })]
#[case::that_leads_on(json!({"returnTo": "https://a.example/"}), RecoveryMethod::Link { return_to: Some("https://a.example/".into()) })]
#[case::a_code(json!({"type": "Code"}), RecoveryMethod::Code { is_api: false })]
#[case::for_a_browser(json!({"type": "Code", "flowType": "Browser"}), RecoveryMethod::Code { is_api: false })]
#[case::for_an_application(json!({"type": "Code", "flowType": "API"}), RecoveryMethod::Code { is_api: true })]
fn it_is_given_in_the_way_that_the_manifest_says(#[case] changes: Value, #[case] expected: RecoveryMethod) {
    let wanted = desired(&wants(&json!({ "recovery": changes })));
    assert_eq!(wanted.recovery.map(|recovery| recovery.method), Some(expected));
}

#[rstest]
#[case::a_link_for_an_application(json!({"flowType": "API"}))]
#[case::a_code_that_leads_on(json!({"type": "Code", "returnTo": "https://a.example/"}))]
fn what_goes_with_the_other_type_is_refused(#[case] changes: Value) {
    let mut spec = wants(&json!({ "recovery": changes }));
    spec["schemaID"] = json!("customer");
    let refused = recovery::parse(&serde_json::from_value(spec).unwrap(), std::iter::empty()).unwrap_err();
    assert_eq!(refused.reason, Reason::InvalidSpec);
}
