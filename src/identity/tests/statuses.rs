//! From an outcome to the status of an identity, and what tools make of it.

use k8s_openapi::jiff::Timestamp;
use rstest::rstest;
use serde_json::json;

use super::builders::{identity, shapes, strings};
use crate::api::condition::{self, DRIFTED, READY, RECONCILING, RECOVERY_ISSUED, STALE_IDENTIFIERS};
use crate::api::identity::{IdentityState, InstanceRef, KratosIdentityStatus};
use crate::api::{ReadyCondition, Reason};
use crate::identity::facts;
use crate::identity::status::{self, Observation, Outcome, RecoveryObservation, Subject, Touched};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn subject(generation: i64, current: Option<&KratosIdentityStatus>) -> Subject<'_> {
    Subject { generation, requested_at: None, current }
}

pub(super) fn outcome(reason: Reason, seen: Observation) -> Outcome {
    Outcome {
        condition: ReadyCondition::new(reason, format!("because {}", reason.as_str())),
        instance: None,
        seen,
        recovery: RecoveryObservation::Unknown,
    }
}

fn seen(drift: &[&str]) -> Observation {
    let identity = identity(&json!({"id": "id-of-ada", "schema_id": "customer", "state": "inactive"}));
    Observation::Present {
        identity: Box::new(identity),
        owned_paths: strings(&["/traits/mail"]),
        drift: strings(drift),
        stale_identifiers: 0,
        is_changed: false,
    }
}

pub(super) fn reconciled(generation: i64) -> KratosIdentityStatus {
    let instance = Some(InstanceRef { name: "default".into(), namespace: Some("identity".into()) });
    let outcome = Outcome { instance, ..outcome(Reason::Reconciled, seen(&[])) };
    status::next(subject(generation, None), outcome, at(100))
}

pub fn has(status: &KratosIdentityStatus, type_: &str) -> Option<bool> {
    condition::find(&status.conditions, type_).map(|condition| condition.status == "True")
}

#[test]
fn what_was_seen_is_written_where_it_belongs() {
    let status = reconciled(3);
    let KratosIdentityStatus {
        observed_generation,
        last_handled_reconcile_at,
        identity_id,
        instance,
        instance_namespaced_name,
        schema_id,
        state,
        adopted,
        conditions,
        owned_paths,
        drift,
        drift_count,
        password_sent_at,
        last_changed_at,
        recovery,
        actions,
    } = status;
    assert_eq!((drift_count, password_sent_at, last_changed_at), (None, None, None));
    assert_eq!(instance_namespaced_name.as_deref(), Some("identity/default"));
    assert_eq!((actions, recovery, adopted), (None, None, None));
    assert_eq!(observed_generation, Some(3));
    assert_eq!(last_handled_reconcile_at, None);
    assert_eq!(identity_id.as_deref(), Some("id-of-ada"));
    assert_eq!(instance, Some(InstanceRef { name: "default".into(), namespace: Some("identity".into()) }));
    assert_eq!(schema_id.as_deref(), Some("customer"));
    assert_eq!(state, Some(IdentityState::Inactive));
    assert_eq!(owned_paths, ["/traits/mail"]);
    assert_eq!(drift, Vec::<String>::new());
    let [ready] = conditions.as_slice() else { panic!("{conditions:?}") };
    assert_eq!((ready.type_.as_str(), ready.status.as_str(), ready.reason.as_str()), (READY, "True", "Reconciled"));
    assert_eq!((ready.message.as_str(), ready.observed_generation), ("because Reconciled", Some(3)));
    assert_eq!(ready.last_transition_time.0, at(100));
}

#[test]
fn the_same_outcome_later_is_the_same_status() {
    let before = reconciled(3);
    let after = status::next(subject(3, Some(&before)), outcome(Reason::Reconciled, seen(&[])), at(200));
    assert_eq!(after, before, "nothing is written where nothing changed");
}

