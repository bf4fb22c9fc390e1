//! Identities that can't be read as a whole: nothing is planned over them, and nobody takes one over.

use rstest::rstest;
use serde_json::json;

use super::builders::{GROUP, admin, claimant, desired, identity, mark, mark_json, marked, now};
use crate::api::Reason;
use crate::api::instance::AdoptionFrom;
use crate::api::lifecycle::DeletionPolicy;
use crate::identity::adoption::{Finding, Refusal, Target, examine};
use crate::identity::claim::{Claim, Claimant};
use crate::identity::facts;
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{self, Leaving, Observed, Present, Step};
use crate::kratos::{Content, Identity};

/// Content of which something can't be read, beside what can.
fn odd(beside: &str) -> Content {
    serde_json::from_str(&format!(r#"{{"odd": 1e400, {beside}}}"#)).unwrap()
}

fn present(identity: Identity) -> Observed {
    Observed::Present(Box::new(Present::new(identity, Some(mark(&json!({}))))))
}

#[rstest]
#[case::traits(|identity: &mut Identity, odd: Content| identity.traits = odd)]
#[case::metadata_public(|identity: &mut Identity, odd: Content| identity.metadata_public = odd)]
#[case::metadata_admin(|identity: &mut Identity, odd: Content| identity.metadata_admin = odd)]
fn nothing_is_planned_over_what_cannot_be_read(#[case] put: fn(&mut Identity, Content)) {
    let mut there = marked(&json!({}), &[]);
    put(&mut there, odd(r#""a": 1"#));
    let spec =
        json!({"state": "Inactive", "traits": {"mail": "m"}, "metadataPublic": {"a": 2}, "traitsPolicy": "Exact"});
    let plan = plan::plan(&claimant(), &desired(&spec), &present(there.clone()), now());
    assert_eq!((plan.steps, plan.changes), (Vec::new(), Vec::new()));
    assert_eq!(plan.refusal.map(|condition| condition.reason), Some(Reason::KratosRejected));
    assert!(facts::observed(&there, &[]).is_none(), "no rule is asked about a part of it");
}

#[test]
fn the_mark_is_found_beside_it_and_the_deletion_goes_by_the_mark() {
    let mut there = marked(&json!({"state": "active"}), &[]);
    let written = admin(&mut there)[GROUP].to_string();
    there.metadata_admin = odd(&format!(r#""{GROUP}": {written}"#));
    let claimant = claimant();
    let leaving = |policy, delete_after| Leaving { claimant: &claimant, policy, delete_after, known: None };
    assert!(matches!(claimant.claim(&there), Claim::Ours(_)));
    let all = [there];
    let steps = plan::plan_deletion(leaving(DeletionPolicy::Delete, None), &all).unwrap();
    assert!(matches!(&steps[..], [Step::Delete { .. }]));
    for (policy, delete_after) in [(DeletionPolicy::Deactivate, None), (DeletionPolicy::Delete, Some(now()))] {
        let steps = plan::plan_deletion(leaving(policy, delete_after), &all).unwrap();
        let [Step::Patch { operations, .. }, Step::EndSessions { .. }, Step::ConfirmInactive { .. }] = &steps[..]
        else {
            panic!("{steps:?}")
        };
        let shape = |path: &str| path == "/state" || path == format!("/metadata_admin/{GROUP}");
        assert!(operations.iter().all(|operation| shape(operation.path())), "{operations:?}");
    }
}

#[test]
fn a_mark_that_cannot_be_read_is_anothers() {
    let mut there = identity(&json!({}));
    there.metadata_admin = serde_json::from_str(&format!(r#"{{"{GROUP}": {{"name": "\ud800"}}}}"#)).unwrap();
    assert_eq!(Mark::read(&there.metadata_admin), Found::Unreadable);
    assert_eq!(claimant().claim(&there), Claim::Foreign { neighbour: None });
    there.metadata_admin = serde_json::from_str("[1e400]").unwrap();
    assert_eq!(Mark::read(&there.metadata_admin), Found::NoObject);
}

#[test]
fn nobody_takes_one_over_and_elsewhere_nobody_learns_why() {
    let beside = Claimant { beside_instance: true, ..claimant() };
    let target = Target::Identity("id-of-ada".into());
    let mut unowned = identity(&json!({}));
    unowned.traits = odd(r#""a": 1"#);
    let mut left = unowned.clone();
    left.metadata_admin = json!({GROUP: mark_json(&json!({"name": "bob", "uid": "uid-of-bob"}))}).into();
    for who in [&beside, &claimant()] {
        let finding = examine(who, AdoptionFrom::Allowed, &target, &unowned);
        assert_eq!(finding, Finding::Refused(Refusal::Unreadable));
        let Finding::FormerOwner(finding) = examine(who, AdoptionFrom::Allowed, &target, &left) else {
            panic!("a neighbour's")
        };
        assert_eq!(finding.refused, Some(Refusal::Unreadable));
        let told = Refusal::Unreadable.condition(who, AdoptionFrom::Allowed);
        let is_uniform = told == Refusal::Missing.condition(who, AdoptionFrom::Allowed);
        assert_eq!((told.reason, is_uniform), (Reason::AdoptionRefused, !who.beside_instance));
    }
}
