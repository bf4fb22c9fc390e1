//! In which form an instance's protection is kept, what is believed of what stands there, and what the status shows of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::api::KratosInstance;
use crate::api::protection::{Held, LastRelease, ProtectionStatus, Released, Reservation};
use crate::instance::protection::config_map::{self, KEY, ProtectionObject, Version};
use crate::instance::protection::{KEPT_GRANTS, KEPT_HOLDING, State};

const UID: &str = "6f1c2a7e-0000-4000-8000-00000000000a";

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

/// With something in each field.
fn full() -> State {
    State {
        held: 5,
        holding: vec![Held { namespace: "team-a".into(), count: 3 }, Held { namespace: "team-b".into(), count: 2 }],
        missing: 7,
        recreating: 9,
        reserved: vec![
            Reservation { at: at(100), count: 4, namespace: Some("team-c".into()), most: None },
            Reservation { at: at(101), count: 6, namespace: None, most: Some(2) },
        ],
        granted: vec!["uid-1".into(), "uid-2".into()],
        released: vec![Released { namespace: "team-d".into(), at: at(102) }],
        last_release: Some(LastRelease { token: Some("r2".into()), earlier: vec!["r1".into()], at: Some(at(103)) }),
        kept: vec![Released { namespace: "team-e".into(), at: at(104) }],
        last_keep: Some(LastRelease { token: Some("k2".into()), earlier: vec!["k1".into()], at: Some(at(105)) }),
    }
}

fn instance() -> KratosInstance {
    let object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance",
        "metadata": {"name": "default", "namespace": "identity", "uid": UID},
        "spec": {"adminURL": "http://admin.example:4434", "ownerName": "production"},
    });
    serde_json::from_value(object).unwrap()
}

/// The ConfigMap of a state as the API server has it, with changes merged in.
fn stored(state: &State, changes: &Value) -> ProtectionObject {
    let mut map = serde_json::to_value(config_map::new(&instance(), state)).unwrap();
    json_patch::merge(&mut map, &json!({"metadata": {"uid": "uid-of-the-map", "resourceVersion": "7"}}));
    json_patch::merge(&mut map, changes);
    serde_json::from_value(map).unwrap()
}

#[test]
fn what_is_written_is_read_and_nothing_of_it_is_lost() {
    for state in [State::default(), full()] {
        assert_eq!(State::read(&state.text()), Some(state.clone()));
        let version = Version { uid: "uid-of-the-map".into(), resource_version: "7".into() };
        assert_eq!(stored(&state, &json!({})).of(UID), Some((state.clone(), version.clone())));
        let patched = stored(&State::default(), &config_map::patch(&version, &state));
        assert_eq!(patched.of(UID), Some((state, version)));
    }
}

#[test]
fn a_config_map_is_its_instances_and_says_so() {
    let map = serde_json::to_value(config_map::new(&instance(), &State::default())).unwrap();
    let metadata = &map["metadata"];
    assert_eq!(
        (&metadata["name"], &metadata["namespace"]),
        (&json!(format!("kratosinstance-{UID}")), &json!("identity"))
    );
    assert_eq!(
        metadata["labels"],
        json!({"app.kubernetes.io/managed-by": "kratos-operator", "app.kubernetes.io/component": "protection"})
    );
    assert_eq!(metadata["annotations"], json!({"kratos-operator.dev/protection-of": "default"}));
    let owner = json!([{
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance", "name": "default", "uid": UID,
        "controller": true,
    }]);
    assert_eq!(metadata["ownerReferences"], owner);
}

#[test]
fn a_patch_is_of_one_version_and_puts_the_labels_back() {
    let version = Version { uid: "u".into(), resource_version: "8".into() };
    let patch = config_map::patch(&version, &full());
    assert_eq!((&patch["metadata"]["uid"], &patch["metadata"]["resourceVersion"]), (&json!("u"), &json!("8")));
    assert_eq!(patch["metadata"]["labels"]["app.kubernetes.io/component"], "protection");
    assert_eq!(patch["data"], json!({KEY: full().text()}));
}

#[rstest]
#[case::nobodys(json!({"metadata": {"ownerReferences": null}}))]
#[case::of_another_uid(json!({"metadata": {"ownerReferences": [{
    "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance", "name": "default", "uid": "another", "controller": true,
}]}}))]
#[case::not_controlled(json!({"metadata": {"ownerReferences": [{
    "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance", "name": "default", "uid": UID,
}]}}))]
#[case::without_data(json!({"data": null}))]
#[case::without_the_key(json!({"data": {KEY: null, "other": "{}"}}))]
#[case::odd_data(json!({"data": 7}))]
#[case::no_json(json!({"data": {KEY: "granted: all"}}))]
fn what_is_not_the_instances_or_is_not_what_is_written_is_not_believed(#[case] changes: Value) {
    assert_eq!(stored(&full(), &changes).of(UID), None);
}