#[test]
fn what_nobody_looked_at_stays_as_it_was_known() {
    let before = reconciled(3);
    let after =
        status::next(subject(3, Some(&before)), outcome(Reason::KratosUnavailable, Observation::Unknown), at(200));
    assert_eq!((has(&after, READY), has(&after, RECONCILING)), (Some(true), Some(true)));
    let without_conditions =
        |status: &KratosIdentityStatus| KratosIdentityStatus { conditions: vec![], ..status.clone() };
    assert_eq!(without_conditions(&after), without_conditions(&before));
}

#[test]
fn an_identity_that_is_gone_is_not_named_any_more() {
    let before = reconciled(3);
    let absent = Observation::Absent { drift: strings(&["/schema_id"]) };
    let after = status::next(subject(3, Some(&before)), outcome(Reason::Observed, absent), at(200));
    assert_eq!((&after.identity_id, &after.schema_id, after.state), (&None, &None, None));
    assert_eq!((after.owned_paths.len(), after.drift.as_slice()), (0, &strings(&["/schema_id"])[..]));
    assert_eq!(after.instance, before.instance, "the choice of the instance is pinned");
    assert_eq!(has(&after, DRIFTED), Some(true));
}

#[test]
fn an_instance_once_chosen_gives_way_only_to_another_one() {
    let before = reconciled(3);
    let other = InstanceRef { name: "other".into(), namespace: None };
    let moved = Outcome { instance: Some(other.clone()), ..outcome(Reason::NotPermitted, Observation::Unknown) };
    assert_eq!(status::next(subject(4, Some(&before)), moved, at(200)).instance, Some(other));
}

#[test]
fn drift_is_a_condition_for_as_long_as_it_is_there() {
    let before = reconciled(3);
    let drifted = status::next(subject(3, Some(&before)), outcome(Reason::Observed, seen(&["/traits/age"])), at(200));
    assert_eq!(drifted.drift, ["/traits/age"]);
    let condition = condition::find(&drifted.conditions, DRIFTED).unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "DriftObserved"));
    assert_eq!((condition.observed_generation, condition.last_transition_time.0), (Some(3), at(200)));
    assert_eq!(has(&drifted, READY), Some(true), "readiness is unchanged by it");
    let down =
        status::next(subject(3, Some(&drifted)), outcome(Reason::KratosUnavailable, Observation::Unknown), at(300));
    assert_eq!((has(&down, DRIFTED), down.drift.len()), (Some(true), 1), "not seen is not gone");
    let again = status::next(subject(3, Some(&drifted)), outcome(Reason::Observed, seen(&["/traits/age"])), at(300));
    assert_eq!(again, drifted);
    let gone = status::next(subject(3, Some(&drifted)), outcome(Reason::Reconciled, seen(&[])), at(300));
    assert_eq!((has(&gone, DRIFTED), gone.drift.len()), (None, 0));
}

#[test]
fn what_would_change_is_counted_in_mode_observe_alone() {
    let many: Vec<_> = (0..300).map(|number| format!("/traits/{number}")).collect();
    let of = |reason, drift| {
        status::next(subject(3, None), outcome(reason, Observation::Absent { drift }), at(100)).drift_count
    };
    assert_eq!(of(Reason::Observed, many), Some(300), "more than are shown");
    assert_eq!((of(Reason::Observed, vec![]), of(Reason::Reconciled, vec![])), (Some(0), None));
}

#[test]
fn nothing_shows_of_a_list_that_is_empty() {
    let written = serde_json::to_value(reconciled(3)).unwrap();
    assert_eq!((&written["ownedPaths"], &written["drift"]), (&json!(["/traits/mail"]), &json!(null)));
    let mut none = reconciled(3);
    none.owned_paths.clear();
    // In a merge patch that takes away what stood there.
    assert_eq!(serde_json::to_value(none).unwrap().get("ownedPaths"), Some(&json!(null)));
}

