//! What an adopted identity may not get outside the instance's namespace, and what it may.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, identity, mark_json, now, object};
use crate::api::instance::KeyRef;
use crate::api::{ReadyCondition, Reason};
use crate::identity::adoption_limits::ensure_plan;
use crate::identity::claim::Claimant;
use crate::identity::desired::{self, Desired};
use crate::identity::digest_key::DigestKey;
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{Observed, Present, plan};
use crate::identity::schema::shape::Shape;
use crate::identity::secrets::{Entry, Secrets};
use crate::kratos::Identity;

fn schema() -> Value {
    let login = json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}});
    let recovered = json!({"ory.sh/kratos": {"recovery": {"via": "email"}, "verification": {"via": "email"}}});
    let traits = json!({"properties": {"email": login, "others": {"items": recovered}, "name": {}, "age": {}}});
    json!({"properties": {"traits": traits}})
}

/// Ada as she was found, with `changes` merged in; and with a mark, where there is one.
fn ada(changes: &Value, mark: Option<&Value>) -> Identity {
    let mut ada = json!({
        "traits": {"email": "ada@a.example", "others": ["b@a.example"], "age": 36}, "external_id": "crm-1",
        "metadata_admin": {"theirs": 1},
    });
    json_patch::merge(&mut ada, changes);
    if let Some(mark) = mark {
        json_patch::merge(&mut ada, &json!({"metadata_admin": {GROUP: mark_json(mark)}}));
    }
    identity(&ada)
}

fn desired(spec: &Value) -> Desired {
    let mut whole = object(json!({"schemaID": "customer"}));
    whole.extend(object(spec.clone()));
    let mut secrets = Secrets::default().with_key(Arc::new(DigestKey::new("k", vec![7; 32])));
    let reference = KeyRef { name: "ada".into(), key: "password".into() };
    secrets.insert(&reference, Entry::Value(b"$2a$04$horse-battery".to_vec()));
    desired::parse(&serde_json::from_value(whole.into()).expect("a spec"), &secrets, now()).expect("a good one")
}

fn judged(claimant: &Claimant, spec: &Value, identity: Identity, schema: Option<&Value>) -> Result<(), ReadyCondition> {
    let mark = match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) => Some(*mark),
        _ => None,
    };
    let observed = Observed::Present(Box::new(Present::new(identity, mark)));
    let desired = desired(spec);
    let plan = plan(claimant, &desired, &observed, now());
    let shape = schema.map(Shape::of);
    ensure_plan(claimant, (&desired, &observed), &plan, schema.zip(shape.as_ref()))
}

fn password(format: &str) -> Value {
    json!({"credentials": {"password": {"secretKeyRef": {"name": "ada", "key": "password"}, "format": format}}})
}

fn beside() -> Claimant {
    Claimant { beside_instance: true, ..claimant() }
}

#[rstest]
#[case::a_password(password("Cleartext"), "spec.credentials.password")]
#[case::a_hash(password("Hashed"), "spec.credentials.password")]
#[case::a_password_whose_secret_went(
    json!({"credentials": {"password": {"secretKeyRef": {"name": "gone", "key": "k"}, "updatePolicy": "CreateOnly"}}}),
    "spec.credentials.password")]
#[case::a_link(json!({"credentials": {"oidc": [{"provider": "google", "subject": "1"}]}}), "spec.credentials.oidc")]
#[case::a_link_of_saml(json!({"credentials": {"saml": [{"provider": "idp", "subject": "1"}]}}), "spec.credentials.saml")]
#[case::none_of_a_kind(json!({"credentials": {"absent": ["TOTP"]}}), "spec.credentials.absent")]
#[case::a_reset(json!({"actions": {"resetSecondFactors": {"token": "1"}}}), "spec.actions.resetSecondFactors")]
#[case::a_recovery(json!({"recovery": {"type": "Link", "secretName": "way-in"}}), "spec.recovery")]
#[case::another_schema(json!({"schemaID": "employee"}), "spec.schemaID")]
#[case::another_external_id(json!({"externalID": "crm-2"}), "spec.externalID")]
#[case::an_organization(json!({"organizationID": "0a0b0c0d-1111-2222-3333-444455556666"}), "spec.organizationID")]
#[case::another_login(json!({"traits": {"email": "eve@a.example"}}), "/traits/email")]
#[case::the_same_login_written_otherwise(json!({"traits": {"email": "Ada@a.example"}}), "/traits/email")]
#[case::another_address(json!({"traits": {"others": ["b@a.example", "eve@a.example"]}}), "/traits/others/1")]
#[case::no_login_any_more(json!({"traits": {"name": "Ada"}, "traitsPolicy": "Exact"}), "/traits/email")]
fn an_adopted_identity_gets_no_way_in_but_beside_the_instance(#[case] spec: Value, #[case] field: &str) {
    let adopted = json!({"adopted": true});
    for mark in [Some(&adopted), None] {
        let refused = judged(&claimant(), &spec, ada(&json!({}), mark), Some(&schema())).unwrap_err();
        assert_eq!(refused.reason, Reason::InvalidSpec);
        assert!(refused.message.contains(field) && refused.message.contains("adopted"), "{}", refused.message);
        assert!(!refused.message.contains("a.example"), "{}", refused.message);
        assert_eq!(judged(&beside(), &spec, ada(&json!({}), mark), Some(&schema())), Ok(()));
    }
    assert_eq!(judged(&claimant(), &spec, ada(&json!({}), Some(&json!({}))), Some(&schema())), Ok(()), "its own");
}

