//! Which identities may be taken over, by whom, and what is said of those that may not.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, desired, identity, mark, mark_json, marked, now};
use crate::api::Reason;
use crate::api::instance::AdoptionFrom;
use crate::base::namespaced_name::NamespacedName;
use crate::identity::adoption::{Finding, FormerOwner, Refusal, Target, examine, parse};
use crate::identity::claim::Claimant;
use crate::identity::conflict;
use crate::identity::mark::Mark;
use crate::identity::plan::{self, Observed, Present, Step};

const FROM: [AdoptionFrom; 2] = [AdoptionFrom::Same, AdoptionFrom::Allowed];

fn beside() -> Claimant {
    Claimant { beside_instance: true, ..claimant() }
}

fn by_id() -> Target {
    Target::Identity("id-of-ada".into())
}

fn by_address() -> Target {
    Target::Identifier("ada@a.example".into())
}

fn by_name() -> Target {
    Target::Name("Ada".into())
}

fn with_mark(changes: &Value) -> Value {
    json!({"metadata_admin": {GROUP: mark_json(changes)}})
}

fn address(value: &str, verified: bool) -> Value {
    json!({"verifiable_addresses": [{"id": "a", "value": value, "verified": verified, "via": "email"}]})
}

#[rstest]
#[case::nothing(json!({}), None)]
#[case::never(json!({"policy": "Never", "identifier": "ada@a.example"}), None)]
#[case::unsaid(json!({"identifier": "ada@a.example"}), None)]
#[case::by_address(json!({"policy": "IfUnowned", "identifier": " Ada@A.example "}), Some(by_address()))]
#[case::by_id(json!({"policy": "IfUnowned", "identityID": "id-of-ada"}), Some(by_id()))]
#[case::by_external_id(json!({"policy": "IfUnowned", "externalID": "crm-1"}), Some(Target::External("crm-1".into())))]
#[case::by_a_name(json!({"policy": "IfUnowned", "identifier": " Ada ", "acceptUnverified": true}), Some(by_name()))]
#[case::by_an_address_all_the_same(
    json!({"policy": "IfUnowned", "identifier": "Ada@a.example", "acceptUnverified": true}), Some(by_address())
)]
#[case::by_a_phone_number_all_the_same(
    json!({"policy": "IfUnowned", "identifier": "+1 415 555 2671", "acceptUnverified": true}),
    Some(Target::Identifier("+1 415 555 2671".into()))
)]
fn a_manifest_names_what_it_takes_over(#[case] adoption: Value, #[case] expected: Option<Target>) {
    assert_eq!(parse(Some(&serde_json::from_value(adoption).unwrap())), Ok(expected));
}

#[rstest]
fn an_adoption_of_two_or_of_none_is_invalid(
    #[values(
        json!({"policy": "IfUnowned"}),
        json!({"policy": "IfUnowned", "identifier": "a", "identityID": "b"}),
        json!({"policy": "IfUnowned", "externalID": "a", "identityID": "b"}),
        json!({"policy": "IfUnowned", "externalID": "a", "identifier": "b", "acceptUnverified": true})
    )]
    adoption: Value,
) {
    let condition = parse(Some(&serde_json::from_value(adoption).unwrap())).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
}

#[rstest]
#[case::beside_the_instance(beside(), AdoptionFrom::Same, Finding::Unowned)]
#[case::allowed(claimant(), AdoptionFrom::Allowed, Finding::Unowned)]
#[case::elsewhere(claimant(), AdoptionFrom::Same, Finding::Refused(Refusal::NotAllowed))]
fn an_unmarked_identity_is_nobodys(#[case] who: Claimant, #[case] from: AdoptionFrom, #[case] expected: Finding) {
    assert_eq!(examine(&who, from, &by_id(), &identity(&json!({"metadata_admin": {"u": 1}}))), expected);
}

#[rstest]
#[case::verified(address("ada@a.example", true), Finding::Unowned)]
#[case::unverified(address("ada@a.example", false), Finding::Refused(Refusal::Unverified))]
#[case::another_address(address("grace@a.example", true), Finding::Refused(Refusal::Unverified))]
#[case::no_address(json!({}), Finding::Refused(Refusal::Unverified))]
fn by_address_only_a_verified_one_is_taken_over(#[case] changes: Value, #[case] expected: Finding) {
    assert_eq!(examine(&beside(), AdoptionFrom::Same, &by_address(), &identity(&changes)), expected);
}

