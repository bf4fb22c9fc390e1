//! Whether one create could succeed beside another.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use crate::identity::requested_identifiers::RequestedIdentifiers;
use crate::identity::schema::shape::Shape;

fn asked(kind: &str, traits: &Value) -> RequestedIdentifiers {
    let login = json!({"ory.sh/kratos": {"credentials": {kind: {"identifier": true}}}});
    let names = json!({"items": {"ory.sh/kratos": {"credentials": {"code": {"identifier": true}}}}});
    let shape = Shape::of(&json!({"properties": {"traits": {"properties": {"email": login, "names": names}}}}));
    RequestedIdentifiers::new(Some(&Arc::new(shape)), traits)
}

#[rstest]
#[case::the_same(json!({"email": "ada@a.example"}), true)]
#[case::written_otherwise(json!({"email": " Ada@A.example"}), true)]
#[case::one_of_two(json!({"email": "ada@a.example", "names": ["countess"]}), true)]
#[case::another_address(json!({"email": "ada@b.example"}), false)]
#[case::of_another_kind(json!({"email": "ada@b.example", "names": ["ada@a.example"]}), false)]
#[case::none(json!({"email": ""}), false)]
fn two_creates_that_share_an_identifier_of_one_kind_exclude_each_other(#[case] next: Value, #[case] expected: bool) {
    let first = asked("password", &json!({"email": "ada@a.example", "names": ["ada"]}));
    let next = asked("password", &next);
    assert_eq!((first.excludes(&next), next.excludes(&first)), (expected, expected));
}

#[test]
fn what_kratos_doesnt_count_by_excludes_nothing() {
    let traits = json!({"email": "ada@a.example"});
    let passkey = asked("passkey", &traits);
    assert!(!passkey.excludes(&passkey.clone()));
    assert!(
        !asked("password", &traits).excludes(&asked("code", &traits)),
        "under another schema it is of another kind"
    );
    let nothing = RequestedIdentifiers::new(None, &traits);
    assert!(!nothing.excludes(&nothing.clone()), "nothing of it is unique");
}
