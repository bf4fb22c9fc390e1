//! Marks that somebody else wrote: whatever stands where ours belongs, nothing panics, and what is read can be written again.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::builders::{GROUP, claimant, mark_json};
use crate::identity::claim::Claim;
use crate::identity::mark::{Found, Mark};
use crate::kratos::{Content, Identity};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!("2026-11-24T12:00:00Z")),
        Just(json!("999999-99-99T99:99:99Z")),
        "\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// One of our own, with a member that a newer version wrote, and some of the others exchanged or gone.
fn mark() -> impl Strategy<Value = Value> {
    const MEMBERS: [&str; 15] = [
        "owner",
        "cluster",
        "namespace",
        "namespaceUID",
        "name",
        "uid",
        "ownedPaths",
        "password",
        "links",
        "sessionsPending",
        "actions",
        "recovery",
        "deleteAfter",
        "stateBefore",
        "adopted",
    ];
    let changes = prop::collection::btree_map(proptest::sample::select(&MEMBERS[..]), prop::option::of(value()), 0..4);
    (changes, value()).prop_map(|(changes, other)| {
        let mut mark = mark_json(&json!({"deleteAfter": "2026-11-24T12:00:00Z", "stateBefore": "active"}));
        let members = mark.as_object_mut().expect("a mark is an object");
        members.insert("other".to_owned(), other);
        for (name, value) in changes {
            match value {
                Some(value) => drop(members.insert(name.to_owned(), value)),
                None => drop(members.remove(name)),
            }
        }
        mark
    })
}

proptest! {
    #[test]
    fn whatever_stands_there_is_read_or_left_alone(found in prop_oneof![mark(), value()], beside in value()) {
        let metadata = Value::Object(Map::from_iter([(GROUP.to_owned(), found), ("beside".to_owned(), beside)]));
        let content = Content::from(metadata);
        let claim = claimant().claim(&Identity { metadata_admin: content.clone(), ..Identity::default() });
        match Mark::read(&content) {
            Found::Mark(mark) => {
                let again = Content::from(json!({GROUP: mark.to_value()}));
                prop_assert_eq!(Mark::read(&again), Found::Mark(mark), "what is written is what was read");
            }
            Found::Nothing => prop_assert_eq!(claim, Claim::Unmarked),
            Found::Unreadable => prop_assert_eq!(claim, Claim::Foreign { neighbour: None }),
            Found::NoObject => prop_assert!(false, "it is an object"),
        }
    }
}