fn left(changes: &Value, who: &Claimant, from: AdoptionFrom) -> FormerOwner {
    match examine(who, from, &by_id(), &identity(&with_mark(changes))) {
        Finding::FormerOwner(left) => *left,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::a_neighbour(json!({"name": "grace", "uid": "uid-of-grace"}), None, Refusal::Taken(Some("grace".into())))]
#[case::a_former_resource(json!({"uid": "uid-of-former"}), None, Refusal::Taken(Some("ada".into())))]
#[case::another_namespaces(json!({"namespace": "team-b", "namespaceUID": "uid-of-team-b", "uid": "uid-of-b"}),
    Some(Refusal::NotAllowed), Refusal::Taken(None))]
#[case::a_namespace_made_again(json!({"namespaceUID": "uid-of-former-team-a", "uid": "uid-of-former"}),
    Some(Refusal::NotAllowed), Refusal::Taken(None))]
#[case::of_a_cluster_that_is_gone(json!({"cluster": "uid-of-burnt-cluster", "uid": "uid-of-former"}), None,
    Refusal::Taken(None))]
#[case::awaiting_its_deletion(json!({"uid": "uid-of-former", "deleteAfter": "2026-12-24T00:00:00Z"}),
    Some(Refusal::Leaving("2026-12-24T00:00:00Z".parse().unwrap())), Refusal::Taken(Some("ada".into())))]
fn what_a_resource_left_behind_is_for_its_own_namespace(
    #[case] changes: Value,
    #[case] refused: Option<Refusal>,
    #[case] taken: Refusal,
    #[values(true, false)] beside_instance: bool,
) {
    let found = left(&changes, &Claimant { beside_instance, ..claimant() }, AdoptionFrom::Same);
    assert_eq!((&found.refused, &found.taken), (&refused, &taken));
    let key = mark(&changes);
    assert_eq!(found.key, NamespacedName::new(key.namespace, key.name));
    assert_eq!(found.uid, (key.cluster == "uid-of-cluster").then_some(key.uid));
    let allowed = left(&changes, &claimant(), AdoptionFrom::Allowed).refused;
    assert_eq!(
        allowed,
        refused.filter(|refusal| matches!(refusal, Refusal::Leaving(_))),
        "for all where all are allowed"
    );
}

#[rstest]
#[case::another_owner(with_mark(&json!({"owner": "staging", "uid": "uid-of-other"})), Refusal::Taken(None))]
#[case::another_cluster(with_mark(&json!({"cluster": "uid-of-other-cluster", "uid": "uid-of-other"})), Refusal::Taken(None))]
#[case::unreadable(json!({"metadata_admin": {GROUP: "text"}}), Refusal::Taken(None))]
#[case::no_object(json!({"metadata_admin": "text"}), Refusal::Unmarkable)]
fn others_are_never_taken_over(#[case] changes: Value, #[case] expected: Refusal) {
    for (who, from) in [(beside(), AdoptionFrom::Same), (claimant(), AdoptionFrom::Allowed)] {
        let found = examine(&who, from, &by_id(), &identity(&changes));
        assert_eq!(found, Finding::Refused(expected.clone()));
    }
}

#[test]
fn its_own_is_its_own_whatever_is_allowed() {
    let found = examine(&claimant(), AdoptionFrom::Same, &by_address(), &marked(&json!({}), &[]));
    assert_eq!(found, Finding::Ours(Box::new(mark(&json!({})))));
}

fn refusals() -> Vec<Refusal> {
    use Refusal::{Ambiguous, Leaving, Missing, NotAllowed, Taken, Unmarkable, Unverified};
    vec![Missing, Ambiguous, Unverified, Unmarkable, Leaving(now()), Taken(None), NotAllowed]
}

#[test]
fn outside_the_instances_namespace_every_refusal_reads_the_same() {
    for (from, reason) in [(AdoptionFrom::Same, Reason::NotPermitted), (AdoptionFrom::Allowed, Reason::AdoptionRefused)]
    {
        let mut conditions: Vec<_> = refusals().iter().map(|refusal| refusal.condition(&claimant(), from)).collect();
        assert!(conditions.iter().all(|condition| condition.reason == reason), "{conditions:?}");
        conditions.dedup();
        assert_eq!(conditions.len(), 1, "{conditions:?}");
    }
}

#[test]
fn beside_the_instance_each_refusal_says_what_to_do() {
    let mut messages: Vec<_> =
        refusals().iter().map(|refusal| refusal.condition(&beside(), AdoptionFrom::Same).message).collect();
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), refusals().len());
    let kept = Refusal::Leaving(now()).condition(&beside(), AdoptionFrom::Same).message;
    assert!(kept.contains(&format!("kept until {}", now())), "{kept}");
    let taken = Refusal::Taken(None).condition(&beside(), AdoptionFrom::Same);
    assert_eq!(taken, conflict::conflict(None));
}

