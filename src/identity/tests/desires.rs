//! From a spec to what is wanted: nothing lost, nothing swapped, defaults where nothing is said.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, now, object};
use crate::api::credentials::{PasswordFormat, PasswordUpdatePolicy};
use crate::api::definitions::filled;
use crate::api::identity::{IdentityState, KratosIdentitySpec, TraitsPolicy};
use crate::api::instance::Mode;
use crate::api::lifecycle::DeletionPolicy;
use crate::api::{ReadyCondition, Reason};
use crate::identity::adoption::Target;
use crate::identity::desired::{self, Desired, Handling, from_kratos, to_kratos};
use crate::identity::links::Links;
use crate::identity::person::Identifiers;
use crate::identity::secrets::Secrets;
use crate::kratos::State;

fn parse(spec: Value) -> (Handling, Result<Desired, ReadyCondition>) {
    let spec = serde_json::from_value::<KratosIdentitySpec>(spec).unwrap();
    (desired::handling(&spec), desired::parse(&spec, &Secrets::default(), now()))
}

#[test]
fn what_the_definition_fills_in_is_what_an_absent_field_stands_for() {
    let spec = json!({
        "schemaID": "customer", "traits": {"mail": "ada@a.example"}, "adoption": {"identityID": "an-id"},
        "recovery": {"type": "Link", "secretName": "way-in"},
    });
    let filled = filled("KratosIdentity", &spec);
    assert_eq!(filled["recovery"]["expiresIn"], "1h");
    let ((handling, bare), (same, filled)) = (parse(spec), parse(filled));
    let (bare, filled) = (bare.unwrap(), filled.unwrap());
    assert_eq!(handling, same);
    assert_eq!(desired::digest(&bare), desired::digest(&filled));
    assert_eq!((bare.adoption, bare.recovery), (filled.adoption, filled.recovery));
    assert_eq!(json!(PasswordFormat::default()), "Cleartext");
    assert_eq!(json!(PasswordUpdatePolicy::default()), "OnSecretChange");
}

#[test]
fn everything_that_a_manifest_says_is_wanted_where_it_belongs() {
    let (handling, desired) = parse(json!({
        "instanceRef": {"name": "default", "namespace": "identity"},
        "schemaID": "employee",
        "state": "Inactive",
        "traits": {"mail": "ada@a.example"},
        "traitsPolicy": "Exact",
        "metadataPublic": {"plan": "gold"},
        "metadataAdmin": {"costCenter": "42"},
        "externalID": "crm-4711",
        "organizationID": "0a0b0c0d-1111-2222-3333-444455556666",
        "deletion": {"policy": "Deactivate"},
        "mode": "Observe",
        "suspend": true,
    }));
    let grace_period = None;
    let expected = Handling {
        deletion: DeletionPolicy::Deactivate,
        grace_period,
        spares_adopted: false,
        mode: Mode::Observe,
        suspended: true,
    };
    assert_eq!(handling, expected);
    let expected = Desired {
        schema_id: "employee".into(),
        traits: object(json!({"mail": "ada@a.example"})),
        traits_policy: TraitsPolicy::Exact,
        metadata_public: object(json!({"plan": "gold"})),
        metadata_admin: object(json!({"costCenter": "42"})),
        external_id: Some("crm-4711".into()),
        organization_id: Some("0a0b0c0d-1111-2222-3333-444455556666".into()),
        state: Some(State::Inactive),
        password: None,
        links: Links::default(),
        auto_links: Vec::new(),
        auto_subject: String::new(),
        absent: Vec::new(),
        removal_ends_sessions: true,
        lacks: None,
        adoption: None,
        phase: None,
        verified_addresses: Vec::new(),
        actions: Vec::new(),
        recovery: None,
        identifiers: Identifiers::default(),
    };
    assert_eq!(desired, Ok(expected));
}

#[test]
fn what_a_manifest_leaves_out_is_merged_enforced_and_deleted_with_it() {
    let (handling, desired) = parse(json!({"schemaID": "employee"}));
    let grace_period = None;
    assert_eq!(
        handling,
        Handling {
            deletion: DeletionPolicy::Delete,
            grace_period,
            spares_adopted: true,
            mode: Mode::Enforce,
            suspended: false
        }
    );
    let expected = Desired {
        schema_id: "employee".into(),
        traits: object(json!({})),
        traits_policy: TraitsPolicy::Merge,
        metadata_public: object(json!({})),
        metadata_admin: object(json!({})),
        external_id: None,
        organization_id: None,
        state: None,
        password: None,
        links: Links::default(),
        auto_links: Vec::new(),
        auto_subject: String::new(),
        absent: Vec::new(),
        removal_ends_sessions: true,
        lacks: None,
        adoption: None,
        phase: None,
        verified_addresses: Vec::new(),
        actions: Vec::new(),
        recovery: None,
        identifiers: Identifiers::default(),
    };
    assert_eq!(desired, Ok(expected));
}

