//! Which identities of ours a listing shows changed or missing.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::base::namespaced_name::NamespacedName;
use crate::instance::managed::{Managed, digest};
use crate::kratos::Identity;

fn identity(changes: &Value) -> Identity {
    let mut identity = json!({
        "id": "00000000-0000-4000-8000-00000000000a", "schema_id": "customer", "state": "active", "external_id": "e", "organization_id": "o",
        "traits": {"n": 1, "a": "b"}, "metadata_public": {"p": 1}, "metadata_admin": {"q": 1},
    });
    json_patch::merge(&mut identity, changes);
    serde_json::from_value(identity).unwrap()
}

fn ada() -> NamespacedName {
    NamespacedName::new("team-a", "ada")
}

#[rstest]
#[case::schema(json!({"schema_id": "employee"}))]
#[case::state(json!({"state": "inactive"}))]
#[case::external_id(json!({"external_id": "f"}))]
#[case::no_external_id(json!({"external_id": null}))]
#[case::organization(json!({"organization_id": "p"}))]
#[case::swapped_ids(json!({"external_id": "o", "organization_id": "e"}))]
#[case::a_trait(json!({"traits": {"n": 2}}))]
#[case::a_trait_more(json!({"traits": {"x": null, "y": 1}}))]
#[case::public_metadata(json!({"metadata_public": {"p": 2}}))]
#[case::no_public_metadata(json!({"metadata_public": null}))]
#[case::admin_metadata(json!({"metadata_admin": {"q": 2}}))]
#[case::swapped_metadata(json!({"metadata_public": {"p": null, "q": 1}, "metadata_admin": {"q": null, "p": 1}}))]
#[case::a_verified_address(json!({"verifiable_addresses": [{"id": "1", "value": "a", "verified": true}]}))]
fn whatever_a_manifest_may_own_is_in_the_digest(#[case] changes: Value) {
    assert_ne!(digest(&identity(&json!({}))), digest(&identity(&changes)));
}

#[rstest]
#[case::notation(json!({"traits": {"n": 1.0}}))]
#[case::when_it_was_written(json!({"updated_at": "2026-11-23T00:00:00Z"}))]
#[case::its_credentials(json!({"credentials": {"password": {}}}))]
#[case::its_addresses(json!({"verifiable_addresses": [{"id": "1", "value": "a"}]}))]
fn what_a_manifest_cannot_own_is_not(#[case] changes: Value) {
    assert_eq!(digest(&identity(&json!({}))), digest(&identity(&changes)));
}

#[rstest]
#[case::changed_later(json!({"state": "inactive"}), 1, true)]
#[case::changed_but_the_page_is_as_old_as_our_look(json!({"state": "inactive"}), 0, false)]
#[case::the_same(json!({}), 1, false)]
#[case::not_one_of_ours(json!({"id": "00000000-0000-4000-8000-00000000000b", "state": "inactive"}), 1, false)]
fn a_page_shows_a_change_if_it_was_asked_for_after_our_last_look(
    #[case] changes: Value,
    #[case] seconds: u64,
    #[case] expected: bool,
) {
    let (managed, now) = (Managed::default(), Instant::now());
    managed.note(&ada(), &identity(&json!({})), now);
    let changed = managed.changed(&identity(&changes), now + Duration::from_secs(seconds), false);
    assert_eq!(changed, expected.then(|| ada().key_hash()));
}

#[test]
fn our_own_write_is_no_change_to_a_page_asked_for_before_it() {
    let (managed, start) = (Managed::default(), Instant::now());
    let (before, after) = (identity(&json!({})), identity(&json!({"state": "inactive"})));
    managed.note(&ada(), &before, start);
    let asked = start + Duration::from_secs(1);
    managed.note(&ada(), &after, start + Duration::from_secs(2));
    assert_eq!(managed.changed(&before, asked, false), None);
    assert_eq!(
        managed.changed(&before, start + Duration::from_secs(3), false),
        Some(ada().key_hash()),
        "later it is one"
    );
}

#[test]
fn what_a_read_does_not_show_is_missing_unless_it_is_newer() {
    let (managed, start) = (Managed::default(), Instant::now());
    let id = |number: usize| Uuid::from_u128(number as u128);
    let keys =
        ["listed", "missing", "made-since", "let-go", "resource-gone"].map(|name| NamespacedName::new("team-a", name));
    for (number, after) in [0, 0, 10, 0, 0].into_iter().enumerate() {
        let as_of = start + Duration::from_secs(after);
        managed.note(&keys[number], &identity(&json!({ "id": id(number).to_string() })), as_of);
    }
    managed.forget(&id(3).to_string());
    managed.retain(|key| key != keys[4].key_hash());
    let begun = start + Duration::from_secs(5);
    assert_eq!(managed.missing(begun, |shown| *shown == id(0)), [keys[1].key_hash()]);
    assert_eq!(managed.missing(start, |_| false), [], "a read begun just then proves nothing");
    let mut ids = managed.ids();
    ids.sort_unstable();
    assert_eq!(ids, [id(0), id(1), id(2)]);
}

#[test]
fn an_identity_differs_if_it_is_known_and_not_as_it_was_left() {
    let managed = Managed::default();
    let (before, after) = (identity(&json!({})), identity(&json!({"state": "inactive"})));
    assert!(!managed.differs(&before), "nobody knows");
    managed.note(&ada(), &before, Instant::now());
    assert!(!managed.differs(&before) && managed.differs(&after));
}