#[test]
fn a_change_is_dated_where_the_status_tells_of_it_and_never_for_its_own_sake() {
    let changed = |drift: &[&str]| match seen(drift) {
        Observation::Present { identity, owned_paths, drift, stale_identifiers, .. } => {
            Observation::Present { identity, owned_paths, drift, stale_identifiers, is_changed: true }
        }
        other => other,
    };
    let made = status::next(subject(3, None), outcome(Reason::Reconciled, changed(&[])), at(100));
    assert_eq!(made.last_changed_at.as_ref().map(|at| at.0), Some(at(100)));
    let corrected = status::next(subject(3, Some(&made)), outcome(Reason::Reconciled, changed(&[])), at(200));
    assert_eq!(corrected, made, "drift that is put right is told by an event");
    let looked_at = status::next(subject(4, Some(&made)), outcome(Reason::Reconciled, seen(&[])), at(300));
    assert_eq!(looked_at.last_changed_at, made.last_changed_at);
    let again = status::next(subject(4, Some(&made)), outcome(Reason::Reconciled, changed(&[])), at(300));
    assert_eq!(again.last_changed_at.map(|at| at.0), Some(at(300)));
}

#[rstest]
#[case::a_secret(Reason::SecretNotReady)]
#[case::the_instance(Reason::InstanceNotReady)]
fn what_lacks_shows_at_once_on_a_resource_that_stays_ready(#[case] reason: Reason) {
    let before = reconciled(3);
    let after = status::next(subject(3, Some(&before)), outcome(reason, Observation::Unknown), at(200));
    let [was, ready] = [&before, &after].map(|status| condition::find(&status.conditions, READY).expect("so"));
    assert_eq!((&ready.status, &ready.last_transition_time), (&was.status, &was.last_transition_time));
    assert_eq!((ready.reason.as_str(), &ready.message), (reason.as_str(), &format!("because {}", reason.as_str())));
    assert_eq!(status::next(subject(3, Some(&after)), outcome(reason, Observation::Unknown), at(300)), after);
    let done = status::next(subject(3, Some(&after)), outcome(Reason::Reconciled, seen(&[])), at(300));
    assert_eq!(done, before, "and not any longer");
    let named = |status: &KratosIdentityStatus| {
        let ready = condition::find(&status.conditions, READY).expect("it is there");
        (ready.status.clone(), ready.reason.clone())
    };
    let down =
        status::next(subject(3, Some(&after)), outcome(Reason::KratosUnavailable, Observation::Unknown), at(300));
    assert_eq!(named(&down), ("True".into(), "Reconciled".into()), "it waits for something else");
    assert_eq!(
        status::next(subject(3, Some(&down)), outcome(Reason::KratosUnavailable, Observation::Unknown), at(400)),
        down
    );
    let observed = status::next(subject(3, None), outcome(Reason::Observed, seen(&["/traits/age"])), at(100));
    let lacking = status::next(subject(3, Some(&observed)), outcome(reason, Observation::Unknown), at(200));
    let down =
        status::next(subject(3, Some(&lacking)), outcome(Reason::KratosUnavailable, Observation::Unknown), at(300));
    assert_eq!(named(&down), ("True".into(), "Observed".into()), "which it wasn't changed by");
    let other =
        Outcome { condition: ReadyCondition::new(reason, "another one"), ..outcome(reason, Observation::Unknown) };
    let other = status::next(subject(3, Some(&after)), other, at(300));
    assert_eq!(condition::find(&other.conditions, READY).map(|ready| ready.message.as_str()), Some("another one"));
    let mut gone = after;
    status::unready(&mut gone, &ReadyCondition::new(reason, "it is gone"), 3, at(400));
    assert_eq!(has(&gone, READY), Some(false));
    let changed = status::next(subject(4, Some(&before)), outcome(reason, Observation::Unknown), at(200));
    assert_eq!(has(&changed, READY), Some(false), "another manifest may ask for more");
}