#[rstest]
#[case(json!({}), DeletionPolicy::Delete)]
#[case(json!({"policy": "Delete"}), DeletionPolicy::Delete)]
#[case(json!({"policy": "Orphan"}), DeletionPolicy::Orphan)]
#[case(json!({"policy": "Deactivate"}), DeletionPolicy::Deactivate)]
fn a_deletion_without_a_policy_deletes(#[case] deletion: Value, #[case] expected: DeletionPolicy) {
    assert_eq!(parse(json!({"schemaID": "employee", "deletion": deletion})).0.deletion, expected);
}

#[test]
fn what_was_there_before_its_resource_stays_after_it_unless_the_manifest_says_otherwise() {
    let adoption = json!({"policy": "IfUnowned", "identifier": "ada@a.example"});
    let (handling, desired) = parse(json!({"schemaID": "employee", "adoption": adoption}));
    assert_eq!(handling.deletion, DeletionPolicy::Orphan);
    assert_eq!(desired.unwrap().adoption, Some(Target::Identifier("ada@a.example".into())));
    let (handling, _) = parse(json!({"schemaID": "employee", "adoption": adoption, "deletion": {"policy": "Delete"}}));
    assert_eq!(handling.deletion, DeletionPolicy::Delete);
    let (handling, desired) = parse(json!({"schemaID": "employee", "adoption": {"policy": "Never"}}));
    assert_eq!((handling.deletion, desired.unwrap().adoption), (DeletionPolicy::Delete, None));
}

#[rstest]
#[case::a_mark(json!({"owner": "staging"}))]
#[case::a_null(json!(null))]
fn the_operators_own_key_is_refused_but_how_to_handle_it_is_known(#[case] value: Value) {
    let spec = json!({"schemaID": "employee", "metadataAdmin": {GROUP: value}, "deletion": {"policy": "Orphan"}});
    let (handling, desired) = parse(spec);
    assert_eq!(handling.deletion, DeletionPolicy::Orphan);
    let condition = desired.unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(GROUP) && condition.message.contains("metadataAdmin"), "{}", condition.message);
    assert!(!condition.message.contains("staging"), "{}", condition.message);
}

#[test]
fn the_users_may_have_that_key_in_their_own_metadata() {
    assert!(parse(json!({"schemaID": "employee", "metadataPublic": {GROUP: 1}})).1.is_ok());
}

#[rstest]
#[case(IdentityState::Active, State::Active)]
#[case(IdentityState::Inactive, State::Inactive)]
fn states_have_the_same_meaning_on_both_sides(#[case] ours: IdentityState, #[case] theirs: State) {
    assert_eq!((to_kratos(ours), from_kratos(theirs)), (theirs, ours));
}

#[rstest]
#[case::nothing_said(json!({}), DeletionPolicy::Delete, None)]
#[case::adopted(json!({"adoption": {"policy": "IfUnowned", "identifier": "i"}}), DeletionPolicy::Orphan, None)]
#[case::adopted_and_said(
    json!({"adoption": {"policy": "IfUnowned", "identifier": "i"}, "deletion": {"policy": "Delete"}}),
    DeletionPolicy::Delete,
    None
)]
#[case::never_adopted(json!({"adoption": {"policy": "Never"}}), DeletionPolicy::Delete, None)]
#[case::at_once(json!({"deletion": {"gracePeriod": "0s"}}), DeletionPolicy::Delete, Some(0))]
#[case::later(json!({"deletion": {"gracePeriod": "1h"}}), DeletionPolicy::Delete, Some(3600))]
fn what_a_deletion_does(#[case] changes: Value, #[case] policy: DeletionPolicy, #[case] seconds: Option<u64>) {
    let mut spec = json!({"schemaID": "customer"});
    json_patch::merge(&mut spec, &changes);
    let handling = desired::handling(&serde_json::from_value(spec).unwrap());
    let expected = (policy, seconds.map(std::time::Duration::from_secs));
    assert_eq!((handling.deletion, handling.grace_period), expected);
}