#[rstest]
#[case::nothing("")]
#[case::null("null")]
#[case::a_list("[]")]
#[case::a_list_of_values("[0, [], 0]")]
#[case::a_text("\"{}\"")]
#[case::cut_off(r#"{"held": 1"#)]
#[case::twice(r#"{"held": 1, "held": 2}"#)]
#[case::below_zero(r#"{"held": -1}"#)]
#[case::too_large(r#"{"held": 2147483648}"#)]
#[case::missing_too_large(r#"{"missing": 4294967295}"#)]
#[case::held_too_large(r#"{"held": 1, "holding": [{"namespace": "a", "count": 4294967295}]}"#)]
#[case::none_counted(r#"{"reserved": [{"at": "2026-01-01T00:00:00Z", "count": 0}]}"#)]
#[case::at_no_time(r#"{"reserved": [{"at": "yesterday", "count": 1}]}"#)]
#[case::a_namespace_twice(
    r#"{"held": 2, "holding": [{"namespace": "a", "count": 1}, {"namespace": "a", "count": 1}]}"#
)]
#[case::released_twice(
    r#"{"released": [{"namespace": "a", "at": "2026-01-01T00:00:00Z"}, {"namespace": "a", "at": "2027-01-01T00:00:00Z"}]}"#
)]
#[case::granted_to_something_else(r#"{"granted": [7]}"#)]
fn what_no_version_writes_is_not_read(#[case] text: &str) {
    assert_eq!(State::read(text), None);
}

#[test]
fn more_than_is_ever_kept_is_not_read() {
    let long = "n".repeat(64);
    let held = |number: usize| Held { namespace: format!("n{number}"), count: 1 };
    let reservation = Reservation { at: at(1), count: 1, namespace: None, most: None };
    let rows = [
        State { granted: vec!["uid".into(); KEPT_GRANTS + 1], ..State::default() },
        State { granted: vec!["u".repeat(65)], ..State::default() },
        State { holding: (0..=KEPT_HOLDING).map(held).collect(), ..State::default() },
        State { holding: vec![Held { namespace: long.clone(), count: 1 }], ..State::default() },
        State { kept: vec![Released { namespace: long.clone(), at: at(1) }], ..State::default() },
        State { reserved: vec![reservation.clone(); 641], ..State::default() },
        State { reserved: vec![Reservation { namespace: Some(long), ..reservation }], ..State::default() },
        State {
            last_keep: Some(LastRelease { token: Some("x".repeat(1025)), ..LastRelease::default() }),
            ..State::default()
        },
        State {
            last_release: Some(LastRelease { earlier: vec![String::new(); 16], ..LastRelease::default() }),
            ..State::default()
        },
    ];
    for state in rows {
        assert_eq!(State::read(&state.text()), None, "{state:?}");
    }
    assert_eq!(State::read(&("[".repeat(100_000) + &"]".repeat(100_000))), None);
    assert_eq!(State::read(&(r#"{"held":"#.repeat(100_000))), None);
}

#[test]
fn what_a_newer_version_keeps_beside_is_left_out() {
    assert_eq!(State::read(r#" {"held": 2, "more": {"deep": []}}"#), Some(State { held: 2, ..State::default() }));
}

#[test]
fn the_status_shows_what_people_act_on_and_takes_away_what_an_earlier_version_kept_there() {
    let shown = serde_json::to_value(full().shown()).unwrap();
    assert_eq!(
        shown,
        json!({
            "held": 5, "holding": [{"namespace": "team-a", "count": 3}, {"namespace": "team-b", "count": 2}],
            "missing": 7, "recreating": 9,
            "lastRelease": {"token": "r2", "earlier": null, "at": "1970-01-01T00:01:43Z"},
            "lastKeep": {"token": "k2", "earlier": null, "at": "1970-01-01T00:01:45Z"},
            // Written as a merge patch, null takes it away.
            "reserved": null, "granted": null, "released": null, "kept": null,
        })
    );
    let counted = State { granted: vec!["uid-3".into()], reserved: Vec::new(), ..full() };
    assert_eq!(counted.shown(), full().shown(), "one more that is counted changes nothing of it");
}

#[test]
fn an_earlier_versions_status_is_taken_over_as_it_is_and_what_is_shown_of_it_stays_true() {
    let before = serde_json::to_value(full().in_full()).unwrap();
    let before: ProtectionStatus = serde_json::from_value(before).unwrap();
    assert_eq!(State::of_status(Some(&before)), full());
    assert_eq!(State::of_status(None), State::default());
    // What is left in a status of a ConfigMap that somebody deleted: what is held stays so, and is counted anew.
    let left = State::of_status(Some(&full().shown()));
    let State { held, holding, missing, recreating, reserved, granted, released, last_release, kept, last_keep } = left;
    assert_eq!((held, holding, missing, recreating), (5, full().holding, 7, 9));
    assert_eq!((reserved.len(), granted.len(), released.len(), kept.len()), (0, 0, 0, 0));
    assert_eq!(last_release.and_then(|last| last.token).as_deref(), Some("r2"));
    assert_eq!(last_keep.and_then(|last| last.token).as_deref(), Some("k2"));
}

#[test]
fn long_values_that_an_earlier_version_kept_as_a_whole_can_be_kept_on() {
    let last = LastRelease { token: Some("ü".repeat(100_000)), earlier: vec!["x".repeat(1000)], at: None };
    let status =
        ProtectionStatus { last_release: Some(last.clone()), last_keep: Some(last), ..ProtectionStatus::default() };
    let state = State::of_status(Some(&status));
    assert_eq!(State::read(&state.text()), Some(state));
}

proptest! {
    #[test]
    fn whatever_stands_there_is_read_or_not_and_what_is_read_can_be_written(text in "\\PC{0,200}") {
        if let Some(state) = State::read(&text) {
            prop_assert_eq!(State::read(&state.text()), Some(state));
        }
    }
}