#[test]
fn what_is_done_although_the_rest_waits_is_told_once_it_is() {
    let with = |message: &str, seen| Outcome {
        condition: ReadyCondition::new(Reason::Progressing, message),
        ..outcome(Reason::Progressing, seen)
    };
    let mut active = reconciled(2);
    active.state = Some(IdentityState::Active);
    let waiting = status::next(subject(3, Some(&active)), with("it waits", Observation::Unknown), at(200));
    let inactive = |is_changed| {
        let identity = Box::new(identity(&json!({"id": "id-of-ada", "state": "inactive"})));
        Touched { identity, is_changed }
    };
    let touched = || Observation::Touched(inactive(true));
    let locked = status::next(subject(3, Some(&waiting)), with("it waits; inactive", touched()), at(300));
    assert_eq!((locked.state, has(&locked, READY)), (Some(IdentityState::Inactive), Some(false)));
    for type_ in [READY, RECONCILING] {
        assert_eq!(condition::find(&locked.conditions, type_).unwrap().message, "it waits; inactive");
    }
    assert_eq!(locked.last_changed_at.as_ref().map(|at| at.0), Some(at(300)));
    let again = status::next(subject(3, Some(&locked)), with("it waits still; inactive", touched()), at(400));
    assert_eq!(again, locked, "what varies from try to try is no news");
    let seen = status::next(
        subject(3, Some(&waiting)),
        with("it waits; inactive", Observation::Touched(inactive(false))),
        at(300),
    );
    assert_eq!(seen.state, Some(IdentityState::Inactive));
    assert_eq!(seen.last_changed_at, waiting.last_changed_at, "somebody else deactivated it");
}

#[test]
fn where_kubernetes_fails_a_status_says_no_more_than_what_was_taken_away() {
    let mut issued = reconciled(2);
    issued.state = Some(IdentityState::Active);
    let condition = ReadyCondition::new(Reason::RecoveryIssued, "its Secret is there");
    condition::set(&mut issued.conditions, RECOVERY_ISSUED, true, &condition, 2, at(100));
    let gone = || RecoveryObservation::Lapsed(ReadyCondition::new(Reason::IdentityInactive, "its Secret was deleted"));
    let identity = Box::new(identity(&json!({"id": "id-of-ada", "state": "inactive"})));
    let touched = Touched { identity, is_changed: true };
    let locked = status::touched(subject(3, Some(&issued)), Some(&touched), gone(), at(200));
    assert_eq!((locked.state, has(&locked, RECOVERY_ISSUED)), (Some(IdentityState::Inactive), Some(false)));
    assert_eq!(locked.last_changed_at.as_ref().map(|at| at.0), Some(at(200)));
    assert_eq!((has(&locked, READY), locked.observed_generation), (Some(true), Some(2)), "nothing of the look");
    let again = status::touched(subject(3, Some(&locked)), Some(&touched), gone(), at(300));
    assert_eq!(again, locked);
    let lapsed = status::touched(subject(3, Some(&issued)), None, gone(), at(200));
    assert_eq!((lapsed.state, has(&lapsed, RECOVERY_ISSUED)), (Some(IdentityState::Active), Some(false)));
}

#[rstest]
#[case::no_instance(Reason::InstanceNotReady, None, true)]
#[case::no_consent(Reason::NotPermitted, None, true)]
#[case::something_else(Reason::TraitsRejected, None, false)]
#[case::kratos_is_down(Reason::KratosUnavailable, None, false)]
#[case::it_has_an_identity(Reason::NotPermitted, Some(reconciled(1)), false)]
#[case::it_was_ready(Reason::InstanceNotReady, Some(reconciled(2)), false)]
fn another_instance_may_be_named_before_anything_was_made(
    #[case] reason: Reason,
    #[case] current: Option<KratosIdentityStatus>,
    #[case] expected: bool,
) {
    let instance = Some(InstanceRef { name: "mistaken".into(), namespace: Some("identity".into()) });
    let outcome = Outcome { instance: instance.clone(), ..outcome(reason, Observation::Unknown) };
    let mut next = status::next(subject(2, current.as_ref()), outcome, at(200));
    assert!(!status::is_open(&next), "nobody said yet that nothing can have been made");
    status::open(&mut next);
    assert_eq!((status::is_open(&next), next.instance.is_none()), (expected, expected));
    assert_eq!(next.instance_namespaced_name.as_deref(), Some("identity/mistaken"), "it is shown all the same");
    next.instance = instance;
    assert!(!status::is_open(&next));
}