#[rstest]
#[case::left_by_a_neighbour(json!({"name": "grace", "uid": "uid-of-grace"}))]
#[case::of_a_cluster_that_is_gone(json!({"cluster": "uid-of-burnt-cluster", "uid": "uid-of-former"}))]
fn what_was_found_inactive_stays_so_for_whoever_takes_it_over_next(#[case] mut changes: Value) {
    assert!(!left(&changes, &claimant(), AdoptionFrom::Allowed).found_inactive);
    json_patch::merge(&mut changes, &json!({"adopted": true, "foundInactive": true}));
    assert!(left(&changes, &claimant(), AdoptionFrom::Allowed).found_inactive);
}

#[test]
fn a_neighbour_is_named_to_neighbours() {
    for (who, from) in [(beside(), FROM[0]), (claimant(), FROM[0]), (claimant(), FROM[1])] {
        let condition = Refusal::Taken(Some("grace".into())).condition(&who, from);
        assert_eq!(condition, conflict::conflict(Some("grace")));
    }
}

#[test]
fn taking_over_writes_the_mark_with_the_changes_keeps_what_isnt_named_and_reads_the_mark_back() {
    let before = identity(&json!({
        "traits": {"mail": "ada@a.example", "age": 36}, "metadata_public": {"plan": "silver", "theirs": 1},
        "metadata_admin": {"theirs": 2, GROUP: mark_json(&json!({
            "uid": "uid-of-former", "ownedPaths": ["/traits/age", "/metadata_public/theirs"],
            "password": {"digest": "d", "keyID": "k"}, "actions": {"recovery": {"token": "1", "startedAt": "2026-12-24T00:00:00Z"}},
        }))},
    }));
    let wanted = desired(
        &json!({"metadataPublic": {"plan": "gold"}, "adoption": {"policy": "IfUnowned", "identityID": "id-of-ada"}}),
    );
    let present = Present::new(before, Some(Mark::of_adoption(false)));
    assert!(present.is_adoption());
    let plan = plan::plan(&claimant(), &wanted, &Observed::Present(Box::new(present)), now());
    assert_eq!(plan.changes, ["/metadata_public/plan"]);
    let [Step::Patch { id, operations }, Step::ConfirmMark { id: confirmed, uid }] = &plan.steps[..] else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!((id.as_str(), confirmed.as_str(), uid.as_str()), ("id-of-ada", "id-of-ada", "uid-of-ada"));
    let operations = serde_json::to_value(operations).unwrap();
    let mark = mark_json(&json!({"ownedPaths": ["/metadata_public/plan"], "adopted": true}));
    let written = json!([
        {"op": "replace", "path": "/metadata_public/plan", "value": "gold"},
        {"op": "replace", "path": "/metadata_admin/kratos-operator.dev", "value": mark},
    ]);
    let ops = |value: &Value| {
        value.as_array().unwrap().iter().map(|o| (o["path"].clone(), o["value"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(ops(&operations), ops(&written));
}

#[rstest]
#[case::beside_the_instance(beside(), json!({}), Finding::Unowned)]
#[case::elsewhere(claimant(), json!({}), Finding::Refused(Refusal::Unverified))]
#[case::that_is_an_address_of_it(beside(), address("ADA", false), Finding::Refused(Refusal::Unverified))]
#[case::that_it_is_recovered_by(
    beside(), json!({"recovery_addresses": [{"id": "a", "value": "ada", "via": "email"}]}), Finding::Refused(Refusal::Unverified)
)]
#[case::that_is_a_verified_address(claimant(), address("ada", true), Finding::Unowned)]
fn an_identity_is_taken_by_a_name_beside_the_instance_alone(
    #[case] who: Claimant,
    #[case] changes: Value,
    #[case] expected: Finding,
) {
    assert_eq!(examine(&who, AdoptionFrom::Allowed, &by_name(), &identity(&changes)), expected);
}

#[test]
fn a_verified_phone_number_is_one_in_whichever_way_it_is_written() {
    let mut there = address("+1 (415) 555-2671", true);
    there["verifiable_addresses"][0]["via"] = json!("sms");
    let there = identity(&there);
    for (named, expected) in [
        ("+14155552671", Finding::Unowned),
        ("+1 415 555 2671", Finding::Unowned),
        ("+14155552672", Finding::Refused(Refusal::Unverified)),
    ] {
        assert_eq!(
            examine(&beside(), AdoptionFrom::Same, &Target::Identifier(named.into()), &there),
            expected,
            "{named}"
        );
    }
}

#[test]
fn one_that_is_named_by_its_external_id_needs_no_proof() {
    let target = Target::External("crm-1".into());
    assert_eq!(examine(&beside(), AdoptionFrom::Same, &target, &identity(&json!({}))), Finding::Unowned);
}
