//! Lists and events with one odd object.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ObjectList, WatchEvent};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::api::identity::IdentityState;

/// JSON nested to this depth.
fn nested(levels: usize) -> String {
    r#"{"a":"#.repeat(levels - 1) + "{}" + &"}".repeat(levels - 1)
}

/// An object as the API server sends it: its field managers are as deep as its traits.
fn object(name: &str, traits: &str) -> String {
    format!(
        r#"{{"apiVersion":"kratos-operator.dev/v1alpha1","kind":"KratosIdentity","metadata":{{"name":"{name}","namespace":"team",
        "uid":"u-{name}","resourceVersion":"7","generation":2,"finalizers":["f"],"labels":{{"a":"b"}},"annotations":{{
        "kubectl.kubernetes.io/last-applied-configuration":"{{}}"}},"managedFields":[{{"manager":"m","fieldsV1":{traits}}}]}},
        "spec":{{"schemaID":"customer","state":"Inactive","traits":{traits}}},"status":{{"identityID":"i"}}}}"#
    )
}

fn list(objects: &[String]) -> ObjectList<Decoded<KratosIdentity>> {
    let items = objects.join(",");
    let list = format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{items}]}}"#);
    serde_json::from_str(&list).unwrap()
}

#[test]
fn an_object_is_read_without_what_nobody_needs() {
    let list = list(&[object("ada", r#"{"email":"ada@example.com"}"#)]);
    let ada = list.items[0].0.as_ref().unwrap();
    assert_eq!(
        (ada.name_any().as_str(), ada.namespace().as_deref(), ada.uid().as_deref()),
        ("ada", Some("team"), Some("u-ada"))
    );
    assert_eq!((ada.resource_version().as_deref(), ada.metadata.generation), (Some("7"), Some(2)));
    assert_eq!((ada.finalizers(), ada.labels().get("a").map(String::as_str)), (&["f".to_owned()][..], Some("b")));
    assert_eq!((&ada.metadata.managed_fields, &ada.metadata.annotations), (&None, &None));
    assert_eq!(ada.spec.traits.members().unwrap()["email"], "ada@example.com");
    assert_eq!(ada.status.as_ref().unwrap().identity_id.as_deref(), Some("i"));
}

#[rstest]
fn one_that_is_too_deep_is_read_but_for_that_and_stops_no_other(#[values(65, 125, 10_000, 200_000)] levels: usize) {
    let list = list(&[object("ada", "{}"), object("eve", &nested(levels)), object("grace", "{}")]);
    let eve = list.items[1].0.as_ref().unwrap();
    assert!(eve.spec.traits.members().is_err());
    assert_eq!((eve.spec.state, eve.name_any().as_str()), (Some(IdentityState::Inactive), "eve"));
    assert!([0, 2].iter().all(|other| list.items[*other].0.is_ok()));
    let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, object("eve", &nested(levels)));
    let event: WatchEvent<Decoded<KratosIdentity>> = serde_json::from_str(&event).unwrap();
    assert!(matches!(event, WatchEvent::Modified(eve) if eve.name_any() == "eve" && eve.0.is_ok()));
}

#[test]
fn so_is_metadata_whose_field_managers_somebody_wrote() {
    let items = [object("ada", "{}"), object("eve", &nested(10_000))].join(",");
    let list = format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{{}},"items":[{items}]}}"#);
    let list: ObjectList<Metadata<Secret>> = serde_json::from_str(&list).unwrap();
    assert_eq!(list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["ada", "eve"]);
    assert!(Metadata::<Secret>::metadata_api());
}

#[rstest]
#[case::a_number_beyond_a_double(r#"{"n":1e400}"#)]
#[case::an_unpaired_surrogate(r#"{"s":"\ud800"}"#)]
#[case::no_object("[1]")]
fn one_that_can_not_be_read_is_known_by_its_metadata(#[case] traits: &str) {
    let list = list(&[object("ada", "{}"), object("eve", traits), object("grace", "{}")]);
    let eve = &list.items[1];
    let unreadable = eve.0.as_ref().unwrap_err();
    assert_eq!((eve.name_any().as_str(), eve.meta().uid.as_deref()), ("eve", Some("u-eve")));
    let status: KratosIdentityStatus = unreadable.status().unwrap();
    assert_eq!(status.identity_id.as_deref(), Some("i"));
    assert!(!unreadable.is_let_go);
    assert!([0, 2].iter().all(|other| list.items[*other].0.is_ok()));
}