#[test]
fn at_most_256_paths_are_shown() {
    let many: Vec<_> = (0..300).map(|number| format!("/traits/{number}")).collect();
    let Observation::Present { identity, .. } = seen(&[]) else { unreachable!() };
    let seen = Observation::Present {
        identity,
        owned_paths: many.clone(),
        drift: many.clone(),
        stale_identifiers: 0,
        is_changed: false,
    };
    let status = status::next(subject(1, None), outcome(Reason::Observed, seen), at(1));
    assert_eq!((status.owned_paths.as_slice(), status.drift.as_slice()), (&many[..256], &many[..256]));
    let absent = Observation::Absent { drift: many.clone() };
    let status = status::next(subject(1, None), outcome(Reason::Observed, absent), at(1));
    assert_eq!(status.drift, many[..256]);
}

#[rstest]
#[case::done(Reason::Reconciled, Some("asked-now"))]
#[case::observed(Reason::Observed, Some("asked-now"))]
#[case::stalled(Reason::TraitsRejected, Some("asked-now"))]
#[case::retrying(Reason::KratosUnavailable, Some("asked-before"))]
fn a_request_counts_as_served_once_it_is(#[case] reason: Reason, #[case] expected: Option<&str>) {
    let mut before = reconciled(3);
    before.last_handled_reconcile_at = Some("asked-before".into());
    let subject = Subject { generation: 3, requested_at: Some("asked-now"), current: Some(&before) };
    let after = status::next(subject, outcome(reason, Observation::Unknown), at(200));
    assert_eq!(after.last_handled_reconcile_at.as_deref(), expected);
    assert_eq!(after.observed_generation, Some(3), "the generation was seen in any case");
}

#[test]
fn without_a_request_the_last_one_served_stays_noted() {
    let mut before = reconciled(3);
    before.last_handled_reconcile_at = Some("asked-before".into());
    let after = status::next(subject(3, Some(&before)), outcome(Reason::Reconciled, Observation::Unknown), at(200));
    assert_eq!(after.last_handled_reconcile_at.as_deref(), Some("asked-before"));
}

#[rstest]
#[case(None, false)]
#[case(Some(-1), false)]
#[case(Some(2), false)]
#[case(Some(3), true)]
fn a_status_is_settled_if_it_speaks_of_this_generation(#[case] observed: Option<i64>, #[case] expected: bool) {
    let status = KratosIdentityStatus { observed_generation: observed, ..KratosIdentityStatus::default() };
    assert_eq!(subject(3, Some(&status)).is_settled(), expected);
    assert!(!subject(3, None).is_settled());
}

#[test]
fn identifiers_that_left_the_traits_are_counted_while_there_are_any() {
    let identity = identity(&json!({
        "traits": {"mail": "Ada@New.example "},
        "credentials": {
            "password": {"identifiers": ["ada@new.example", "ada@old.example"]},
            "code": {"identifiers": ["ada@old.example"]},
            "totp": {"identifiers": ["id-of-ada"]}, "webauthn": {"identifiers": ["id-of-ada"]},
            "oidc": {"identifiers": ["google:4711"]},
        },
    }));
    let stale = facts::stale_identifiers(&identity, &shapes("mail"));
    assert_eq!(stale, 1);
    let outcome = |stale_identifiers| Outcome {
        condition: ReadyCondition::new(Reason::Reconciled, "all is well"),
        instance: None,
        seen: Observation::Present {
            identity: Box::new(identity.clone()),
            owned_paths: Vec::new(),
            drift: Vec::new(),
            stale_identifiers,
            is_changed: false,
        },
        recovery: RecoveryObservation::Unknown,
    };
    let subject = |current| Subject { generation: 1, requested_at: None, current };
    let with = status::next(subject(None), outcome(stale), at(100));
    assert_eq!((has(&with, STALE_IDENTIFIERS), has(&with, READY)), (Some(true), Some(true)));
    let message = &condition::find(&with.conditions, STALE_IDENTIFIERS).unwrap().message;
    assert!(message.contains("1 login identifier") && !message.contains('@'), "{message}");
    let without = status::next(subject(Some(&with)), outcome(0), at(200));
    assert_eq!(has(&without, STALE_IDENTIFIERS), None);
}