#[rstest]
#[case::nothing(json!({}))]
#[case::deactivation(json!({"state": "Inactive"}))]
#[case::its_window(json!({"validity": {"notAfter": "2026-01-01T00:00:00Z"}}))]
#[case::that_it_stays_active(json!({"state": "Active"}))]
#[case::the_end_of_sessions(json!({"actions": {"revokeSessions": {"token": "1"}}}))]
#[case::metadata(json!({"metadataPublic": {"plan": "gold"}, "metadataAdmin": {"costCenter": "42"}}))]
#[case::traits_that_lead_nowhere(json!({"traits": {"email": "ada@a.example", "name": "Ada", "age": 37}}))]
#[case::what_it_has(json!({"externalID": "crm-1", "traits": {"others": ["b@a.example"]}}))]
fn what_leads_nobody_in_is_the_manifests(#[case] spec: Value) {
    let there = ada(&json!({}), Some(&json!({"adopted": true})));
    assert_eq!(judged(&claimant(), &spec, there, Some(&schema())), Ok(()));
}

#[rstest]
#[case::said(json!({"state": "Active"}))]
#[case::by_its_window(json!({"validity": {"notBefore": "2026-01-01T00:00:00Z"}}))]
fn who_was_found_inactive_isnt_activated(#[case] spec: Value, #[values("active", "inactive")] state: &str) {
    let there = || ada(&json!({"state": state}), Some(&json!({"adopted": true, "foundInactive": true})));
    let refused = judged(&claimant(), &spec, there(), Some(&schema())).unwrap_err();
    assert!(refused.reason == Reason::InvalidSpec && refused.message.contains("found inactive"), "{refused:?}");
    assert_eq!(judged(&beside(), &spec, there(), Some(&schema())), Ok(()));
    assert_eq!(judged(&claimant(), &json!({"state": "Inactive"}), there(), Some(&schema())), Ok(()));
}

#[rstest]
#[case::unknown(None)]
#[case::hidden(Some(json!({"properties": {"traits": {"if": {}, "then": {"properties": {"name": {"ory.sh/kratos": {
    "credentials": {"password": {"identifier": true}}}}}}}}})))]
fn where_nobody_can_say_which_traits_lead_in_none_is_changed(#[case] schema: Option<Value>) {
    let there = || ada(&json!({}), Some(&json!({"adopted": true})));
    let refused = judged(&claimant(), &json!({"traits": {"name": "Ada"}}), there(), schema.as_ref()).unwrap_err();
    assert!(refused.reason == Reason::InvalidSpec && refused.message.contains("a change of traits"), "{refused:?}");
    assert_eq!(judged(&claimant(), &json!({"traits": {"age": 36}}), there(), schema.as_ref()), Ok(()));
}

#[rstest]
#[case::the_login(json!({"ownedPaths": ["/traits/email"]}), "/traits/email")]
#[case::the_external_id(json!({"ownedPaths": ["/external_id"]}), "externalID")]
fn what_leads_in_isnt_taken_away_either_by_leaving_the_manifest(#[case] mut mark: Value, #[case] field: &str) {
    json_patch::merge(&mut mark, &json!({"adopted": true}));
    let refused = judged(&claimant(), &json!({}), ada(&json!({}), Some(&mark)), Some(&schema())).unwrap_err();
    assert!(refused.reason == Reason::InvalidSpec && refused.message.contains(field), "{refused:?}");
}

#[test]
fn a_link_that_the_manifest_gave_once_may_go() {
    let mark = json!({"adopted": true, "links": {"oidc": [{"provider": "google", "subject": "1"}]}});
    let credentials = json!({"credentials": {"oidc": {"identifiers": ["google:1", "google:2"]}}});
    assert_eq!(judged(&claimant(), &json!({}), ada(&credentials, Some(&mark)), Some(&schema())), Ok(()));
}

#[test]
fn addresses_are_called_verified_of_no_adopted_identity_anywhere() {
    let spec = json!({"verifiedAddresses": ["b@a.example"]});
    for who in [claimant(), beside()] {
        let there = ada(&json!({}), Some(&json!({"adopted": true})));
        let refused = judged(&who, &spec, there, Some(&schema())).unwrap_err();
        assert!(refused.message.contains("spec.verifiedAddresses"), "{refused:?}");
    }
}

#[test]
fn that_it_was_adopted_and_found_inactive_stays_in_every_mark() {
    let noted = json!({"adopted": true, "foundInactive": true, "deleteAfter": "2026-12-25T00:00:00Z", "stateBefore": "inactive"});
    let of_a_cluster_that_is_gone = json!({"cluster": "uid-of-burnt-cluster", "uid": "uid-of-former"});
    for changes in [json!({}), of_a_cluster_that_is_gone] {
        let mut before = mark_json(&noted);
        json_patch::merge(&mut before, &changes);
        let Found::Mark(before) = Mark::read(&json!({GROUP: before}).into()) else { panic!("a mark") };
        let after = claimant().mark(Vec::new(), Some(&before));
        assert_eq!((after.adopted, after.found_inactive, after.delete_after), (true, true, None));
    }
}