#[rstest]
#[case::a_word(r#""state":"S3CRET""#, "spec.state")]
#[case::an_item(
    r#""traitsFrom":[{"path":"/a","secretKeyRef":{"name":"a","key":"b"}},{"path":7}]"#,
    "spec.traitsFrom[1].path"
)]
#[case::what_users_shape(r#""metadataPublic":{"S3CRET":1e400}"#, "spec.metadataPublic")]
#[case::behind_what_users_shape(r#""metadataPublic":{"a":{"b":1}},"mode":"S3CRET""#, "spec.mode")]
#[case::one_that_lacks(r#""recovery":{"type":"Link"}"#, "spec.recovery")]
fn the_field_that_can_not_be_read_is_named_and_nothing_of_it(#[case] more: &str, #[case] field: &str) {
    let object = format!(r#"{{"metadata":{{"name":"eve"}},"spec":{{"schemaID":"customer",{more}}}}}"#);
    let decoded: Decoded<KratosIdentity> = serde_json::from_str(&object).unwrap();
    assert_eq!(decoded.0.unwrap_err().field, field);
}

#[test]
fn so_is_a_status_and_a_spec_that_is_not_there() {
    let field = |text: &str| serde_json::from_str::<Decoded<KratosIdentity>>(text).unwrap().0.unwrap_err().field;
    let spec = r#""spec":{"schemaID":"customer"}"#;
    assert_eq!(field(&format!(r#"{{{spec},"status":{{"conditions":[{{"type":7}}]}}}}"#)), "status.conditions[0].type");
    assert_eq!(field("{}"), "spec");
    assert_eq!(field(r#"{"spec":[]}"#), "spec");
}

#[rstest]
#[case(json!({"deletion": {"policy": "Orphan", "gracePeriod": 1}}), true)]
#[case(json!({"deletion": {"policy": "Delete"}, "suspend": true}), true)]
#[case(json!({"deletion": "odd", "suspend": true}), true)]
#[case(json!({"deletion": {"policy": "Orphan"}, "suspend": "odd"}), true)]
#[case(json!({"deletion": {"policy": "Delete"}, "suspend": "true"}), false)]
#[case(json!({"state": "Bogus"}), false)]
#[case(json!([]), false)]
fn whether_an_unreadable_one_is_let_go_is_read_by_itself(#[case] spec: Value, #[case] is_let_go: bool) {
    let object = json!({"metadata": {"name": "eve"}, "spec": spec});
    let decoded: Decoded<KratosIdentity> = serde_json::from_value(object).unwrap();
    assert_eq!(decoded.0.unwrap_err().is_let_go, is_let_go);
}

#[test]
fn a_part_of_the_metadata_that_can_not_be_read_is_left_out() {
    let object =
        r#"{"metadata":{"name":"eve","labels":{"a":"\ud800"},"annotations":7,"uid":"u"},"spec":{"schemaID":"s"}}"#;
    let decoded: Decoded<KratosIdentity> = serde_json::from_str(object).unwrap();
    let eve = decoded.0.unwrap();
    assert_eq!((eve.name_any().as_str(), eve.uid().as_deref()), ("eve", Some("u")));
    assert_eq!((eve.metadata.labels, eve.metadata.annotations), (None, None));
}

#[test]
fn debug_output_shows_no_value() {
    let list = list(&[object("eve", r#"{"email":"ada@example.com","n":1e400}"#)]);
    assert_eq!(format!("{:?}", list.items[0]), "Decoded(Err(Unreadable))");
}

/// JSON that is odd in ways which only some parsers mind.
fn odd_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just("1e400".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#""\u0000""#.to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        (1_usize..300).prop_map(nested),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "metadata",
            "spec",
            "status",
            "name",
            "traits",
            "state",
            "schemaID",
            "deletion",
            "policy",
            "suspend",
            "labels",
            "managedFields",
            "ownerReferences",
            "conditions",
            "",
        ])
        .prop_map(|key| format!("\"{key}\"")),
        Just(r#""\udfff""#.to_owned()),
    ];
    scalar.prop_recursive(5, 40, 6, move |inner| {
        let member = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_json_an_object_is_its_neighbours_are_read(odd in odd_json()) {
        let list = list(&[object("ada", "{}"), odd, object("grace", "{}")]);
        prop_assert_eq!(list.items.len(), 3);
        prop_assert!([0, 2].iter().all(|other| list.items[*other].0.is_ok()));
    }

    #[test]
    fn so_is_whatever_its_traits_are(odd in odd_json()) {
        let list = list(&[object("ada", "{}"), object("eve", &odd), object("grace", "{}")]);
        prop_assert_eq!(list.items[1].name_any(), "eve");
        prop_assert!([0, 2].iter().all(|other| list.items[*other].0.is_ok()));
    }
}
